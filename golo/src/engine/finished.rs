//! What an engine tells of its run: a second at a time, and everything in the end.

use std::time::{Duration, SystemTime};

use super::{Options, health::Health, plan::Plan, snapshot::Snapshot};

/// A second that is over.
#[derive(Debug)]
pub struct Progress {
    /// How much of the measured part is over.
    pub elapsed: Duration,
    /// What was measured in it.
    pub second: Snapshot,
    /// How many users there are; in the open model, triggers in flight.
    pub users: u64,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// What was asked for.
    pub plan: Plan,
    /// How it was to be run.
    pub options: Options,
    /// Everything that was measured.
    pub totals: Snapshot,
    /// What of it was measured after the last [`Progress`].
    pub rest: Snapshot,
    /// When the measured part began, if it did.
    pub started_at: Option<SystemTime>,
    /// How long starts were made: as planned, or until the run was stopped or the last of its iterations started.
    pub load_time: Duration,
    /// How long it took until nothing was in flight any more.
    pub whole_time: Duration,
    /// The generator.
    pub health: Health,
    /// The most users at the end of any second.
    pub most_users: u64,
    /// Why it did not start, if it did not.
    pub not_started: Option<String>,
    /// The proxies that requests went through, in words.
    pub proxies: Vec<String>,
    /// Whether its snapshots tell what ended after [`load_time`](Self::load_time). Those of golo 0.1 do not.
    pub tells_after_load: bool,
}

impl Finished {
    /// A run that came to nothing, for this reason; or for none, where it was stopped before it could start.
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
            not_started: reason,
            proxies: Vec::new(),
            tells_after_load: true,
        }
    }

    /// The places that requests went to.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        self.totals.requests.keys().map(|series| &*series.label.origin).filter(|origin| !origin.is_empty())
    }
}
