//! The end of a run, in addition to what was measured.

use std::{fmt, time::Duration};

use super::{Judged, Threshold, units::counted};

/// Information about the end of a run that the engine does not have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// Description of the run, if its end was not reported.
    pub not_ended: Option<String>,
    /// Stage of the run at which a signal came, if one did.
    pub stopped: Option<Moment>,
    /// Reason why the load test could not go on, if it died.
    pub died: Option<String>,
    /// Results of the thresholds.
    pub thresholds: Vec<Judged>,
    /// Threshold that could no longer pass, if the run was aborted for it.
    pub aborted: Option<Threshold>,
    /// Error of `teardown`, if it failed.
    pub torn_down: Option<String>,
    /// Report files that were requested.
    pub files: Vec<Written>,
    /// Description of measurements that were not received, if any.
    pub missing: Option<String>,
    /// Raw outputs that could not be written.
    pub unwritten: Vec<Unwritten>,
}

impl Ending {
    /// Returns true if everything after the run succeeded.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.torn_down.is_none() && self.unwritten.is_empty() && self.files.iter().all(|file| file.error.is_none())
    }

    /// Describes everything after the run that failed.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles: Vec<_> = self.torn_down.iter().cloned().collect();
        troubles.extend(self.unwritten.iter().map(Unwritten::to_string));
        let files = self.files.iter().filter_map(|file| Some((&file.path, file.error.as_ref()?)));
        troubles.extend(files.map(|(path, error)| format!("`{path}` could not be written: {error}")));
        troubles
    }
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Kind of the file, such as `jsonl`.
    pub kind: &'static str,
    /// Path of the file.
    pub path: String,
    /// Reason why the file is missing or incomplete.
    pub error: Option<String>,
}

/// Stage of a run at which a signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// `setup` was running.
    Setup,
    /// Users were starting, and the clock was not running yet.
    Start,
    /// There was load, or the last triggers were in flight. Contains the time since the clock started.
    Load(Duration),
    /// No trigger was in flight any more.
    Stop,
    /// `teardown` was running.
    Teardown,
}

impl Moment {
    /// Returns the elapsed part of the measured time, which took `whole` in total.
    #[must_use]
    pub fn elapsed(self, whole: Duration) -> Duration {
        match self {
            Self::Setup | Self::Start => Duration::ZERO,
            Self::Load(elapsed) => elapsed,
            Self::Stop | Self::Teardown => whole,
        }
    }
}

/// Raw outputs that could not be written. [`Display`](fmt::Display) writes it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// Number of lines.
    pub lines: u64,
    /// Destination of the lines.
    pub place: String,
    /// Reason why they could not be written.
    pub reason: String,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, place, reason } = self;
        write!(f, "{} could not be written to {place}: {reason}", counted(*lines, "output line"))
    }
}
