//! Report of a run: the verdict, the summary for people, and the report files.
//!
//! Public for the `golo` command only. It changes without notice; nothing else may use it.

mod change;
mod document;
mod facts;
mod failures;
mod figures;
mod files;
#[cfg(feature = "html")]
mod html;
mod jsonl;
mod junit;
pub(crate) mod lines;
mod news;
mod outcome;
mod output;
pub(crate) mod outputs;
mod own;
mod page;
mod pauses;
mod phases;
mod rates;
mod requests;
mod route;
mod scenarios;
mod summary;
mod tables;
mod tags;
pub(crate) mod terminal;
mod text;
mod threshold;
mod timeline;
mod units;
mod verdict;

pub use change::Change;
pub use document::{Distribution, Document};
#[cfg(feature = "html")]
pub use html::{RunView, failure_samples, html};
pub use news::News;
pub use outcome::{Moment, RunOutcome, Unwritten, Written};
pub use output::MetricsOutput;
pub use outputs::{OutputArg, OutputKind};
pub use page::Page;
pub use pauses::slow_pace;
pub use rates::RateTime;
pub use summary::summary;
pub use text::{clean, shorten};
pub use threshold::{Actual, Judged, Measured, Room, Threshold, ThresholdError, Users, Watch, WindowCounts};
pub use timeline::{Point, Timeline};
pub use units::{bytes, count, counted, duration, number, per_second, percent, rate};
pub use verdict::Verdict;
