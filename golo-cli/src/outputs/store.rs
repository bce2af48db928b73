//! The store as a metrics output.

use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, RunEvent};
use golo::report::{MetricsOutput, RunOutcome, Written};
use golo_proto::engine::event::Event;

use crate::drive::recorded_run::RecordedRun;
use crate::drive::run_end::ended;
use crate::results::keep::{Keeper, Keeping};

/// Stores the results of a run on this machine, second by second.
pub struct StoreOutput {
    /// `None` once the last record has been stored.
    keeper: Option<Keeper>,
    keeping: Keeping,
    recorded: RecordedRun,
    has_finished: bool,
}

impl StoreOutput {
    /// Creates the output. Records go to `keeper`, whose end is `keeping`.
    #[must_use]
    pub fn new(keeper: Keeper, keeping: Keeping) -> Self {
        Self { keeper: Some(keeper), keeping, recorded: RecordedRun::default(), has_finished: false }
    }

    fn store(&self, event: Event) {
        if let Some(keeper) = &self.keeper {
            keeper.event(event);
        }
    }
}

impl MetricsOutput for StoreOutput {
    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        match event {
            RunEvent::Second(_) | RunEvent::Planned { .. } | RunEvent::Started { .. } | RunEvent::Adjusted(Ok(_)) => {}
            RunEvent::Ready { .. } | RunEvent::Adjusted(Err(_)) => return,
        }
        let event = self.recorded.event(event, totals);
        self.store(event);
    }

    fn measured(&mut self, finished: &Finished) {
        self.store(self.recorded.finished(finished));
        self.has_finished = true;
    }

    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        if !self.has_finished {
            self.store(Event::from(&outcome.finished));
        }
        if let Some(keeper) = self.keeper.take() {
            keeper.ended(ended(outcome));
        }
        self.keeping.settle().into_iter().collect()
    }
}

/// Waits until the records of agents are stored, which do not come from the run loop.
pub struct StoreEnd(pub Keeping);

impl MetricsOutput for StoreEnd {
    fn finish(&mut self, _: &RunOutcome) -> Vec<Written> {
        self.0.settle().into_iter().collect()
    }
}
