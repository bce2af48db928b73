//! The value of a `setup` that runs once a run. One member writes it, and the others take it over.

use serde_json::{Map, Value};

use crate::loadtest::hooks::Hooks;
use crate::metrics::scope::SharedValue;
use crate::user::member;
use crate::{Error, Loadtest};

/// Largest value, in bytes of JSON.
const LARGEST: usize = 1 << 20;
/// Key of the value of the load test's own `setup`. No scenario has an empty name.
const OWN: &str = "";

/// Values of the load test's `setup` and of those of its scenarios.
pub(crate) struct SetupValues(Map<String, Value>);

impl SetupValues {
    /// Reads what another member of the run has written.
    fn read(json: &[u8]) -> Result<Self, Error> {
        let values = serde_json::from_slice(json);
        // serde's message may quote the value, which may be a secret.
        values.map(Self).map_err(|_| Error::start("the value of `setup` did not arrive as a JSON object", None))
    }

    /// Returns the value of a scenario's `setup`, or of the load test's own.
    pub(crate) fn of(&self, scenario: Option<&str>) -> Option<&Value> {
        self.0.get(scenario.unwrap_or(OWN))
    }
}

impl Loadtest {
    fn hooks(&self) -> impl Iterator<Item = (Option<&str>, &Hooks)> {
        let of_scenarios = self.erased_adapter().scenarios().iter().filter(|scenario| self.runs(scenario));
        let of_scenarios = of_scenarios.map(|scenario| (Some(&*scenario.name), &scenario.hooks));
        std::iter::once((None, self.own_hooks())).chain(of_scenarios)
    }

    /// Returns true if a `setup` runs once a run.
    pub(crate) fn has_setup_of_run(&self) -> bool {
        self.hooks().any(|(_, hooks)| hooks.are_of_run())
    }

    /// Returns true if another member of the run runs `setup`, as far as is known before the plan.
    pub(crate) fn waits_for_setup(&self) -> bool {
        self.has_setup_of_run() && member::share().index() > 0
    }

    /// Returns the values of each `setup` that runs once a run, as JSON for the other members.
    ///
    /// # Errors
    ///
    /// Returns an error if a value cannot be written as JSON, or if they are too large. The error does not quote them.
    pub(crate) fn setup_values(&self, shared: &SharedValue) -> Result<Vec<u8>, Error> {
        let mut values = Map::new();
        for (scenario, hooks) in self.hooks() {
            let shared = self.erased_adapter().shared_of(shared, scenario);
            if let Some(value) = hooks.write(&shared) {
                let value = value.map_err(|error| Error::start("`setup` failed", Some(error)))?;
                values.insert(scenario.unwrap_or(OWN).to_owned(), value);
            }
        }
        let json = Value::from(values).to_string().into_bytes();
        if json.len() > LARGEST {
            let reason = format!(
                "the value of `setup` is {} bytes of JSON, and at most {LARGEST} bytes can be sent to the other members of \
                 the run",
                json.len()
            );
            return Err(Error::start(reason, None));
        }
        Ok(json)
    }

    /// Takes over the values that another member has written, and runs each `setup` that runs in every process.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is not of the type that this load test needs, or if a `setup` fails.
    pub(crate) async fn take_over_setup(&self, json: &[u8]) -> Result<SharedValue, Error> {
        let values = SetupValues::read(json)?;
        self.set_up_with(Some(&values)).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::error::chain;
    use crate::{Context, Response, Scenario, Shared};

    fn loadtest() -> Loadtest {
        Loadtest::new(|_, _| async {
            let shared = Shared::<String>::current().map(|shared| shared.to_string());
            shared.map(|output| Response { output, ..Response::default() }).ok_or("no value")
        })
    }

    fn counted(count: &Arc<AtomicUsize>) -> impl Fn() -> std::future::Ready<()> + Send + Sync + 'static + use<> {
        let count = Arc::clone(count);
        move || {
            count.fetch_add(1, Relaxed);
            std::future::ready(())
        }
    }

    #[tokio::test]
    async fn value_is_taken_over_and_torn_down_by_the_member_that_made_it() {
        let ended = Arc::<AtomicUsize>::default();
        let of = |value: &'static str| {
            let loadtest = loadtest().setup_of_run::<String>(move || async move { value.to_owned() });
            loadtest.teardown::<String, _>(counted(&ended))
        };
        let (first, second) = (of("token"), of("of another member"));
        let json = first.setup_values(&first.set_up().await.unwrap()).unwrap();
        assert_eq!(json, br#"{"":"token"}"#);
        second.take_over_setup(&json).await.unwrap();
        assert_eq!(second.trigger(Context::default()).await.output, "token");
        second.tear_down().await.unwrap();
        assert_eq!(ended.load(Relaxed), 0);
        first.tear_down().await.unwrap();
        assert_eq!(ended.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn each_scenario_has_the_scope_of_its_own_setup() {
        let runs = Arc::<AtomicUsize>::default();
        let of = |value: u32| {
            let trigger = |_: Context, response: Response| async { response };
            Loadtest::of_scenarios([
                Scenario::new("buy", trigger).setup_of_run::<u32>(move || async move { value }),
                Scenario::new("browse", trigger).setup::<()>(counted(&runs)),
            ])
        };
        let (first, second) = (of(7), of(8));
        let json = first.setup_values(&first.set_up().await.unwrap()).unwrap();
        assert_eq!(json, br#"{"buy":7}"#);
        let shared = second.take_over_setup(&json).await.unwrap();
        let shared = second.erased_adapter().shared_of(&shared, Some("buy"));
        assert_eq!((shared.downcast_ref::<u32>(), runs.load(Relaxed)), (Some(&7), 2));
    }

    #[tokio::test]
    async fn unfit_values_are_errors_that_do_not_quote_them() {
        let error = |result: Result<Vec<u8>, Error>| chain(&result.unwrap_err());
        let large = loadtest().setup_of_run::<String>(|| async { "hush ".repeat(300_000) });
        let text = error(large.setup_values(&large.set_up().await.unwrap()));
        assert!(text.starts_with("the value of `setup` is 1500007 bytes of JSON, and at most 1048576"), "{text}");
        let keys = loadtest().setup_of_run::<HashMap<(u8, u8), u8>>(|| async { HashMap::from([((1, 2), 3)]) });
        let text = error(keys.setup_values(&keys.set_up().await.unwrap()));
        assert!(text.contains("cannot be written as JSON"), "{text}");
        for json in [r#"{"":"hush"}"#, r#"["hush"]"#, "hush", "{}"] {
            let number = loadtest().setup_of_run::<u32>(|| async { 7 });
            let text = chain(&number.take_over_setup(json.as_bytes()).await.unwrap_err());
            assert!(text.contains("`setup`") && !text.contains("hush"), "{text}");
        }
    }
}
