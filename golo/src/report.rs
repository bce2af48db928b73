//! The report of a run: its verdict, and the summary that a person reads.
//!
//! Public for the `golo` command, and nothing else may use it: it changes without notice.

mod news;
mod summary;
mod text;
mod units;
mod verdict;

pub use news::news;
pub use summary::summary;
pub use verdict::Verdict;
