//! The end of a load test, described in one line.

use std::{fmt, os::unix::process::ExitStatusExt as _, process::ExitStatus, time::Duration};

use super::report::End;

/// Reason why a load test ended.
///
/// ```
/// use std::time::Duration;
///
/// use golo_cli::process::supervisor::Ended;
///
/// assert_eq!(Ended::Exited(3).to_string(), "the load test exited with code 3");
/// assert_eq!(Ended::Signalled(11).to_string(), "the load test was killed by signal 11 (SIGSEGV)");
/// let killed = Ended::Killed { grace: Duration::from_secs(5) };
/// assert_eq!(killed.to_string(), "the load test did not stop within 5s and was killed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It exited with this code, by itself or when asked to stop.
    Exited(i32),
    /// It was killed by this signal: golo's own SIGTERM if it was asked to stop and does not handle it.
    Signalled(i32),
    /// It did not stop when asked to, and was killed after this time.
    Killed {
        /// Time it had to stop.
        grace: Duration,
    },
    /// It was killed without waiting: [`kill`](super::Supervised::kill).
    Cut,
    /// It and its child processes exceeded their memory limit and were killed.
    OutOfMemory {
        /// Limit in bytes.
        limit: u64,
        /// Its memory in bytes.
        used: u64,
    },
    /// It failed and reported on stderr that it had reached its limit of open descriptors.
    TooManyDescriptors {
        /// Limit of open descriptors per process.
        limit: u64,
    },
    /// The supervisor was killed, and the load test after it.
    SupervisorLost,
    /// The supervisor did not carry out an order in time. Both were killed.
    SupervisorSilent,
}

impl Ended {
    /// True if the load test exited with code 0.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Converts the supervisor's report, adding the limits.
    pub(super) fn of(end: End, grace: Duration, memory: Option<u64>) -> Self {
        match end {
            End::Exited(code) => Self::Exited(code),
            End::Signalled(signal) => Self::Signalled(signal),
            End::Killed => Self::Killed { grace },
            End::Cut => Self::Cut,
            End::OutOfMemory(used) => Self::OutOfMemory { limit: memory.unwrap_or_default(), used },
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "the load test exited with code {code}"),
            Self::Signalled(signal) => {
                // "signal: 9 (SIGKILL)"
                let name = ExitStatus::from_raw(signal).to_string().replacen(':', "", 1);
                write!(f, "the load test was killed by {name}")
            }
            Self::Killed { grace } => write!(f, "the load test did not stop within {grace:?} and was killed"),
            Self::Cut => f.write_str("the load test was killed on request"),
            Self::OutOfMemory { limit, used } => {
                let (used, limit) = (Mebibytes(used), Mebibytes(limit));
                write!(f, "the load test used {used} of memory, more than its limit of {limit}, and was killed")
            }
            Self::TooManyDescriptors { limit } => {
                write!(f, "the load test failed with too many open descriptors: its limit is {limit}")
            }
            Self::SupervisorLost => f.write_str("the load test was killed because its supervisor was killed"),
            Self::SupervisorSilent => f.write_str("the load test was killed because its supervisor did not answer"),
        }
    }
}

/// Number of bytes, formatted in MiB.
struct Mebibytes(u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 >> 20, self.0 & 0xf_ffff);
        write!(f, "{whole}.{} MiB", (rest * 10) >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_formatted_in_mebibytes() {
        let ended = Ended::of(End::OutOfMemory((80 << 20) + (1 << 19)), Duration::ZERO, Some(64 << 20));
        let expected = "the load test used 80.5 MiB of memory, more than its limit of 64.0 MiB, and was killed";
        assert_eq!(ended.to_string(), expected);
    }
}
