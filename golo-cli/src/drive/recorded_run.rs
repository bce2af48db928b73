//! Events of a run as they are recorded.

use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, RunEvent};
use golo::pb::engine::{self as pb, event::Event};

/// The events of a run that were recorded so far.
#[derive(Debug, Default)]
pub struct RecordedRun {
    /// Triggers whose interruption has been recorded.
    interrupted: u64,
}

impl RecordedRun {
    /// Returns an event as it is recorded. `totals` contains everything measured so far.
    pub fn event(&mut self, event: &RunEvent, totals: &Snapshot) -> Event {
        if let RunEvent::Second(_) = event {
            self.interrupted = totals.triggers.interrupted;
        }
        event.into()
    }

    /// Returns the end of the measurements as it is recorded. Triggers whose end a lost worker or load test did not
    /// report were cut off; they are in the totals only.
    #[must_use]
    pub fn finished(&self, finished: &Finished) -> Event {
        let mut event = Event::from(finished);
        let recorded = self.interrupted.saturating_add(finished.rest.triggers.interrupted);
        let further = finished.totals.triggers.interrupted.saturating_sub(recorded);
        if let Event::Finished(pb::Finished { rest: Some(pb::Snapshot { triggers: Some(triggers), .. }), .. }) =
            &mut event
        {
            triggers.interrupted += further;
        }
        event
    }
}
