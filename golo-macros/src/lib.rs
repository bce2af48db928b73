//! The attribute macro of golo. Use it through the `golo` crate, as `#[golo::loadtest]`.
//!
//! A function passes through `args` (the options), `validate` (the signature) and `expand`. After a mistake it passes
//! through `fallback` instead, so that the rest of the program still compiles.

mod args;
mod expand;
mod fallback;
mod validate;

use proc_macro::TokenStream;

/// Turns an `async fn` into a load test, and its crate into the binary that serves it, runs it and reports results.
///
/// The attribute belongs on one free function in the root of the crate, with any name. It generates the `main`
/// function. The function itself does not change, and unit tests can call it (unless its name is `main`).
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
/// Any of these types, in any order, with any pattern:
///
/// | type | value |
/// |---|---|
/// | `golo::Context` | the context of the trigger: job name, number of the user, number of the iteration |
/// | `golo::Response` | a prepared response: the job name is set, the rest is empty |
/// | `&mut S`, where `S: golo::User` | the state of the trigger's user |
/// | `golo::Shared<T>` | the value that `setup` returned, the same for every trigger |
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
/// any type that converts into `Box<dyn Error + Send + Sync>`. It fails its trigger and has no other effect.
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
/// The function's future must be `Send`. It must not hold a value across an `.await` that is not `Send`, such as an
/// `Rc`.
///
/// # Options
///
/// ## `name = "…"`
///
/// Name of the load test in reports. The default is the name of the function.
///
/// ```no_run
/// #[golo::loadtest(name = "front page")]
/// async fn journey() {}
/// ```
///
/// ## `setup = path`
///
/// Async function without parameters that runs once, before any trigger. It returns the value of the parameter
/// `golo::Shared<T>`, as a `T` or a `Result` of one. If the load test has no such parameter, it returns `()` or
/// `Result<(), E>`. If it fails, the run does not start.
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
/// Async function that runs once, after all triggers have ended. It takes no parameter, or the load test's
/// `golo::Shared<T>`. It returns `()` or `Result<(), E>`.
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
/// ## `http = path`
///
/// Function from `golo::Http` to a `golo::Http`, or to a `Result` of one, that configures golo's transport: headers,
/// time limits, certificates, HTTP version. It receives golo's defaults. A flag of the command line overrides its
/// setting.
///
/// ```no_run
/// use golo::Http;
///
/// fn impatient(http: Http) -> Http {
///     http.timeout(std::time::Duration::from_secs(1)).user_agent("shop-check/1.0")
/// }
///
/// #[golo::loadtest(http = impatient)]
/// async fn journey() {}
/// ```
///
/// ## `client = path`
///
/// Function from `reqwest::ClientBuilder` to `Result<reqwest::Client, E>` that creates the client of each worker, which
/// then sends the requests in place of golo's transport. The builder has golo's defaults. Cannot be combined with
/// `http`.
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
/// Path of the `golo` crate, if it was renamed, or if another macro writes this attribute.
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
