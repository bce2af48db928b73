//! Engines that the run loop can drive: the engine of this process and remote ones.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::{Instant, SystemTime};

use crate::engine::plan::{Plan, Target};
use crate::engine::snapshot::Snapshot;
use crate::engine::{Engine, Finished, RunEvent};
use crate::report::{Moment, RunOutcome, Threshold};
use crate::transport::proxy;

/// Future of an engine's next event. It is `None` once the run has ended.
pub type NextEvent<'a> = Pin<Box<dyn Future<Output = Option<RunEvent>> + Send + 'a>>;

/// Reason to stop a run before the end of its plan.
#[derive(Debug, Clone)]
pub enum StopReason {
    /// An order from the [control](super::Control), with the stage of the run at which it came.
    Order(Moment),
    /// This threshold can no longer pass.
    Threshold(Threshold),
}

/// An engine that runs a plan: in this process, in the load test's process, or on agents.
pub trait EngineHandle: Send {
    /// Waits for the next event. Returns `None` once the run has ended. Dropping the future loses no event.
    fn next(&mut self) -> NextEvent<'_>;

    /// Holds the run after its users have started, until [`begin`](Self::begin) is called. Must be called before the
    /// first event is taken. Without effect on engines that begin together with others.
    fn hold(&mut self) {}

    /// Lets a held run begin at this time, or as soon as its users have started.
    fn begin(&mut self, at: SystemTime) {
        let _ = at;
    }

    /// Changes the load from now on. The engine answers with [`RunEvent::Adjusted`].
    fn adjust(&mut self, level: Target);

    /// Starts no further triggers. Triggers in flight may finish within the grace period.
    fn stop(&mut self, reason: &StopReason);

    /// Cuts off the triggers in flight.
    fn cut(&mut self);

    /// Returns everything that was measured up to the last reported second.
    fn totals(&self) -> &Snapshot;

    /// Returns the start of the measured time, if it is known.
    fn started(&self) -> Option<Instant>;

    /// Returns true if no trigger is in flight any more.
    fn has_drained(&mut self) -> bool;

    /// Returns the reason why the connection to the engine broke before the end of the run.
    fn broken(&self) -> Option<String> {
        None
    }

    /// Returns the reason why the engine did not deliver the whole plan, unless this process stopped it.
    fn ended_early(&self) -> Option<String> {
        None
    }

    /// Adds an end of the run that another process has ordered, if the engine knows of one.
    fn add_end(&self, outcome: &mut RunOutcome) {
        let _ = outcome;
    }

    /// Returns the number of raw outputs that the engine produced and this process did not receive.
    fn outputs_lost(&self) -> u64 {
        0
    }

    /// Returns all measurements, once the run has ended.
    fn finish(self: Box<Self>) -> Finished;
}

/// The engine of this process.
pub struct LocalEngine {
    engine: Engine,
    is_ready: bool,
    has_started: bool,
    /// Events that do not come from the engine.
    events: VecDeque<RunEvent>,
    /// Descriptions of the proxies, if they are known before the run. Otherwise they are looked up at the end, from the
    /// origins of the requests.
    proxies: Option<Vec<String>>,
}

impl LocalEngine {
    /// Creates a handle to an engine whose requests are made in this process.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, is_ready: false, has_started: false, events: VecDeque::new(), proxies: None }
    }

    /// Sets the proxies of an engine whose requests are made in another process.
    #[must_use]
    pub fn with_proxies(self, proxies: Vec<String>) -> Self {
        Self { proxies: Some(proxies), ..self }
    }

    /// Reports that the plan was completed with scenarios, and the thresholds that they add.
    #[must_use]
    pub fn planned(mut self, plan: Plan, thresholds: Vec<String>) -> Self {
        self.events.push_back(RunEvent::Planned { plan, thresholds });
        self
    }

    async fn next_event(&mut self) -> Option<RunEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if !self.is_ready
            && let Some(users) = self.engine.ready().await
        {
            self.is_ready = true;
            return Some(RunEvent::Ready { users });
        }
        if !self.has_started
            && let Some(at) = self.engine.started_at()
        {
            self.has_started = true;
            return Some(RunEvent::Started { at });
        }
        self.engine.next().await.map(RunEvent::Second)
    }
}

impl EngineHandle for LocalEngine {
    fn next(&mut self) -> NextEvent<'_> {
        Box::pin(self.next_event())
    }

    fn hold(&mut self) {
        self.engine.hold();
    }

    fn begin(&mut self, at: SystemTime) {
        self.engine.begin_at(at);
    }

    fn adjust(&mut self, level: Target) {
        let adjusted = self.engine.adjust(level).cloned().map_err(|error| error.to_string());
        self.events.push_back(RunEvent::Adjusted(adjusted));
    }

    fn stop(&mut self, _: &StopReason) {
        self.engine.stop();
    }

    fn cut(&mut self) {
        self.engine.cut();
    }

    fn totals(&self) -> &Snapshot {
        self.engine.totals()
    }

    fn started(&self) -> Option<Instant> {
        self.engine.started()
    }

    fn has_drained(&mut self) -> bool {
        self.engine.has_drained()
    }

    fn ended_early(&self) -> Option<String> {
        self.engine.stuck().map(str::to_owned)
    }

    fn finish(self: Box<Self>) -> Finished {
        let finished = self.engine.finish();
        let proxies = self.proxies.unwrap_or_else(|| proxy::used_for_any(finished.origins()));
        Finished { proxies, ..finished }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::Context;
    use crate::engine::mix::Mix;
    use crate::engine::plan::{Asked, Plan};
    use crate::engine::share::Share;
    use crate::engine::trigger::{Outcome, Trigger};
    use crate::engine::{Options, Sinks};

    struct Nothing;

    impl Trigger for Nothing {
        type User = ();

        fn has_users(&self) -> bool {
            false
        }

        fn prepare(&self) -> Result<(), String> {
            Ok(())
        }

        async fn start(&self, _: &Context, _: &Mix) -> Result<(), String> {
            Ok(())
        }

        async fn trigger(&self, _: Context, (): &mut (), _: bool) -> Outcome {
            Outcome::default()
        }

        async fn stop(&self, (): ()) {}
    }

    #[tokio::test]
    async fn load_changes_are_answered_in_order() {
        let sinks = Sinks::new(Vec::new());
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let plan = Plan::new(Asked { users: Some(9), ..Asked::default() }).unwrap();
        let mut engine = LocalEngine::new(Engine::start(Arc::new(Nothing), plan, options, sinks).unwrap());
        engine.hold();
        (2..5).for_each(|users| engine.adjust(Target::Users(users)));
        for users in 2..5 {
            let Some(RunEvent::Adjusted(Ok(plan))) = engine.next().await else { panic!("no answer to a change") };
            assert_eq!(plan.users_at(Duration::from_secs(1)), users);
        }
        engine.cut();
    }
}
