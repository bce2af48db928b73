//! The store as a metrics output.

use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, RunEvent};
use golo::report::{MetricsOutput, RunOutcome, Written};
use golo_proto::engine::{self as pb, event::Event};

use crate::drive::run_end::ended;
use crate::results::keep::Keeper;

/// Stores the results of a run on this machine, second by second.
pub struct StoreOutput {
    keeper: Keeper,
    /// Triggers whose interruption has been recorded.
    interrupted: u64,
    has_finished: bool,
}

impl StoreOutput {
    /// Creates the output. Records go to `keeper`.
    #[must_use]
    pub fn new(keeper: Keeper) -> Self {
        Self { keeper, interrupted: 0, has_finished: false }
    }
}

impl MetricsOutput for StoreOutput {
    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        match event {
            RunEvent::Second(_) => self.interrupted = totals.triggers.interrupted,
            RunEvent::Planned { .. } | RunEvent::Started { .. } | RunEvent::Adjusted(Ok(_)) => {}
            RunEvent::Ready { .. } | RunEvent::Adjusted(Err(_)) => return,
        }
        self.keeper.event(event.into());
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
        self.keeper.event(event);
        self.has_finished = true;
    }

    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        if !self.has_finished {
            self.keeper.event(Event::from(&outcome.finished));
        }
        self.keeper.ended(ended(outcome));
        Vec::new()
    }
}
