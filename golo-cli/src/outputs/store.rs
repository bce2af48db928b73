//! The store as a metrics output.

use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, RunEvent};
use golo::report::{MetricsOutput, RunOutcome, Written};
use golo_proto::engine::{self as pb, event::Event};

use crate::drive::run_end::ended;
use crate::results::keep::{Keeper, Keeping};

/// Stores the results of a run on this machine, second by second.
pub struct StoreOutput {
    /// `None` once the last record has been stored.
    keeper: Option<Keeper>,
    keeping: Keeping,
    /// Triggers whose interruption has been recorded.
    interrupted: u64,
    has_finished: bool,
}

impl StoreOutput {
    /// Creates the output. Records go to `keeper`, whose end is `keeping`.
    #[must_use]
    pub fn new(keeper: Keeper, keeping: Keeping) -> Self {
        Self { keeper: Some(keeper), keeping, interrupted: 0, has_finished: false }
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
            RunEvent::Second(_) => self.interrupted = totals.triggers.interrupted,
            RunEvent::Planned { .. } | RunEvent::Started { .. } | RunEvent::Adjusted(Ok(_)) => {}
            RunEvent::Ready { .. } | RunEvent::Adjusted(Err(_)) => return,
        }
        self.store(event.into());
    }

    fn measured(&mut self, finished: &Finished) {
        let mut event = Event::from(finished);
        let recorded = self.interrupted.saturating_add(finished.rest.triggers.interrupted);
        if let Event::Finished(pb::Finished { rest: Some(pb::Snapshot { triggers: Some(triggers), .. }), .. }) =
            &mut event
        {
            // Triggers whose end a lost worker did not report are in the totals only.
            triggers.interrupted += finished.totals.triggers.interrupted.saturating_sub(recorded);
        }
        self.store(event);
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
