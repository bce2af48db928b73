//! Results of a run: one value per second, and the final result.

use std::time::{Duration, SystemTime};

use super::{Options, health::Health, plan::Plan, snapshot::Snapshot};

/// A second of the run that is over.
#[derive(Debug)]
pub struct Progress {
    /// Time since the start of the measured part.
    pub elapsed: Duration,
    /// Measurements of this second.
    pub second: Snapshot,
    /// Number of users. In the open model: triggers in flight.
    pub users: u64,
    /// Most connections that were open at once in this second: the sum over all threads. 0 if unknown.
    pub connections: u64,
}

/// Results of a run that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Plan of the run.
    pub plan: Plan,
    /// Options of the run.
    pub options: Options,
    /// All measurements of the run.
    pub totals: Snapshot,
    /// Part of `totals` that was measured after the last [`Progress`].
    pub rest: Snapshot,
    /// Start of the measured part, or `None` if it did not start.
    pub started_at: Option<SystemTime>,
    /// Time during which triggers were started: as planned, or until the run was stopped or the last iteration started.
    pub load_time: Duration,
    /// Time until nothing was in flight any more.
    pub whole_time: Duration,
    /// Health of the load generator.
    pub health: Health,
    /// Largest number of users at the end of any second.
    pub most_users: u64,
    /// Largest number of [`Progress::connections`] in any second.
    pub most_connections: u64,
    /// Reason why the run did not start, if it did not.
    pub not_started: Option<String>,
    /// Descriptions of the proxies that requests went through.
    pub proxies: Vec<String>,
    /// True if the snapshots record which requests ended after [`load_time`](Self::load_time). Snapshots of golo 0.1 do
    /// not.
    pub tells_after_load: bool,
}

impl Finished {
    /// Creates the result of a run that did not start. `reason` is `None` if the run was stopped before it could start.
    #[must_use]
    pub fn not_started(plan: Plan, options: Options, reason: Option<String>) -> Self {
        Self {
            plan,
            options,
            totals: Snapshot::default(),
            rest: Snapshot::default(),
            started_at: None,
            load_time: Duration::ZERO,
            whole_time: Duration::ZERO,
            health: Health::default(),
            most_users: 0,
            most_connections: 0,
            not_started: reason,
            proxies: Vec::new(),
            tells_after_load: true,
        }
    }

    /// Returns the origins that requests went to.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        self.totals.requests.keys().map(|series| &*series.label.origin).filter(|origin| !origin.is_empty())
    }
}
