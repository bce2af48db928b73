//! The engine's types as `golo.engine.v1` writes them: what goes out is given as it is, what comes in is checked.
//!
//! Public for the `golo` command, and nothing else may use it: it changes without notice.

mod finished;
mod histogram;
mod plan;
mod snapshot;
mod tags;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use finished::{event, finished, progress};

pub use crate::metrics::output::nanoseconds;
pub use snapshot::is_step;

/// A message that cannot be: [`Display`](fmt::Display) says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    message: String,
}

impl WireError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    fn missing(what: &str) -> Self {
        Self::new(format!("no {what}"))
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for WireError {}

/// A moment in nanoseconds since the Unix epoch; one before it, or after the year 2554, is the nearest there is.
#[must_use]
pub fn unix_nanoseconds(moment: SystemTime) -> u64 {
    nanoseconds(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The moment that is so many nanoseconds after the Unix epoch.
#[must_use]
pub fn moment(unix_nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanoseconds)
}
