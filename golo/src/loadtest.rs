//! `Loadtest`: a load test with its name and hooks, and the code around each of its triggers.

pub(crate) mod adapter;
pub(crate) mod erased;
pub(crate) mod handover;
pub(crate) mod hooks;
pub(crate) mod param;
pub(crate) mod runner;
pub(crate) mod scenario;
pub(crate) mod scenarios;
pub(crate) mod users;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::{fmt, marker::PhantomData, sync::Arc, time::Instant};

use serde_json::Value;
use tokio::sync::OnceCell;

use crate::error::{chain, reason};
use crate::loadtest::adapter::{Adapter, IntoOutcome, IntoShared, Portable, Setup, Teardown, Trigger};
use crate::loadtest::erased::{Annotated, Erased, Function, Run, Stateless, UserState};
use crate::loadtest::handover::SetupValues;
use crate::loadtest::hooks::Hooks;
use crate::loadtest::scenario::Scenario;
use crate::loadtest::scenarios::{Scenarios, SharedValues};
use crate::loadtest::users::Users;
use crate::metrics::output::nanoseconds;
use crate::metrics::scope::{Scope, SharedValue};
use crate::metrics::{sequence, sink};
use crate::support::panic::caught;
use crate::support::secrets::without_credentials;
use crate::transport::{client, http};
use crate::{BoxError, Context, Error, Http, IntoHttp, IntoResponse, Response, Runner, Sink};

/// A load test with its name and hooks.
///
/// [`#[golo::loadtest]`](macro@crate::loadtest) generates a `main` that starts one. Use this type to write `main` by
/// hand.
///
/// ```no_run
/// use golo::{Context, Response};
///
/// async fn front(_: Context, mut response: Response) -> Result<Response, golo::RequestError> {
///     let journey = golo::new_sequence_id();
///     let page = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/")).await?;
///     response.tags = golo::tagify([("status", page.status())]);
///     Ok(response)
/// }
///
/// fn main() -> std::process::ExitCode {
///     golo::Loadtest::new(front).name("front").start()
/// }
/// ```
pub struct Loadtest {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    hooks: Hooks,
    /// Name of the only scenario that runs, if one was chosen.
    pub(crate) only: Option<String>,
    sink: Option<Arc<dyn Sink>>,
    adapter: Arc<dyn Erased>,
    users: Users,
    /// Value that `setup` returned, or the reason why it failed.
    shared: OnceCell<Result<SharedValue, String>>,
    /// True if the values of a `setup` that runs once a run came from another member of the run.
    is_taken_over: AtomicBool,
}

impl Loadtest {
    /// Creates a load test from a function of the trigger's [`Context`] and a [`Response`] prepared for it, like
    /// go-lo's `TriggerFunc`. Its name is `loadtest` unless [`name`](Self::name) sets another.
    pub fn new<F, R>(f: F) -> Self
    where
        F: Fn(Context, Response) -> R + Send + Sync + 'static,
        R: Future<Output: IntoResponse> + Send + 'static,
    {
        Self::erased("loadtest", Arc::new(Stateless(Function(f))))
    }

    /// Creates a load test from a [`Runner`], the interface of the older go-lo.
    pub fn runner(runner: impl Runner) -> Self {
        Self::erased("loadtest", Arc::new(Stateless(Run(runner))))
    }

    /// Creates a load test of several scenarios. Its name is `loadtest` unless [`name`](Self::name) sets another.
    ///
    /// Scenarios without a load of their own share the plan of the run: any run of as many triggers as the sum of their
    /// weights has each scenario exactly as often as its weight says, in an order that `--seed` decides.
    pub fn of_scenarios(scenarios: impl IntoIterator<Item = Scenario>) -> Self {
        Self::erased("loadtest", Arc::new(Scenarios::new(scenarios.into_iter().collect())))
    }

    /// Creates the load test that an expansion of `#[golo::loadtest]` describes.
    #[doc(hidden)]
    pub fn adapter<A: Adapter>(name: &str, _: A) -> Self {
        Self::erased(name, Arc::new(Annotated::<A>(PhantomData)))
    }

