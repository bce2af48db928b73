//! The web page as a metrics output.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use golo::engine::plan::Plan;
use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Options, Progress, RunEvent};
use golo::report::{MetricsOutput, RunOutcome, Threshold, Watch, Written};

use crate::web::board::{Board, Offer, State};
use crate::web::so_far;

/// Shows a run on its page, second by second.
pub struct WebOutput {
    board: Arc<Board>,
    options: Options,
    plan: Plan,
    watch: Watch,
    started_at: Option<SystemTime>,
    elapsed: Duration,
}

impl WebOutput {
    /// Creates the output of a run with these settings.
    #[must_use]
    pub fn new(board: Arc<Board>, plan: Plan, options: Options, thresholds: Vec<Threshold>) -> Self {
        board.set_plan(&plan);
        let watch = Watch::new(thresholds, &plan);
        Self { board, options, plan, watch, started_at: None, elapsed: Duration::ZERO }
    }

    /// Returns the measurements so far.
    fn so_far(&self, totals: Snapshot) -> Finished {
        so_far(Finished {
            totals,
            started_at: self.started_at,
            whole_time: self.elapsed,
            ..Finished::not_started(self.plan.clone(), self.options.clone(), None)
        })
    }

    fn set_plan(&mut self, plan: &Plan) {
        self.plan = plan.clone();
        self.board.set_plan(plan);
    }
}

impl MetricsOutput for WebOutput {
    fn start(&mut self, plan: &Plan) {
        self.set_plan(plan);
        self.board.set_state(State::Starting);
    }

    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        match event {
            RunEvent::Second(second) => self.snapshot(second, totals),
            RunEvent::Planned { plan, thresholds } => {
                // The run loop reports a threshold that cannot be read.
                self.watch.complete(plan, thresholds.iter().filter_map(|text| text.parse().ok()));
                self.set_plan(plan);
            }
            RunEvent::Started { at } => {
                self.started_at = Some(*at);
                self.board.set_started(*at);
            }
            RunEvent::Adjusted(adjusted) => {
                let at = self.started_at.and_then(|started| started.elapsed().ok());
                self.board.add_change(adjusted, at);
                if let Ok(plan) = adjusted {
                    self.plan = plan.clone();
                }
            }
            RunEvent::Ready { .. } => {}
        }
    }

    fn snapshot(&mut self, second: &Progress, totals: &Snapshot) {
        self.elapsed = second.elapsed;
        self.watch.second(second);
        self.board.add_second(second);
        self.board.offer(|| Offer::of(totals, &self.watch, |totals| self.so_far(totals)));
    }

    fn measured(&mut self, _: &Finished) {
        self.board.set_state(State::TearingDown);
    }

    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        self.board.end(outcome.clone());
        Vec::new()
    }
}
