//! What the receivers of metrics get at the end of each second.

use std::cell::OnceCell;
use std::time::{SystemTime, UNIX_EPOCH};

use golo::engine::snapshot::Snapshot;

use super::families::{Extent, Family, families};

/// Labels that all metrics of a run have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLabels {
    /// ID of the run. Two runs never have the same.
    pub run: String,
    /// Name of the job.
    pub job: String,
    /// Name of the load test.
    pub load_test: String,
    /// Name of the agent, if an agent sends the metrics of its part.
    pub agent: Option<String>,
}

impl RunLabels {
    /// Returns the names and values of the labels `run`, `job` and `agent`, sorted by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let agent = self.agent.as_deref().map(|agent| ("agent", agent));
        agent.into_iter().chain([("job", &*self.job), ("run", &*self.run)])
    }
}

/// The measurements at the end of a second, or at the end of the run.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Labels of the run.
    pub labels: &'a RunLabels,
    /// Start of the measured part.
    pub started: SystemTime,
    /// End of the frame before, or the start.
    pub since: SystemTime,
    /// End of this frame, in whole milliseconds, later than `since`.
    pub at: SystemTime,
    /// Measurements since the frame before.
    pub second: &'a Snapshot,
    /// All measurements of the run up to now.
    pub totals: &'a Snapshot,
    /// Number of users. In the open model, of triggers in flight.
    pub users: u64,
    /// Largest number of connections that were open at once in this second.
    pub connections: u64,
    /// True for the last frame of a run.
    pub is_last: bool,
    /// Metrics that have been made.
    pub made: Made<'a>,
}

/// The metrics of a frame, made once for all receivers.
#[derive(Debug, Default)]
pub struct Made<'a> {
    totals: OnceCell<Vec<Family<'a>>>,
    second: OnceCell<Vec<Family<'a>>>,
}

impl<'a> Frame<'a> {
    /// Returns the metrics of this part of the measurements, sorted by name. Metrics without any series are left out.
    pub fn families(&self, extent: Extent) -> &[Family<'a>] {
        let made = match extent {
            Extent::Totals => &self.made.totals,
            Extent::Second => &self.made.second,
        };
        made.get_or_init(|| families(self, extent))
    }
}

/// Returns milliseconds since the Unix epoch.
#[must_use]
pub fn milliseconds(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
