//! What a run comes to.

use std::{fmt, time::Duration};

use super::units::{counted, duration};
use crate::engine::Finished;

/// What a run comes to. Where several hold, the first of them is it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It could not start, for this reason.
    NotStarted(String),
    /// A signal stopped it.
    Stopped,
    /// The generator could not deliver the plan, for these reasons: what was measured is not the target's alone.
    Invalid(Vec<String>),
    /// It was delivered.
    Passed,
}

impl Verdict {
    /// The verdict on a run that has ended; `is_stopped` says whether a signal ended it.
    #[must_use]
    pub fn of(finished: &Finished, is_stopped: bool) -> Self {
        if let Some(reason) = &finished.not_started {
            return Self::NotStarted(reason.clone());
        }
        if is_stopped {
            return Self::Stopped;
        }
        let reasons = invalid(finished);
        if reasons.is_empty() { Self::Passed } else { Self::Invalid(reasons) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted(_) => "NOT STARTED",
            Self::Stopped => "STOPPED",
            Self::Invalid(_) => "INVALID",
            Self::Passed => "PASSED",
        })
    }
}

/// Why the generator is to blame, if it is.
pub(super) fn invalid(finished: &Finished) -> Vec<String> {
    let health = &finished.health;
    let generator = &finished.totals.generator;
    let mut reasons = Vec::new();
    if let Some(lag) = health.worst_lag.filter(|lag| lag.is_late()) {
        reasons.push(format!(
            "starts were late: by p99 {} in the 3s from {} on, where {} is the limit",
            duration(lag.p99),
            duration(Duration::from_secs(lag.from)),
            duration(lag.limit)
        ));
    }
    if generator.without_descriptor > 0 {
        reasons.push(format!("{} found no descriptor left", counted(generator.without_descriptor, "request")));
    }
    if generator.without_port > 0 {
        reasons.push(format!("{} found no local port left", counted(generator.without_port, "request")));
    }
    reasons.extend(health.lost.iter().map(|reason| format!("a worker was lost: {reason}")));
    reasons
}
