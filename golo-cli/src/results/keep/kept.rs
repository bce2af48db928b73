//! A run that is kept: whatever drives it, what it tells goes to the keeper as well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use golo::{
    Error,
    cli::{Drive, Subject},
    engine::{Finished, Options, Progress, Sinks, plan::Plan, snapshot::Snapshot},
    report::{Ending, Moment, Threshold},
    wire,
};
use golo_proto::{
    engine::{self as pb, event::Event},
    results::{Ended, ended::State},
};
use tokio::sync::oneshot;

use super::Keeper;
use crate::support::moments::on_the_wall;

/// What is driven, and kept.
pub struct Kept<S> {
    subject: S,
    keeper: Option<Keeper>,
    /// Whether the engine has told its end.
    has_finished: Arc<AtomicBool>,
}

impl<S> Kept<S> {
    /// The same as `subject`, kept where there is a keeper.
    #[must_use]
    pub fn new(subject: S, keeper: Option<Keeper>) -> Self {
        Self { subject, keeper, has_finished: Arc::default() }
    }
}

/// The engine of a run that is kept.
pub struct KeptEngine<E> {
    engine: E,
    keeper: Option<Keeper>,
    has_started: bool,
    has_finished: Arc<AtomicBool>,
}

impl<S: Subject> Subject for Kept<S> {
    type Engine = KeptEngine<S::Engine>;

    fn name(&self) -> &str {
        self.subject.name()
    }

    fn preparation(&self) -> &'static str {
        self.subject.preparation()
    }

    fn ending(&self) -> &'static str {
        self.subject.ending()
    }

    fn set_up(&mut self, sinks: &Sinks, is_cut: oneshot::Receiver<()>) -> impl Future<Output = Result<bool, Error>> {
        self.subject.set_up(sinks, is_cut)
    }

    async fn start(&mut self, plan: &Plan, options: &Options, sinks: Sinks) -> Result<Self::Engine, Error> {
        let engine = self.subject.start(plan, options, sinks).await?;
        let (keeper, has_finished) = (self.keeper.clone(), Arc::clone(&self.has_finished));
        Ok(KeptEngine { engine, keeper, has_started: false, has_finished })
    }

    fn died(&mut self) -> impl Future<Output = String> {
        self.subject.died()
    }

    fn ended(&mut self, finished: &Finished, ending: &Ending) {
        self.subject.ended(finished, ending);
        let Some(keeper) = &self.keeper else { return };
        if !self.has_finished.load(Relaxed) {
            keeper.event(Event::from(finished));
        }
        keeper.ended(ended(finished, ending));
    }

    fn settle(&mut self) -> impl Future<Output = ()> {
        self.subject.settle()
    }

    fn missing(&self) -> Option<String> {
        self.subject.missing()
    }

    fn tear_down(&mut self) -> impl Future<Output = Result<(), Error>> {
        self.subject.tear_down()
    }
}

impl<E: Drive> Drive for KeptEngine<E> {
    async fn next(&mut self) -> Option<Progress> {
        let progress = self.engine.next().await?;
        if let Some(keeper) = &self.keeper {
            if let (false, Some(started)) = (self.has_started, self.engine.started()) {
                self.has_started = true;
                let at = wire::unix_nanoseconds(on_the_wall(started));
                keeper.event(Event::Started(pb::Started { at }));
            }
            keeper.event(Event::from(&progress));
        }
        Some(progress)
    }

    fn stop(&mut self) {
        self.engine.stop();
    }

    fn interrupt(&mut self, at: Moment) {
        self.engine.interrupt(at);
    }

    fn abort(&mut self, lost: &Threshold) {
        self.engine.abort(lost);
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

    fn broken(&self) -> Option<String> {
        self.engine.broken()
    }

    fn ended_early(&self) -> Option<String> {
        self.engine.ended_early()
    }

    fn outputs_lost(&self) -> u64 {
        self.engine.outputs_lost()
    }

    fn finish(self) -> Finished {
        let Self { engine, keeper, has_finished, .. } = self;
        let before = engine.totals().triggers.interrupted;
        let finished = engine.finish();
        if let Some(keeper) = &keeper {
            let mut event = Event::from(&finished);
            let told = before.saturating_add(finished.rest.triggers.interrupted);
            if let Event::Finished(pb::Finished { rest: Some(pb::Snapshot { triggers: Some(triggers), .. }), .. }) =
                &mut event
            {
                // Those whose end a lost worker never told are in the totals alone.
                triggers.interrupted += finished.totals.triggers.interrupted.saturating_sub(told);
            }
            keeper.event(event);
            has_finished.store(true, Relaxed);
        }
        finished
    }
}

/// How a run ended, as it is kept.
fn ended(finished: &Finished, ending: &Ending) -> Ended {
    let stopped = ending.stopped.map(|moment| moment.elapsed(finished.whole_time));
    let (state, reason) = match (&finished.not_started, &ending.died, stopped) {
        (Some(reason), ..) | (None, Some(reason), _) => (State::Failed, reason.clone()),
        (None, None, Some(_)) => (State::Cancelled, "a signal stopped it".to_owned()),
        (None, None, None) => (State::Completed, ending.torn_down.clone().unwrap_or_default()),
    };
    Ended {
        state: state.into(),
        reason,
        stopped: stopped.map(wire::nanoseconds),
        died: ending.died.clone().unwrap_or_default(),
        aborted: ending.aborted.as_ref().map(ToString::to_string).unwrap_or_default(),
        missing: ending.missing.clone().unwrap_or_default(),
        ..Ended::default()
    }
}