    fn erased(name: &str, adapter: Arc<dyn Erased>) -> Self {
        client::install_provider();
        Self {
            name: name.to_owned(),
            version: None,
            hooks: Hooks::default(),
            only: None,
            sink: None,
            users: Users::new(Arc::clone(&adapter)),
            adapter,
            shared: OnceCell::new(),
            is_taken_over: AtomicBool::new(false),
        }
    }

    /// Sets the name of the load test. Messages show it, and it is the job name of `once`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the version that `--version` prints.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the function that runs once before the first trigger of a run. It returns a `T` or a `Result` of one, which
    /// every trigger shares as [`Shared<T>`](crate::Shared). The load test does not start if it fails. Nothing that it
    /// does is measured as load.
    #[must_use]
    pub fn setup<T>(mut self, f: impl Setup<Returned: Future<Output: IntoShared<T>> + Send + 'static>) -> Self
    where
        T: Send + Sync + 'static,
    {
        self.hooks.set_setup(f);
        self
    }

    /// As [`setup`](Self::setup), but the function runs once a run: if `golo submit` runs the load test on several
    /// agents, one of them runs it, and its value goes to all others as JSON of at most 1 MiB. `teardown` then runs once
    /// too, after the load on all agents has ended.
    ///
    /// ```no_run
    /// use golo::{Context, Loadtest, Response, Shared};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Token(String);
    ///
    /// async fn log_in() -> Token {
    ///     Token("1984".to_owned())
    /// }
    ///
    /// async fn account(_: Context, response: Response) -> Result<Response, &'static str> {
    ///     let token = Shared::<Token>::current().ok_or("there is no token")?;
    ///     Ok(Response { output: format!("{} digits", token.0.len()), ..response })
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Loadtest::new(account).name("account").setup_of_run::<Token>(log_in).start()
    /// }
    /// ```
    #[must_use]
    pub fn setup_of_run<T: Portable>(
        mut self,
        f: impl Setup<Returned: Future<Output: IntoShared<T>> + Send + 'static>,
    ) -> Self {
        self.hooks.set_setup_of_run(f);
        self
    }

    /// Sets the function that runs once after the last trigger and after the last user has stopped. It takes nothing or
    /// a [`Shared<T>`](crate::Shared). Nothing that it does is measured as load.
    #[must_use]
    pub fn teardown<T, M>(mut self, f: impl Teardown<T, M, Future: Future<Output: IntoOutcome> + Send>) -> Self
    where
        T: Send + Sync + 'static,
    {
        self.hooks.set_teardown(f);
        self
    }

    /// Sets the function that builds the HTTP client, like [`set_client`](crate::set_client).
    #[must_use]
    pub fn client<F, E>(self, f: F) -> Self
    where
        F: Fn(reqwest::ClientBuilder) -> Result<reqwest::Client, E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        client::set_client(f);
        self
    }

    /// Sets the function that configures golo's transport, like [`set_http`](crate::set_http).
    #[must_use]
    pub fn http<F, R>(self, f: F) -> Self
    where
        F: Fn(Http) -> R + Send + Sync + 'static,
        R: IntoHttp,
    {
        http::set_http(f);
        self
    }

