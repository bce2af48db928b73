//! The requested and the delivered load, and the outcome of its triggers.

use serde::Serialize;

use super::Distribution;
use crate::engine::Finished;
use crate::engine::health::Lag;
use crate::engine::snapshot::Triggers;
use crate::engine::spent::Spent;
use crate::engine::standstill::Standstill;
use crate::metrics::output::nanoseconds;
use crate::report::rates::{achieved_rate, asked_rate};
use crate::report::scenarios::{Row, rows};

/// Returns the starts that the plan asked for, and their outcome: due = done + dropped + interrupted.
pub(super) fn load(finished: &Finished) -> impl Serialize {
    let (totals, triggers, generator) = (&finished.totals, &finished.totals.triggers, &finished.totals.generator);
    object! {
        asked_rate: asked_rate(finished),
        achieved_rate: achieved_rate(finished),
        due: triggers.due,
        done: triggers.done,
        interrupted: triggers.interrupted,
        dropped: object! {
            busy: triggers.dropped_busy,
            pausing: triggers.dropped_pausing,
            unready: triggers.dropped_unready,
            stopped: triggers.dropped_stopped,
        },
        worst_lag: finished.health.worst_lag.map(worst_lag),
        standstill: finished.health.standstill.map(standstill),
        most_users: finished.most_users,
        warm_up: object! {
            triggers: generator.warm_up_triggers,
            requests: generator.warm_up_requests,
            connections: generator.warm_up_connections,
        },
        user_starts: Distribution::from(&totals.user_starts),
        start_waits: Distribution::from(&totals.start_waits),
        overdue: generator.overdue,
    }
}

fn worst_lag(lag: Lag) -> impl Serialize {
    object! {
        from: lag.from * 1_000_000_000,
        p99: nanoseconds(lag.p99),
        limit: nanoseconds(lag.limit),
        length: nanoseconds(lag.length()),
        late: lag.starts.map(|starts| starts.late),
        starts: lag.starts.map(|starts| starts.all),
    }
}

fn standstill(Standstill { from, length, times }: Standstill) -> impl Serialize {
    object! {
        from: nanoseconds(from),
        length: nanoseconds(length),
        times: times,
    }
}

/// Returns the triggers of each scenario; empty if there is at most one scenario.
pub(super) fn scenarios(finished: &Finished) -> impl Serialize {
    let row = |row: Row<'_>| {
        let Row { name, triggers: of, rate } = row;
        object! {
            name: name.to_owned(),
            due: of.due,
            done: of.done,
            interrupted: of.interrupted,
            dropped: of.dropped(),
            per_second: rate,
            #[serde(flatten)]
            triggers: triggers(of),
        }
    };
    rows(finished).into_iter().map(row).collect::<Vec<_>>()
}

/// Returns the outcome of triggers. Durations do not include think time.
pub(super) fn triggers(triggers: &Triggers) -> impl Serialize + use<> {
    let Spent { requesting, thinking, working } = triggers.spent;
    object! {
        failed: triggers.failed,
        panicked: triggers.panicked,
        after_load: triggers.done_after_load,
        service: Distribution::from(&triggers.service),
        response: Distribution::from(&triggers.response),
        spent: object! {
            requesting: nanoseconds(requesting),
            thinking: nanoseconds(thinking),
            working: nanoseconds(working),
        },
    }
}
