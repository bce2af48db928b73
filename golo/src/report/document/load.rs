//! The load that was asked for and delivered, and what became of its triggers.

use serde::Serialize;

use super::Distribution;
#[cfg(feature = "html")]
use crate::report::pauses::Words;
use crate::{
    engine::{Finished, health::Lag, snapshot, spent},
    metrics::output::nanoseconds,
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
    /// What the warm-up made: it counts nowhere else.
    pub(in crate::report) warm_up: WarmUp,
    /// How long users took to start, of those that did.
    pub(in crate::report) user_starts: Distribution,
    /// How late triggers started because their user was still starting.
    pub(in crate::report) start_waits: Distribution,
    /// Triggers that started after the end of the plan for that reason.
    pub(in crate::report) overdue: u64,
    /// What the page says of that.
    #[cfg(feature = "html")]
    #[serde(skip)]
    pub(in crate::report) words: Words,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct WarmUp {
    /// Triggers that were started.
    pub(in crate::report) triggers: u64,
    /// Requests that the target saw: each redirect is one more.
    pub(in crate::report) requests: u64,
    pub(in crate::report) connections: u64,
}

/// Starts that did not happen.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Dropped {
    /// As many as are allowed were in flight, or the user was still busy.
    pub(in crate::report) busy: u64,
    /// Those among them that the load test's own pauses caused.
    pub(in crate::report) pausing: u64,
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
    /// Length of the window.
    pub(in crate::report) length: u64,
    /// Starts of the window that were later than the limit, and all of them; none from an older golo.
    pub(in crate::report) late: Option<u64>,
    pub(in crate::report) starts: Option<u64>,
    #[cfg(feature = "html")]
    #[serde(skip)]
    pub(in crate::report) is_late: bool,
}

impl Load {
    pub(super) fn of(finished: &Finished) -> Self {
        let snapshot::Snapshot { triggers, generator, .. } = &finished.totals;
        Self {
            asked_rate: summary::asked_rate(finished),
            achieved_rate: summary::achieved_rate(finished),
            due: triggers.due,
            done: triggers.done,
            interrupted: triggers.interrupted,
            dropped: Dropped {
                busy: triggers.dropped_busy,
                pausing: triggers.dropped_pausing,
                unready: triggers.dropped_unready,
                stopped: triggers.dropped_stopped,
            },
            worst_lag: finished.health.worst_lag.map(WorstLag::of),
            most_users: finished.most_users,
            warm_up: WarmUp {
                triggers: generator.warm_up_triggers,
                requests: generator.warm_up_requests,
                connections: generator.warm_up_connections,
            },
            user_starts: (&finished.totals.user_starts).into(),
            start_waits: (&finished.totals.start_waits).into(),
            overdue: finished.totals.generator.overdue,
            #[cfg(feature = "html")]
            words: Words::of(finished),
        }
    }
}

impl WorstLag {
    fn of(lag: Lag) -> Self {
        Self {
            from: lag.from * 1_000_000_000,
            p99: nanoseconds(lag.p99),
            limit: nanoseconds(lag.limit),
            length: nanoseconds(lag.length()),
            late: lag.starts.map(|starts| starts.late),
            starts: lag.starts.map(|starts| starts.all),
            #[cfg(feature = "html")]
            is_late: lag.is_late(),
        }
    }
}

/// How triggers went, think time left out.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Triggers {
    pub(in crate::report) failed: u64,
    pub(in crate::report) panicked: u64,
    /// Those that ended after the load, and are in no rate.
    pub(in crate::report) after_load: u64,
    /// From the actual start.
    pub(in crate::report) service: Distribution,
    /// From when they were due.
    pub(in crate::report) response: Distribution,
    /// How the time of those that ended was spent.
    pub(in crate::report) spent: Spent,
}

/// The sums of three parts; all 0 if they are not known.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Spent {
    /// In requests and measured steps, those that overlap once.
    pub(in crate::report) requesting: u64,
    pub(in crate::report) thinking: u64,
    /// In the load test's own work.
    pub(in crate::report) working: u64,
}

impl From<spent::Spent> for Spent {
    fn from(spent: spent::Spent) -> Self {
        Self {
            requesting: nanoseconds(spent.requesting),
            thinking: nanoseconds(spent.thinking),
            working: nanoseconds(spent.working),
        }
    }
}

impl Triggers {
    pub(super) fn of(triggers: &snapshot::Triggers) -> Self {
        Self {
            failed: triggers.failed,
            panicked: triggers.panicked,
            after_load: triggers.done_after_load,
            service: (&triggers.service).into(),
            response: (&triggers.response).into(),
            spent: triggers.spent.into(),
        }
    }
}