    /// Sends the outputs of this load test's triggers to `sink` instead of stdout.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// Triggers the load test once, like a call of `golo.Job/Trigger`. The first trigger runs `setup` if it has not run
    /// yet.
    ///
    /// Never fails: if the load test fails, the returned [`Response`] has `error` set and the reason in `output`.
    /// Dropping the future drops the load test's future.
    ///
    /// ```
    /// # async fn example() {
    /// let loadtest = golo::Loadtest::new(|_, _| async { Err::<(), _>("out of stock") });
    /// let response = loadtest.trigger(golo::Context::default()).await;
    /// assert!(response.error && response.output == "out of stock");
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example());
    /// ```
    pub async fn trigger(&self, mut context: Context) -> Response {
        let prepared = Response { job_name: context.job_name.clone(), ..Response::default() };
        match self.adapter.choose(context.scenario.as_deref()) {
            Ok(scenario) => context.scenario = scenario,
            Err(error) => return failed(prepared, reason(error)),
        }
        let sink = self.sink.clone().unwrap_or_else(sink::process);
        if let Some(room) = sink.backpressure() {
            room.await;
        }
        let shared = match self.set_up().await {
            Ok(shared) => shared,
            Err(error) => return failed(prepared, chain(&error)),
        };
        let mut lease = match self.users.lease(&context, &shared).await {
            Ok(lease) => lease,
            Err(reason) => return failed(prepared, reason),
        };
        let shared_by_scenario = self.adapter.shared_of(&shared, context.scenario.as_deref());
        let scope = Arc::new(
            Scope::new(sink, client::visitor_of_trigger(&lease.visitor()), Some(shared_by_scenario))
                .of_trigger(&context, 0),
        );
        let started = Instant::now();
        let result = self.call(&scope, context, lease.state()).await;
        let duration = started.elapsed().saturating_sub(scope.thought());
        let mut response = match result {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => Response { error: true, output: reason(error), ..prepared.clone() },
            Err(panicked) => {
                lease.discard();
                Response { error: true, output: panicked, ..prepared.clone() }
            }
        };
        if response.id.is_empty() {
            response.id = scope.first_sequence().map_or_else(sequence::unnoted_sequence_id, str::to_owned);
        }
        if response.job_name.is_empty() {
            response.job_name = prepared.job_name;
        }
        response.duration = nanoseconds(duration);
        clean(response)
    }

    /// Calls the load test in `scope` with the state of its user. If the load test panics, returns `Err` with the
    /// panic's message.
    pub(crate) fn call<'a>(
        &'a self,
        scope: &Arc<Scope>,
        context: Context,
        state: &'a mut UserState,
    ) -> impl Future<Output = Result<Result<Response, BoxError>, String>> + Send + use<'a> {
        let trigger = Trigger { context, shared: scope.shared.clone() };
        Arc::clone(scope).run(caught(self.adapter.trigger(trigger, state)))
    }

    /// Returns the scenario of a single trigger: the named one, or one by the weights. `None` for a load test of one
    /// function.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such scenario.
    pub(crate) fn choose(&self, named: Option<&str>) -> Result<Option<String>, BoxError> {
        match named {
            Some(_) if self.adapter.scenarios().is_empty() => {
                Err("the load test has no scenarios: remove `--scenario`".into())
            }
            _ => self.adapter.choose(named),
        }
    }

    /// Returns the load test behind its common interface.
    pub(crate) fn erased_adapter(&self) -> &dyn Erased {
        &*self.adapter
    }

    fn own_hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Returns true if `setup` has run, or has failed.
    pub(crate) fn is_set_up(&self) -> bool {
        self.shared.initialized()
    }

    /// Returns the load test's own sink, if it has one.
    pub(crate) fn own_sink(&self) -> Option<Arc<dyn Sink>> {
        self.sink.clone()
    }

    /// Runs `setup` unless it has run already, and returns its value.
    pub(crate) async fn set_up(&self) -> Result<SharedValue, Error> {
        self.set_up_with(None).await
    }

    /// As [`set_up`](Self::set_up), with the values of each `setup` that runs once a run on another member.
    async fn set_up_with(&self, given: Option<&SetupValues>) -> Result<SharedValue, Error> {
        let shared = self.shared.get_or_init(|| async {
            self.is_taken_over.store(given.is_some(), Relaxed);
            let value = |scenario| given.map(|values| values.of(scenario));
            let common = self.run_setup(&self.hooks, value(None)).await?;
            let scenarios = self.adapter.scenarios();
            if !scenarios.iter().any(|scenario| scenario.hooks.has_setup()) {
                return Ok(common);
            }
            let mut own = Vec::with_capacity(scenarios.len());
            for scenario in scenarios {
                let runs = scenario.hooks.has_setup() && self.runs(scenario);
                let given = value(Some(&*scenario.name));
                let value = if runs { Some(self.run_setup(&scenario.hooks, given).await) } else { None };
                match value.transpose() {
                    Ok(value) => own.push(value),
                    Err(reason) => {
                        let values: SharedValue = Arc::new(SharedValues { common, own });
                        // The error of `setup` is reported. Those of hooks after it would only follow from it.
                        let _ = self.run_teardowns(&values).await;
                        return Err(format!("scenario `{}`: {reason}", scenario.name));
                    }
                }
            }
            Ok(Arc::new(SharedValues { common, own }) as SharedValue)
        });
        shared.await.clone().map_err(|reason| Error::start("`setup` failed", Some(reason.into())))
    }

    /// Runs a `setup`. If it runs once a run and values were `given`, reads its value instead.
    async fn run_setup(&self, hooks: &Hooks, given: Option<Option<&Value>>) -> Result<SharedValue, String> {
        if let Some(read) = given.and_then(|value| hooks.read(value)) {
            return read.map_err(reason);
        }
        self.aside(None, hooks.set_up()).await?.map_err(reason)
    }

    /// Returns true if a scenario may run: unless another one was chosen.
    fn runs(&self, scenario: &Scenario) -> bool {
        self.only.as_ref().is_none_or(|only| *only == scenario.name)
    }

    /// Stops every user, then runs `teardown` if `setup` succeeded.
    pub(crate) async fn tear_down(&self) -> Result<(), Error> {
        let Some(Ok(shared)) = self.shared.get() else {
            return Ok(());
        };
        self.users.end_all().await;
        let result = self.run_teardowns(shared).await;
        result.map_err(|error| Error::teardown("`teardown` failed", Some(reason(error).into())))
    }

    /// Runs the `teardown` of each scenario that was set up, then that of the load test.
    async fn run_teardowns(&self, shared: &SharedValue) -> Result<(), BoxError> {
        let was_set_up = |number: usize, scenario: &Scenario| {
            let values = shared.downcast_ref::<SharedValues>();
            self.runs(scenario) && values.is_none_or(|values| number < values.own.len())
        };
        let scenarios = self.adapter.scenarios().iter().enumerate();
        let of_scenarios =
            scenarios.filter(|(number, scenario)| was_set_up(*number, scenario)).map(|(_, scenario)| scenario);
        let hooks = of_scenarios.map(|scenario| (&scenario.hooks, Some(&*scenario.name))).chain([(&self.hooks, None)]);
        let mut result = Ok(());
        let is_elsewhere = |hooks: &Hooks| hooks.are_of_run() && self.is_taken_over.load(Relaxed);
        for (hooks, scenario) in hooks.filter(|(hooks, _)| hooks.has_teardown() && !is_elsewhere(hooks)) {
            let shared = self.adapter.shared_of(shared, scenario);
            let ending = self.aside(Some(Arc::clone(&shared)), hooks.tear_down(shared));
            let ended = ending.await.unwrap_or_else(|panicked| Err(panicked.into()));
            // The others still run. The first error is reported.
            result = result.and(ended);
        }
        result
    }

    /// Returns the number of users that have begun to stop and have not stopped yet.
    pub(crate) fn unstopped_users(&self) -> usize {
        self.users.unstopped()
    }

    /// Ends users that have been idle for too long. Never returns.
    pub(crate) async fn end_idle_users(&self) {
        self.users.end_idle().await;
    }

    /// Runs a hook in a scope of its own, like a trigger, but records none of its requests.
    async fn aside<F: Future>(&self, shared: Option<SharedValue>, hook: F) -> Result<F::Output, String> {
        let scope = Scope::new(Arc::new(sink::Discard), Arc::default(), shared);
        Arc::new(scope).run(caught(hook)).await
    }
}

impl fmt::Debug for Loadtest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loadtest").field("name", &self.name).finish_non_exhaustive()
    }
}

fn failed(prepared: Response, reason: String) -> Response {
    clean(Response { id: sequence::unnoted_sequence_id(), error: true, output: reason, ..prepared })
}

/// Removes credentials from the texts that the load test wrote.
fn clean(mut response: Response) -> Response {
    let tags = response.tags.iter_mut().flat_map(|tag| [&mut tag.key, &mut tag.value]);
    for text in std::iter::once(&mut response.output).chain(tags) {
        if let std::borrow::Cow::Owned(cleaned) = without_credentials(text) {
            *text = cleaned;
        }
    }
    response
}
