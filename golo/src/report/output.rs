//! Metrics outputs: where the measurements of a run go while it is going on and once it is over.

use std::{pin::Pin, sync::Arc, time::Duration};

use super::{RunOutcome, Unwritten, Written};
use crate::{
    Sink,
    engine::{Finished, Progress, RunEvent, plan::Plan, snapshot::Snapshot},
};

/// A place that measurements go to: a terminal, a file, a database, a server.
///
/// The [run loop](crate::run_loop) calls the methods in this order. All of them return at once: an output that has to wait
/// for a disk or a network does so on a thread or task of its own.
pub trait MetricsOutput: Send {
    /// The run begins: its load test is set up, and an engine starts this plan.
    fn start(&mut self, plan: &Plan) {
        let _ = plan;
    }

    /// The engine reports an event. `totals` is everything that was measured until now.
    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        if let RunEvent::Second(second) = event {
            self.snapshot(second, totals);
        }
    }

    /// A second is over.
    fn snapshot(&mut self, second: &Progress, totals: &Snapshot) {
        let _ = (second, totals);
    }

    /// The engine has ended, and the load test is about to be torn down. Not called for a run that did not start.
    fn measured(&mut self, finished: &Finished) {
        let _ = finished;
    }

    /// The run has ended. Called once in any case. Returns the files that were written, or why they were not.
    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        let _ = outcome;
        Vec::new()
    }

    /// Returns a sink for every request, if the output takes them one by one.
    fn sink(&self) -> Option<Arc<dyn Sink>> {
        None
    }

    /// Waits until every request is written, at most for this time. Returns the lines that are not.
    fn flush(&mut self, time: Duration) -> Pin<Box<dyn Future<Output = Option<Unwritten>> + '_>> {
        let _ = time;
        Box::pin(std::future::ready(None))
    }
}
