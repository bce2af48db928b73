//! Engines as the run loop sees them: that of this process, and others elsewhere.

use std::{
    collections::VecDeque,
    pin::Pin,
    time::{Instant, SystemTime},
};

use crate::{
    engine::{Engine, Finished, RunEvent, plan::Target, snapshot::Snapshot},
    report::{Moment, Threshold},
    transport::proxy,
};

/// The next event of an engine, or `None` once the run has ended.
pub type NextEvent<'a> = Pin<Box<dyn Future<Output = Option<RunEvent>> + Send + 'a>>;

/// Why a run is stopped before its plan has ended.
#[derive(Debug, Clone)]
pub enum StopReason {
    /// An order of whoever controls the run, which came at this point of it.
    Order(Moment),
    /// This threshold can no longer hold.
    Threshold(Threshold),
}

/// An engine that runs a plan: in this process, in the process of the load test, or on agents.
pub trait EngineHandle: Send {
    /// Waits for the next event; `None` once the run has ended. Dropping the future loses nothing.
    fn next(&mut self) -> NextEvent<'_>;

    /// Lets a held run begin at this time, or as soon as its users have started.
    fn begin(&mut self, at: SystemTime) {
        let _ = at;
    }

    /// Changes the load from now on; the answer is an event.
    fn adjust(&mut self, level: Target);

    /// Starts no further trigger; those in flight may finish within the grace period.
    fn stop(&mut self, reason: &StopReason);

    /// Cuts off what is in flight.
    fn cut(&mut self);

    /// Returns what was measured until the last second.
    fn totals(&self) -> &Snapshot;

    /// Returns when the measured part started, once that is known.
    fn started(&self) -> Option<Instant>;

    /// Returns true once nothing is in flight any more.
    fn has_drained(&mut self) -> bool;

    /// Returns why the connection to the engine broke before the run had ended.
    fn broken(&self) -> Option<String> {
        None
    }

    /// Returns why the engine did not deliver the whole plan, if nobody here stopped it.
    fn ended_early(&self) -> Option<String> {
        None
    }

    /// Number of raw outputs that were lost on the way here.
    fn outputs_lost(&self) -> u64 {
        0
    }

    /// Returns everything that was measured, once the run has ended.
    fn finish(self: Box<Self>) -> Finished;
}

/// The engine of this process.
pub struct LocalEngine {
    engine: Engine,
    is_ready: bool,
    has_started: bool,
    adjusted: VecDeque<RunEvent>,
    /// Proxies in words, if they are known before the run; otherwise those that requests used are looked up at the end.
    proxies: Option<Vec<String>>,
}

impl LocalEngine {
    /// An engine whose requests are made in this process.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, is_ready: false, has_started: false, adjusted: VecDeque::new(), proxies: None }
    }

    /// The same engine for requests that another process makes through these proxies.
    #[must_use]
    pub fn with_proxies(self, proxies: Vec<String>) -> Self {
        Self { proxies: Some(proxies), ..self }
    }

    /// Holds the run once its users have started, until it may [begin](EngineHandle::begin).
    pub fn hold(&mut self) {
        self.engine.hold();
    }

    async fn next_event(&mut self) -> Option<RunEvent> {
        if let Some(adjusted) = self.adjusted.pop_front() {
            return Some(adjusted);
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

    fn begin(&mut self, at: SystemTime) {
        self.engine.begin_at(at);
    }

    fn adjust(&mut self, level: Target) {
        let adjusted = self.engine.adjust(level).cloned().map_err(|error| error.to_string());
        self.adjusted.push_back(RunEvent::Adjusted(adjusted));
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
    use crate::{
        Context,
        engine::{
            Options, Sinks,
            plan::{Asked, Plan},
            share::Share,
            trigger::{Outcome, Trigger},
        },
    };

    struct Nothing;

    impl Trigger for Nothing {
        type User = ();

        fn has_users(&self) -> bool {
            false
        }

        fn prepare(&self) -> Result<(), String> {
            Ok(())
        }

        async fn start(&self, _: &Context) -> Result<(), String> {
            Ok(())
        }

        async fn trigger(&self, _: Context, (): &mut (), _: bool) -> Outcome {
            Outcome::default()
        }

        async fn stop(&self, (): ()) {}
    }

    #[tokio::test]
    async fn changes_of_the_load_are_answered_in_order() {
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
