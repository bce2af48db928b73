//! The loop that drives every run: control in, observers out, one outcome.

pub mod exit;
pub(crate) mod files;
pub(crate) mod lines;
pub(crate) mod live;
pub(crate) mod outs;
pub mod reports;
pub mod running;
pub mod signals;

use std::time::Duration;

/// Time for the last lines, for tear-down and for what is cut off, where the grace has been used up.
pub(crate) const LAST_MOMENT: Duration = Duration::from_secs(1);
