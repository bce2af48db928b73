//! Events that an engine reports while it runs a plan.

use std::time::SystemTime;

use super::{Progress, plan::Plan};

/// An event of a run. Every kind of engine reports the same ones.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one event a second")]
pub enum RunEvent {
    /// The load test has completed the plan with its scenarios.
    Planned {
        /// The plan from now on.
        plan: Plan,
        /// Further thresholds that the run must pass, as text.
        thresholds: Vec<String>,
    },
    /// All users have started; a held run waits to begin.
    Ready {
        /// Number of users.
        users: u64,
    },
    /// The measured part begins.
    Started {
        /// When, by the clock of this machine.
        at: SystemTime,
    },
    /// A second is over.
    Second(Progress),
    /// The answer to a change of the load: the plan from now on, or why the change was refused.
    Adjusted(Result<Plan, String>),
}
