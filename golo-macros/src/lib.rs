//! The attribute macro of golo. Use it through the `golo` crate, as `#[golo::loadtest]`.
//!
//! A function passes through `args` (the options), `validate` (the signature) and `expand`. A module of scenarios is split
//! by `module` first, and `scenario` parses the options of each. After a mistake, everything passes through `fallback`
//! instead, so that the rest of the program still compiles.

mod args;
mod expand;
mod fallback;
mod module;
mod scenario;
mod validate;

use proc_macro::TokenStream;

/// Turns an `async fn` into a load test, and its crate into the binary that serves it, runs it and reports results.
///
/// The attribute belongs on one free function in the root of the crate, with any name, or on one [module of
/// scenarios](#scenarios). It generates the `main` function. The function itself does not change, and unit tests can call
/// it (unless its name is `main`).
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
/// # Scenarios
///
/// A load test with several kinds of users is a module. Each function with `#[golo::scenario]` in it is one scenario, with
/// the parameters and results above. Users that take a state of the same type share one state: here, each user logs in
/// once.
///
/// ```no_run
/// #[golo::loadtest]
/// mod shop {
///     use golo::{BoxError, Context, RequestError};
///
///     struct Shopper {
///         journey: String,
///     }
///
///     impl golo::User for Shopper {
///         async fn start(_: &Context) -> Result<Self, BoxError> {
///             golo::client().post("http://127.0.0.1:8765/login").send().await?.error_for_status()?;
///             Ok(Self { journey: golo::new_sequence_id() })
///         }
///     }
///
///     #[golo::scenario(weight = 70)]
///     async fn browse(shopper: &mut Shopper) -> Result<(), RequestError> {
///         golo::do_request(&shopper.journey, golo::client().get("http://127.0.0.1:8765/items")).await?;
///         Ok(())
///     }
///
///     #[golo::scenario(weight = 30, thresholds = ["iteration_failed rate<1%"])]
///     async fn buy(shopper: &mut Shopper) -> Result<(), RequestError> {
///         golo::do_request(&shopper.journey, golo::client().post("http://127.0.0.1:8765/orders")).await?;
///         Ok(())
///     }
///
///     #[golo::scenario(rate = "1/s", start = "30s")]
///     async fn restock() {}
/// }
/// ```
///
/// Scenarios with a `weight` (1 by default) share the load of the run. They are dealt exactly: of any 100 triggers in a
/// row, 70 are `browse` and 30 are `buy`, in an order that depends on `--seed` only. A scenario of weight 0 runs only if it
/// is chosen, with `run --only NAME` or `once --scenario NAME`.
///
/// With `users`, `rate` or `stages`, a scenario has a load of its own, which runs beside the others, with users of its
/// own. The options are the flags of `run`: `users = 5`, `rate = "10/s"`, `stages = "30s:100,10s:0"`, `pace = "1s"`,
/// `duration = "1m"`, `iterations = 100`, `arrivals = "poisson"`, `max_users = 100`; and `start = "30s"`, the time from the
/// start of the run to its own. Without a duration, it ends with the run. `run --scenario buy:rate=5/s,start=1m` overrides
/// them, and so does a table `[scenario.buy]` of a job file.
///
/// Further options of a scenario: `name`, `setup`, `setup_scope` and `teardown` as below, for this scenario alone, and `thresholds`, which
/// its requests and triggers must pass. Paths are resolved inside the module, also those in the options of the load test.
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
/// ## `setup_scope = "run"`
///
/// How often `setup` runs: once in each process (`"process"`, the default), or once a run (`"run"`). They differ if
/// `golo submit` runs the load test on several agents. With `"run"`, the first agent runs `setup`, and its value goes to
/// all others before their users start. `teardown` then runs once too, on the first agent, after the load of all others
/// has ended. If `setup` fails, the run does not start.
///
/// The value is sent as JSON of at most 1 MiB, so its type has to be `serde::Serialize` and `serde::Deserialize`. It may
/// be a secret: it is sent from agent to agent through `golo submit`, and neither stored nor printed.
///
/// ```no_run
/// use golo::Shared;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Token(String);
///
/// async fn log_in() -> Result<Token, golo::BoxError> {
///     let answer = golo::client().post("http://127.0.0.1:8765/login").send().await?.error_for_status()?;
///     Ok(Token(answer.text().await?))
/// }
///
/// #[golo::loadtest(setup = log_in, setup_scope = "run")]
/// async fn account(token: Shared<Token>) -> Result<(), golo::RequestError> {
///     let request = golo::client().get("http://127.0.0.1:8765/account").bearer_auth(&token.0);
///     golo::do_request(&golo::new_sequence_id(), request).await?;
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

/// Makes an `async fn` one of several scenarios of a load test.
///
/// It belongs on functions of a module with [`#[golo::loadtest]`](macro@loadtest), which describes scenarios and their
/// options.
#[proc_macro_attribute]
pub fn scenario(_: TokenStream, item: TokenStream) -> TokenStream {
    expand::scenario_alone(item.into()).into()
}
