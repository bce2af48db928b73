//! The load that was asked for and delivered, and what became of its triggers.

use serde::Serialize;

use super::Distribution;
use crate::{
    engine::{Finished, health::Lag, snapshot},
    output::nanoseconds,
    report::summary,
};

/// Starts as the plan asked for them, and what became of them: due = done + dropped + interrupted.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Load {
    /// Starts a second, on average; none where users start as soon as they are done.
    pub(in crate::report) asked_rate: Option<f64>,
    /// Triggers a second that were started; none in no time.
    pub(in crate::report) achieved_rate: Option<f64>,
    pub(in crate::report) due: u64,
    pub(in crate::report) done: u64,
    pub(in crate::report) interrupted: u64,
    pub(in crate::report) dropped: Dropped,
    /// The three seconds in which starts were latest; none where nothing had a due time.
    pub(in crate::report) worst_lag: Option<WorstLag>,
    /// The most users at the end of any second; in the open model, triggers in flight.
    pub(in crate::report) most_users: u64,
}

/// Starts that did not happen.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Dropped {
    /// As many as are allowed were in flight, or the user was still busy.
    pub(in crate::report) busy: u64,
    /// Their user could not start.
    pub(in crate::report) unready: u64,
    /// The run was stopped first.
    pub(in crate::report) stopped: u64,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct WorstLag {
    pub(in crate::report) from: u64,
    pub(in crate::report) p99: u64,
    /// More than that is the generator's fault, and the run invalid.
    pub(in crate::report) limit: u64,
}

impl Load {
    pub(super) fn of(finished: &Finished) -> Self {
        let triggers = &finished.totals.triggers;
        Self {
            asked_rate: summary::asked_rate(finished),
            achieved_rate: summary::achieved_rate(finished),
            due: triggers.due,
            done: triggers.done,
            interrupted: triggers.interrupted,
            dropped: Dropped {
                busy: triggers.dropped_busy,
                unready: triggers.dropped_unready,
                stopped: triggers.dropped_stopped,
            },
            worst_lag: finished.health.worst_lag.map(WorstLag::of),
            most_users: finished.most_users,
        }
    }
}

impl WorstLag {
    fn of(lag: Lag) -> Self {
        Self { from: lag.from * 1_000_000_000, p99: nanoseconds(lag.p99), limit: nanoseconds(lag.limit) }
    }
}

/// How triggers went, think time left out.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Triggers {
    pub(in crate::report) failed: u64,
    pub(in crate::report) panicked: u64,
    /// From the actual start.
    pub(in crate::report) service: Distribution,
    /// From when they were due.
    pub(in crate::report) response: Distribution,
}

impl Triggers {
    pub(super) fn of(triggers: &snapshot::Triggers) -> Self {
        Self {
            failed: triggers.failed,
            panicked: triggers.panicked,
            service: (&triggers.service).into(),
            response: (&triggers.response).into(),
        }
    }
}
