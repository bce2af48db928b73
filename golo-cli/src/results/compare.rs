//! Comparison of two runs: rows of metrics, each with an interval from bootstrapped seconds.

pub mod bootstrap;
mod comparison;
mod estimate;
mod metrics;
mod rows;
mod seconds;
mod tags;
mod text;

pub use comparison::{Comparison, Deciding, Outcome, Side};
pub use rows::{Row, Shown, Tolerance};
pub use seconds::Seconds;
pub use text::{HEADS, cells};
