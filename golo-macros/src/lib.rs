//! The attribute macro of golo. Use it through the `golo` crate, as `#[golo::loadtest]`.
//!
//! A function goes through `args` (the options), `validate` (the signature) and `expand`; after a mistake through
//! `fallback` instead, which keeps the rest of the program compiling.

mod args;
mod expand;
mod fallback;
mod validate;

use proc_macro::TokenStream;

/// Makes an `async fn` a load test, and its crate the binary that serves it, runs it and reports on it.
///
/// It goes on one free function of the crate's root, of any name, and writes the `main` function. The function itself
/// stays as it is, and can be called by unit tests (unless its own name is `main`).
///
/// ```no_run
/// #[golo::loadtest]
/// async fn journey() {
///     let journey = golo::new_sequence_id();
///     let _ = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/")).await;
/// }
/// ```
///
/// # Parameters
///
/// Any of these, in any order, under any pattern:
///
/// | type | is |
/// |---|---|
/// | `golo::Context` | what the trigger was told: the job's name, which user, which iteration |
/// | `golo::Response` | the answer that was prepared: the job's name is set, the rest is empty |
/// | `&mut S`, where `S: golo::User` | the state of the user whose trigger this is |
/// | `golo::Shared<T>` | what `setup` returned, the same value for every trigger |
///
/// ```no_run
/// use golo::{Context, Response};
///
/// #[golo::loadtest]
/// async fn journey(context: Context, response: Response) -> Response {
///     Response { output: format!("iteration {:?}", context.iteration), ..response }
/// }
/// ```
///
/// # Returns
///
/// `()`, a `golo::Response`, tags (`Vec<golo::ResponseTag>`, or an array), or a `Result` of one of these. An error is
/// anything that converts into `Box<dyn Error + Send + Sync>`: it fails its trigger, and ends nothing else.
///
/// ```no_run
/// #[golo::loadtest]
/// async fn journey() -> Result<Vec<golo::ResponseTag>, golo::RequestError> {
///     let journey = golo::new_sequence_id();
///     let page = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/")).await?;
///     Ok(golo::tagify([("status", page.status())]))
/// }
/// ```
///
/// The function's future must be `Send`: what it holds across an `.await` must be so, which an `Rc` is not.
///
/// # Options
///
/// ## `name = "…"`
///
/// What the load test is called in reports. It is the function's name unless given.
///
/// ```no_run
/// #[golo::loadtest(name = "front page")]
/// async fn journey() {}
/// ```
///
/// ## `setup = path`
///
/// An async function without parameters that runs once, before any trigger. It returns what the load test takes as
/// `golo::Shared<T>`, either a `T` or a `Result` of one; without such a parameter it returns `()` or `Result<(), E>`.
/// If it fails, nothing is run.
///
/// ```no_run
/// use golo::Shared;
///
/// struct Words(Vec<String>);
///
/// async fn read() -> std::io::Result<Words> {
///     Ok(Words(std::fs::read_to_string("words.txt")?.lines().map(str::to_owned).collect()))
/// }
///
/// #[golo::loadtest(setup = read)]
/// async fn journey(words: Shared<Words>) -> Result<(), String> {
///     let word = words.0.first().ok_or("words.txt is empty")?;
///     golo::check("the first word is short", word.len() < 8);
///     Ok(())
/// }
/// ```
///
/// ## `teardown = path`
///
/// An async function that runs once, after every trigger has ended. It takes nothing, or the `golo::Shared<T>` that
/// the load test takes, and returns `()` or `Result<(), E>`.
///
/// ```no_run
/// use golo::Shared;
///
/// struct Account(String);
///
/// async fn open() -> Account {
///     Account("1984".to_owned())
/// }
///
/// async fn close(account: Shared<Account>) -> Result<(), std::io::Error> {
///     std::fs::remove_file(&account.0)
/// }
///
/// #[golo::loadtest(setup = open, teardown = close)]
/// async fn journey(account: Shared<Account>) {
///     golo::check("the account has a number", !account.0.is_empty());
/// }
/// ```
///
/// ## `client = path`
///
/// A function from `reqwest::ClientBuilder` to `Result<reqwest::Client, E>`, which makes the client of each worker.
/// The builder arrives with golo's defaults.
///
/// ```no_run
/// use golo::reqwest;
///
/// fn impatient(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
///     builder.timeout(std::time::Duration::from_secs(1)).build()
/// }
///
/// #[golo::loadtest(client = impatient)]
/// async fn journey() {}
/// ```
///
/// ## `crate = path`
///
/// Where the `golo` crate is, for those who renamed it, or who write this attribute with a macro of their own.
///
/// ```no_run
/// extern crate golo as load;
///
/// #[load::loadtest(crate = ::load)]
/// async fn journey() {}
/// ```
#[proc_macro_attribute]
pub fn loadtest(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::loadtest(options.into(), item.into()).into()
}
