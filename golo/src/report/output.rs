//! The interface of metrics outputs, which receive measurements during a run and its outcome at the end.

use std::{pin::Pin, sync::Arc, time::Duration};

use super::{RunOutcome, Unwritten, Written};
use crate::Sink;
use crate::engine::plan::Plan;
use crate::engine::snapshot::Snapshot;
use crate::engine::{Finished, Progress, RunEvent};

/// A destination of measurements: a terminal, a file, a database or a server.
///
/// The [run loop](crate::run_loop) calls the methods in this order. All of them must return at once: an output that
/// waits for a disk or a network uses a thread or task of its own.
pub trait MetricsOutput: Send {
    /// Called at the beginning of the run: its load test is set up, and an engine starts this plan. Called again if the
    /// load test then completes the plan with its scenarios.
    fn start(&mut self, plan: &Plan) {
        let _ = plan;
    }

    /// Called for each event of the engine. `totals` contains everything measured so far.
    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        match event {
            RunEvent::Second(second) => self.snapshot(second, totals),
            RunEvent::Planned { plan, .. } => self.start(plan),
            RunEvent::Ready { .. } | RunEvent::Started { .. } | RunEvent::Adjusted(_) => {}
        }
    }

    /// Called at the end of each second.
    fn snapshot(&mut self, second: &Progress, totals: &Snapshot) {
        let _ = (second, totals);
    }

    /// Called when the engine has ended, before `teardown`. Not called for a run that did not start.
    fn measured(&mut self, finished: &Finished) {
        let _ = finished;
    }

    /// Called once at the end of every run. Returns the files that were written, each with its error if writing failed.
    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        let _ = outcome;
        Vec::new()
    }

    /// Returns a sink for single requests, if the output takes them.
    fn sink(&self) -> Option<Arc<dyn Sink>> {
        None
    }

    /// Waits until every request is written, for at most `time`. Returns the lines that are not written.
    fn flush(&mut self, time: Duration) -> Pin<Box<dyn Future<Output = Option<Unwritten>> + '_>> {
        let _ = time;
        Box::pin(std::future::ready(None))
    }
}
