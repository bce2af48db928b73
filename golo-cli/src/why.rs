//! Why a job is stopped before its time.

use std::fmt;

use golo::report::Threshold;
use golo_proto::results::{Ended, ended::State};

/// Characters of a reason that are passed on.
const LONGEST: usize = 1000;

/// Why a job is to stop.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// This agent has its reasons, in words.
    Said(&'static str),
    /// This threshold of the whole run can no longer hold.
    Aborted(Threshold),
    /// The whole run has died, of something that is no part of this job.
    Died(String),
}

impl Why {
    /// How a job has ended that was stopped for this reason.
    #[must_use]
    pub fn of(&self, ended: Ended) -> Ended {
        let ended = Ended { state: State::Cancelled.into(), reason: self.to_string(), ..ended };
        match self {
            Self::Said(_) => ended,
            // Nobody had the run stop: it came to its end by itself.
            Self::Aborted(threshold) => Ended { stopped: None, aborted: threshold.to_string(), ..ended },
            Self::Died(reason) => Ended { stopped: None, run_died: reason.clone(), ..ended },
        }
    }

    /// The same as a parameter of a URL, where it is one's that is not this agent.
    #[must_use]
    pub fn parameter(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Said(_) => None,
            Self::Aborted(threshold) => Some(("aborted", threshold.to_string())),
            Self::Died(reason) => Some(("died", reason.chars().take(LONGEST).collect())),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(reason) => f.write_str(reason),
            Self::Aborted(threshold) => write!(f, "`{threshold}` can no longer hold"),
            Self::Died(reason) => write!(f, "the run has died: {reason}"),
        }
    }
}
