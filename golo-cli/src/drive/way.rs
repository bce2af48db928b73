//! The two ways to drive a load test in another process: its own engine runs the whole plan, or ours triggers it.

use std::{
    collections::VecDeque,
    time::{Instant, SystemTime},
};

use clap::ValueEnum;
use golo::{
    cli::Drive,
    engine::{Engine, Finished, Progress, plan::Target, snapshot::Snapshot},
    pb::{engine as pb, engine::event::Event},
    wire,
};

use crate::drive::engine_client::EngineClient;

/// Who runs the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriveBy {
    /// The load test's own engine.
    Plan,
    /// This one, trigger by trigger.
    Trigger,
}

/// An engine that drives a load test in another process.
pub enum Way {
    /// Ours, over `golo.Job`.
    Ours(Box<Ours>),
    /// The load test's own, over `golo.engine.v1.Engine`.
    Its(Box<EngineClient>),
}

/// Our engine, and what it has told.
pub struct Ours {
    engine: Engine,
    is_ready: bool,
    has_started: bool,
    /// Of a change of the load.
    adjusted: VecDeque<Event>,
    /// The proxies that requests go through, in words.
    proxies: Vec<String>,
}

impl Way {
    /// Ours.
    #[must_use]
    pub fn ours(engine: Engine) -> Self {
        let (adjusted, proxies) = (VecDeque::new(), Vec::new());
        Self::Ours(Box::new(Ours { engine, is_ready: false, has_started: false, adjusted, proxies }))
    }

    /// The same, where it is known through which proxies requests go. A load test's own engine tells that itself.
    #[must_use]
    pub fn through(mut self, proxies: Vec<String>) -> Self {
        if let Self::Ours(ours) = &mut self {
            ours.proxies = proxies;
        }
        self
    }

    /// Holds the run, once its users have started, until it may [begin](Self::begin).
    pub fn hold(&mut self) {
        match self {
            Self::Ours(ours) => ours.engine.hold(),
            Self::Its(its) => its.hold(),
        }
    }

    /// Begins at `at`, or as soon as it is ready.
    pub fn begin(&mut self, at: SystemTime) {
        match self {
            Self::Ours(ours) => ours.engine.begin_at(at),
            Self::Its(its) => its.begin(at),
        }
    }

    /// Changes the load from now on; the answer is an event.
    pub fn adjust(&mut self, level: Target) {
        match self {
            Self::Ours(ours) => {
                let adjusted = match ours.engine.adjust(level) {
                    Ok(plan) => pb::Adjusted { refused: String::new(), load: Some(plan.into()) },
                    Err(error) => pb::Adjusted { refused: error.to_string(), load: None },
                };
                ours.adjusted.push_back(Event::Adjusted(adjusted));
            }
            Self::Its(its) => its.adjust(level),
        }
    }

    /// Waits for what is told next; gives nothing once the run has ended, but for its [end](Self::end). Dropping the future
    /// loses nothing.
    pub async fn told(&mut self) -> Option<Event> {
        match self {
            Self::Ours(ours) => ours.told().await,
            Self::Its(its) => its.told_anew().await,
        }
    }

    /// How the run ended, as an event.
    #[must_use]
    pub fn end(self) -> Event {
        Event::from(&self.finish())
    }
}

impl Ours {
    async fn told(&mut self) -> Option<Event> {
        if let Some(adjusted) = self.adjusted.pop_front() {
            return Some(adjusted);
        }
        if !self.is_ready
            && let Some(users) = self.engine.ready().await
        {
            self.is_ready = true;
            return Some(Event::Ready(pb::Ready { users }));
        }
        if !self.has_started
            && let Some(at) = self.engine.started_at()
        {
            self.has_started = true;
            return Some(Event::Started(pb::Started { at: wire::unix_nanoseconds(at) }));
        }
        self.engine.next().await.map(|progress| Event::from(&progress))
    }
}

impl Drive for Way {
    async fn next(&mut self) -> Option<Progress> {
        match self {
            Self::Ours(ours) => ours.engine.next().await,
            Self::Its(its) => its.next().await,
        }
    }

    fn stop(&mut self) {
        match self {
            Self::Ours(ours) => ours.engine.stop(),
            Self::Its(its) => its.stop(),
        }
    }

    fn cut(&mut self) {
        match self {
            Self::Ours(ours) => ours.engine.cut(),
            Self::Its(its) => its.cut(),
        }
    }

    fn totals(&self) -> &Snapshot {
        match self {
            Self::Ours(ours) => ours.engine.totals(),
            Self::Its(its) => its.totals(),
        }
    }

    fn started(&self) -> Option<Instant> {
        match self {
            Self::Ours(ours) => ours.engine.started(),
            Self::Its(its) => its.started(),
        }
    }

    fn has_drained(&mut self) -> bool {
        match self {
            Self::Ours(ours) => ours.engine.has_drained(),
            Self::Its(its) => its.has_drained(),
        }
    }

    fn broken(&self) -> Option<String> {
        match self {
            Self::Ours(_) => None,
            Self::Its(its) => its.broken(),
        }
    }

    fn ended_early(&self) -> Option<String> {
        match self {
            Self::Ours(_) => None,
            Self::Its(its) => its.ended_early(),
        }
    }

    fn outputs_lost(&self) -> u64 {
        match self {
            Self::Ours(_) => 0,
            Self::Its(its) => its.outputs_lost(),
        }
    }

    fn finish(self) -> Finished {
        match self {
            Self::Ours(ours) => Finished { proxies: ours.proxies, ..ours.engine.finish() },
            Self::Its(its) => its.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use golo::{
        Context,
        engine::{
            Options, Sinks,
            plan::{Asked, Plan},
            share::Share,
            trigger::{Outcome, Trigger},
        },
    };

    use super::*;

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
    async fn changes_are_told_in_the_order_in_which_they_were_asked_for() {
        let sinks = Sinks::new(Vec::new());
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let plan = Plan::new(Asked { users: Some(9), ..Asked::default() }).unwrap();
        let mut way = Way::ours(Engine::start(Arc::new(Nothing), plan, options, sinks).unwrap());
        way.hold();
        (2..5).for_each(|users| way.adjust(Target::Users(users)));
        for users in 2..5 {
            let Some(Event::Adjusted(adjusted)) = way.told().await else { panic!("nothing of a change") };
            let plan = Plan::try_from(&adjusted.load.unwrap()).unwrap();
            assert_eq!(plan.users_at(std::time::Duration::from_secs(1)), users);
        }
        way.cut();
    }
}
