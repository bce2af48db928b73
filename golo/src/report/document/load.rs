//! The requested and the delivered load, and the outcome of its triggers.

use serde::Serialize;

use super::Distribution;
#[cfg(feature = "html")]
use crate::report::pauses::Words;
use crate::{
    engine::{Finished, health::Lag, snapshot, spent},
    metrics::output::nanoseconds,
    report::summary,
};

/// Starts that the plan asked for, and their outcome: due = done + dropped + interrupted.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Load {
    /// Average of the requested starts per second; `None` if users start again as soon as they are done.
    pub(in crate::report) asked_rate: Option<f64>,
    /// Started triggers per second; `None` if the time is zero.
    pub(in crate::report) achieved_rate: Option<f64>,
    pub(in crate::report) due: u64,
    pub(in crate::report) done: u64,
    pub(in crate::report) interrupted: u64,
    pub(in crate::report) dropped: Dropped,
    /// The three seconds with the latest starts; `None` if nothing had a due time.
    pub(in crate::report) worst_lag: Option<WorstLag>,
    /// Highest number of users at the end of a second; in the open model, of triggers in flight.
    pub(in crate::report) most_users: u64,
    /// Load of the warm-up. It is not counted anywhere else.
    pub(in crate::report) warm_up: WarmUp,
    /// Time that users took to start, for users that started.
    pub(in crate::report) user_starts: Distribution,
    /// Delay of triggers that waited for their user to start.
    pub(in crate::report) start_waits: Distribution,
    /// Triggers that started after the end of the plan because their user was still starting.
    pub(in crate::report) overdue: u64,
    /// Text about pauses and late users for the HTML page.
    #[cfg(feature = "html")]
    #[serde(skip)]
    pub(in crate::report) words: Words,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct WarmUp {
    /// Triggers that were started.
    pub(in crate::report) triggers: u64,
    /// Requests that the target received. Each redirect counts as a further request.
    pub(in crate::report) requests: u64,
    pub(in crate::report) connections: u64,
}

/// Starts that did not happen.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Dropped {
    /// The maximum number of triggers was in flight, or the user was still busy.
    pub(in crate::report) busy: u64,
    /// Those of `busy` that were caused by the load test's own pauses.
    pub(in crate::report) pausing: u64,
    /// The user could not start.
    pub(in crate::report) unready: u64,
    /// The run was stopped first.
    pub(in crate::report) stopped: u64,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct WorstLag {
    pub(in crate::report) from: u64,
    pub(in crate::report) p99: u64,
    /// Limit of the lag. If it is exceeded, the generator is at fault and the run is invalid.
    pub(in crate::report) limit: u64,
    /// Length of the window.
    pub(in crate::report) length: u64,
    /// Starts of the window that were later than the limit, and the number of all its starts; `None` in results of an
    /// older golo.
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

/// Outcome of triggers. Durations do not include think time.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Triggers {
    pub(in crate::report) failed: u64,
    pub(in crate::report) panicked: u64,
    /// Triggers that ended after the load. No rate counts them.
    pub(in crate::report) after_load: u64,
    /// Duration from the actual start.
    pub(in crate::report) service: Distribution,
    /// Duration from the due time.
    pub(in crate::report) response: Distribution,
    /// Time of the triggers that ended, by what it was spent on.
    pub(in crate::report) spent: Spent,
}

/// Sums of the three parts; all 0 if they are not known.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Spent {
    /// Time in requests and measured steps. Overlapping times count once.
    pub(in crate::report) requesting: u64,
    pub(in crate::report) thinking: u64,
    /// Time in the load test's own work.
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
