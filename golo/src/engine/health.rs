//! The generator's own health: whether it delivered what the plan asked for, or is itself to blame.

use std::time::Duration;

pub(super) use super::lag::LagWindows;
pub use super::lag::{Lag, LateStarts};

/// How many descriptors this process has open, and how many it may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// The most that were open at the end of any second; 0 where the system does not say.
    pub open: u64,
    /// How many there may be, if there is a limit.
    pub limit: Option<u64>,
}

impl Descriptors {
    /// Raises this process's limit as far as it may: the usual one, 1024, is for programs that are no load generator.
    pub(super) fn with_limit_raised() -> Self {
        #[cfg(unix)]
        {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let limit = getrlimit(Resource::Nofile);
            let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
            // Some systems allow less than they say, and then nothing has changed.
            let limit = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
            Self { open: 0, limit }
        }
        #[cfg(not(unix))]
        Self::default()
    }

    /// Looks how many are open now.
    pub(super) fn look(&mut self) {
        self.open = self.open.max(open_descriptors().unwrap_or_default());
    }
}

/// Since Linux 6.2 the directory's size is their number; before, it has to be read.
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

/// What a run says of its generator, beside what its snapshots have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The window in which starts were latest, measured by what is too late.
    pub worst_lag: Option<Lag>,
    /// Why workers were lost.
    pub lost: Vec<String>,
    /// Agents that were lost, of a run that several have a part in.
    pub lost_agents: Vec<LostAgent>,
    /// Descriptors.
    pub descriptors: Descriptors,
    /// Whether the generator was built without optimisations.
    pub is_unoptimised: bool,
}

/// An agent that did not deliver its share of the load to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAgent {
    /// What it is called.
    pub name: String,
    /// From when on it is missing, since the start of the measured part.
    pub from: Duration,
    /// Why.
    pub reason: String,
}
