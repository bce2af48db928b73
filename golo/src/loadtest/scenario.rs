//! `Scenario`: one of several functions of a load test, with its weight or a load of its own.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::loadtest::adapter::{Adapter, IntoOutcome, IntoShared, Portable, Setup, Teardown};
use crate::loadtest::erased::{Annotated, Erased, Function, Stateless};
use crate::loadtest::hooks::Hooks;
use crate::{Context, IntoResponse, Response};

/// One of several scenarios of a load test: what one kind of user does.
///
/// `#[golo::scenario]` creates them in a module with [`#[golo::loadtest]`](macro@crate::loadtest). Use this type, with
/// [`Loadtest::of_scenarios`](crate::Loadtest::of_scenarios), to write `main` by hand.
///
/// ```no_run
/// use golo::{Context, Loadtest, Response, Scenario};
///
/// async fn browse(_: Context, response: Response) -> Response {
///     response
/// }
///
/// async fn buy(_: Context, response: Response) -> Response {
///     response
/// }
///
/// fn main() -> std::process::ExitCode {
///     let scenarios = [Scenario::new("browse", browse).weight(9), Scenario::new("buy", buy)];
///     Loadtest::of_scenarios(scenarios).name("shop").start()
/// }
/// ```
pub struct Scenario {
    pub(crate) name: String,
    /// Settings in the order in which they were made, as the flag `--scenario` has them.
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) thresholds: Vec<String>,
    pub(crate) hooks: Hooks,
    pub(crate) adapter: Arc<dyn Erased>,
}

impl Scenario {
    /// Creates a scenario from a function of the trigger's [`Context`] and a [`Response`] prepared for it. Its weight is
    /// 1.
    pub fn new<F, R>(name: impl Into<String>, f: F) -> Self
    where
        F: Fn(Context, Response) -> R + Send + Sync + 'static,
        R: Future<Output: IntoResponse> + Send + 'static,
    {
        Self::erased(name.into(), Arc::new(Stateless(Function(f))))
    }

    /// Creates the scenario that an expansion of `#[golo::scenario]` describes.
    #[doc(hidden)]
    pub fn adapter<A: Adapter>(name: &str, _: A) -> Self {
        Self::erased(name.to_owned(), Arc::new(Annotated::<A>(PhantomData)))
    }

    fn erased(name: String, adapter: Arc<dyn Erased>) -> Self {
        Self { name, settings: Vec::new(), thresholds: Vec::new(), hooks: Hooks::default(), adapter }
    }

    /// Sets the number of its triggers among as many triggers as the sum of all weights. A scenario of weight 0 runs
    /// only if it is chosen with `--only`.
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        self.set("weight", weight.to_string())
    }

    /// Sets a value as the flag `--scenario` does: `set("rate", "10/s")`. With `users`, `rate` or `stages`, the scenario
    /// has a load of its own, and no part in the weights. [`macro@crate::loadtest`] lists the keys.
    ///
    /// The load test does not start if a value is invalid.
    #[must_use]
    pub fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((key, value.into()));
        self
    }

    /// Adds a threshold that the scenario's requests and triggers must pass. The tag `scenario` is added to it.
    #[must_use]
    pub fn threshold(mut self, threshold: impl Into<String>) -> Self {
        self.thresholds.push(threshold.into());
        self
    }

    /// Sets the function that runs once before the first trigger of a run, like
    /// [`Loadtest::setup`](crate::Loadtest::setup). Its value is shared by the triggers of this scenario, instead of that
    /// of the load test's `setup`.
    #[must_use]
    pub fn setup<T>(mut self, f: impl Setup<Returned: Future<Output: IntoShared<T>> + Send + 'static>) -> Self
    where
        T: Send + Sync + 'static,
    {
        self.hooks.set_setup(f);
        self
    }

    /// As [`setup`](Self::setup), but once a run, like [`Loadtest::setup_of_run`](crate::Loadtest::setup_of_run).
    #[must_use]
    pub fn setup_of_run<T: Portable>(
        mut self,
        f: impl Setup<Returned: Future<Output: IntoShared<T>> + Send + 'static>,
    ) -> Self {
        self.hooks.set_setup_of_run(f);
        self
    }

    /// Sets the function that runs once after the last trigger, like
    /// [`Loadtest::teardown`](crate::Loadtest::teardown).
    #[must_use]
    pub fn teardown<T, M>(mut self, f: impl Teardown<T, M, Future: Future<Output: IntoOutcome> + Send>) -> Self
    where
        T: Send + Sync + 'static,
    {
        self.hooks.set_teardown(f);
        self
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("name", &self.name).field("settings", &self.settings).finish_non_exhaustive()
    }
}
