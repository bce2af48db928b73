//! Health of the load generator: tells if it delivered the planned load.

use std::time::Duration;

pub(super) use super::lag::LagWindows;
pub use super::lag::{Lag, LateStarts};
use super::standstill::Standstill;

/// File descriptors of this process: those open, and the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Largest number open at the end of any second. 0 if the system does not report it.
    pub open: u64,
    /// Maximum number that may be open, if there is a limit.
    pub limit: Option<u64>,
}

impl Descriptors {
    /// Raises this process's limit as far as possible. The usual limit of 1024 is too low for a load generator.
    pub(super) fn with_limit_raised() -> Self {
        #[cfg(unix)]
        {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let limit = getrlimit(Resource::Nofile);
            let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
            // Some systems allow less than the maximum they report. The limit is unchanged then.
            let limit = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
            Self { open: 0, limit }
        }
        #[cfg(not(unix))]
        Self::default()
    }

    /// Updates the largest number of open descriptors.
    pub(super) fn look(&mut self) {
        self.open = self.open.max(open_descriptors().unwrap_or_default());
    }
}

/// Since Linux 6.2 the size of the directory is the number of descriptors. Older kernels report 0, so its entries are
/// counted.
#[cfg(target_os = "linux")]
fn open_descriptors() -> Option<u64> {
    let directory = "/proc/self/fd";
    match std::fs::metadata(directory).ok()?.len() {
        0 => Some(std::fs::read_dir(directory).ok()?.count() as u64),
        number => Some(number),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_descriptors() -> Option<u64> {
    None
}

/// Health data of the load generator that is not part of the snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Worst window of late starts, relative to the acceptable delay.
    pub worst_lag: Option<Lag>,
    /// Worst standstill of a process of the load generator, if one was longer than is acceptable.
    pub standstill: Option<Standstill>,
    /// Reasons why workers were lost.
    pub lost: Vec<String>,
    /// Agents that were lost, in a run that several agents share.
    pub lost_agents: Vec<LostAgent>,
    /// File descriptors.
    pub descriptors: Descriptors,
    /// True if the load generator was built without optimisations.
    pub is_unoptimised: bool,
}

/// An agent that did not deliver its share of the load to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAgent {
    /// Name of the agent.
    pub name: String,
    /// Time since the start of the measured part from which the agent is missing.
    pub from: Duration,
    /// Reason of the loss.
    pub reason: String,
}
