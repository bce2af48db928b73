//! Events of an engine during a run and at its end.

use std::time::Duration;

use super::{WireError, moment, unix_nanoseconds};
use crate::engine::health::{Descriptors, Health, Lag, LateStarts};
use crate::engine::plan::Plan;
use crate::engine::snapshot::Snapshot;
use crate::engine::standstill::Standstill;
use crate::engine::{Finished, Options, Progress, RunEvent};
use crate::metrics::output::nanoseconds;
use crate::pb::engine as pb;

/// Wraps an event for sending.
#[must_use]
pub fn event(event: impl Into<pb::event::Event>) -> pb::Event {
    pb::Event { event: Some(event.into()) }
}

impl From<&Progress> for pb::event::Event {
    fn from(Progress { elapsed, second, users, connections }: &Progress) -> Self {
        let snapshot = Some(second.into());
        let (elapsed, users, connections) = (nanoseconds(*elapsed), *users, *connections);
        Self::Second(pb::Second { elapsed, users, snapshot, connections })
    }
}

impl From<&RunEvent> for pb::event::Event {
    fn from(event: &RunEvent) -> Self {
        match event {
            RunEvent::Planned { plan, thresholds } => {
                Self::Planned(pb::Planned { load: Some(plan.into()), thresholds: thresholds.clone() })
            }
            RunEvent::Ready { users } => Self::Ready(pb::Ready { users: *users }),
            RunEvent::Started { at } => Self::Started(pb::Started { at: unix_nanoseconds(*at), ahead: 0 }),
            RunEvent::Second(progress) => progress.into(),
            RunEvent::Adjusted(Ok(plan)) => {
                Self::Adjusted(pb::Adjusted { refused: String::new(), load: Some(plan.into()) })
            }
            RunEvent::Adjusted(Err(refused)) => Self::Adjusted(pb::Adjusted { refused: refused.clone(), load: None }),
        }
    }
}

impl From<&Finished> for pb::event::Event {
    fn from(finished: &Finished) -> Self {
        // An engine has no information about agents.
        let Health { worst_lag, standstill, lost, lost_agents: _, descriptors, is_unoptimised } = &finished.health;
        let lag = |lag: Lag| pb::Lag { from: lag.from, p99: nanoseconds(lag.p99), limit: nanoseconds(lag.limit) };
        let late = |LateStarts { length, late, all }: LateStarts| pb::LateStarts {
            length: nanoseconds(length),
            late,
            starts: all,
        };
        let standstill = standstill.map(|Standstill { from, length, times }| pb::Standstill {
            from: nanoseconds(from),
            length: nanoseconds(length),
            times,
        });
        Self::Finished(pb::Finished {
            rest: Some((&finished.rest).into()),
            started_at: finished.started_at.map(unix_nanoseconds),
            load_time: nanoseconds(finished.load_time),
            whole_time: nanoseconds(finished.whole_time),
            most_users: finished.most_users,
            not_started: finished.not_started.clone(),
            workers: u32::try_from(finished.options.workers).unwrap_or(u32::MAX),
            worst_lag: worst_lag.map(lag),
            lost: lost.clone(),
            descriptors: descriptors.open,
            descriptor_limit: descriptors.limit,
            load: Some((&finished.plan).into()),
            // The engine itself has no information about these.
            given_up: None,
            stopped: false,
            outputs_lost: 0,
            unoptimised: *is_unoptimised,
            late_starts: worst_lag.and_then(|lag| lag.starts).map(late),
            proxies: finished.proxies.clone(),
            tells_after_load: finished.tells_after_load,
            most_connections: finished.most_connections,
            standstill,
        })
    }
}

/// Converts the report of a second.
///
/// # Errors
///
/// Returns an error if the message is invalid.
pub fn progress(written: &pb::Second) -> Result<Progress, WireError> {
    let snapshot = written.snapshot.as_ref().ok_or_else(|| WireError::missing("snapshot of a second"))?;
    let pb::Second { elapsed, users, connections, .. } = *written;
    Ok(Progress { elapsed: Duration::from_nanos(elapsed), second: snapshot.try_into()?, users, connections })
}

/// Converts the report on the end of a run that was started with `options`. Its totals contain only what was measured
/// after the last second.
///
/// # Errors
///
/// Returns an error if the message is invalid.
pub fn finished(written: &pb::Finished, options: Options) -> Result<Finished, WireError> {
    let rest = written.rest.as_ref().map_or_else(|| Ok(Snapshot::default()), Snapshot::try_from)?;
    let time = Duration::from_nanos;
    let late = |pb::LateStarts { length, late, starts }: pb::LateStarts| LateStarts {
        length: time(length),
        late,
        all: starts,
    };
    let starts = written.late_starts.map(late);
    // An older load test does not know `--max-lag`.
    let limit = |limit| options.max_lag.filter(|_| starts.is_none()).unwrap_or(time(limit));
    let lag =
        |pb::Lag { from, p99, limit: judged }: pb::Lag| Lag { from, p99: time(p99), limit: limit(judged), starts };
    let worst_lag = written.worst_lag.map(lag);
    let standstill = written.standstill.map(|pb::Standstill { from, length, times }| Standstill {
        from: time(from),
        length: time(length),
        times,
    });
    let plan = Plan::try_from(written.load.as_ref().ok_or_else(|| WireError::missing("load of a run"))?)?;
    Ok(Finished {
        plan,
        options: Options { workers: written.workers as usize, ..options },
        totals: rest.clone(),
        rest,
        started_at: written.started_at.map(moment),
        load_time: time(written.load_time),
        whole_time: time(written.whole_time),
        health: Health {
            worst_lag,
            standstill,
            lost: written.lost.clone(),
            lost_agents: Vec::new(),
            descriptors: Descriptors { open: written.descriptors, limit: written.descriptor_limit },
            is_unoptimised: written.unoptimised,
        },
        most_users: written.most_users,
        most_connections: written.most_connections,
        not_started: written.not_started.clone(),
        proxies: written.proxies.clone(),
        tells_after_load: written.tells_after_load,
    })
}
