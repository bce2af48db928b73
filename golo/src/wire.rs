//! Conversion between the engine's types and the messages of `golo.engine.v1`. Received messages are validated.
//!
//! Public for the `golo` command only. It changes without notice; nothing else may use it.

mod failures;
mod finished;
mod histogram;
mod metrics;
mod pairs;
mod plan;
mod snapshot;
mod steps;
mod tags;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use finished::{event, finished, progress};

pub use crate::metrics::output::nanoseconds;
pub(crate) use pairs::selected;
pub use pairs::selected_tags;
pub use snapshot::is_step;

/// Error in a received message. [`Display`](fmt::Display) describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    message: String,
}

impl WireError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// Creates the error of a message without a part that it must have.
    #[must_use]
    pub fn missing(what: &str) -> Self {
        Self::new(format!("no {what}"))
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WireError {}

/// Returns a time in nanoseconds since the Unix epoch. A time before it or after the year 2554 is replaced by the
/// nearest valid one.
#[must_use]
pub fn unix_nanoseconds(moment: SystemTime) -> u64 {
    nanoseconds(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Returns the time that is `unix_nanoseconds` after the Unix epoch.
#[must_use]
pub fn moment(unix_nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanoseconds)
}
