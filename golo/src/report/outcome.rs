//! The outcome of a run: measurements, reasons for its end, and the resulting verdict.

use std::time::{Duration, Instant};
use std::{fmt, io};

use super::{Change, Judged, Threshold, Timeline, Verdict, units::counted};
use crate::engine::Finished;
use crate::engine::snapshot::Snapshot;
use crate::error::exit::Exit;

/// Measurements of a run and how it ended. The verdict, the exit code and all reports are computed from it.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// Everything that the engine measured.
    pub finished: Finished,
    /// Measurements over time.
    pub timeline: Timeline,
    /// Description of the run, if its end was not reported.
    pub not_ended: Option<String>,
    /// Changes of the load by orders, in their order.
    pub changes: Vec<Change>,
    /// Stage of the run at which a signal or another order to stop came, if one did.
    pub stopped: Option<Moment>,
    /// True if a signal stopped the run, rather than an order of a program.
    pub is_interrupted: bool,
    /// True if an order of a program cut off the run.
    pub is_cut: bool,
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

impl From<Finished> for RunOutcome {
    /// Returns the outcome of a run that ended as planned, without thresholds and outputs.
    fn from(finished: Finished) -> Self {
        Self {
            finished,
            timeline: Timeline::default(),
            not_ended: None,
            changes: Vec::new(),
            stopped: None,
            is_interrupted: false,
            is_cut: false,
            died: None,
            thresholds: Vec::new(),
            aborted: None,
            torn_down: None,
            files: Vec::new(),
            missing: None,
            unwritten: Vec::new(),
        }
    }
}

impl RunOutcome {
    /// Returns the verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self)
    }

    /// Returns the exit code. It is 1 if the run passed and something after the run failed.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.verdict() {
            Verdict::NotStarted(_) | Verdict::Died(_) => Exit::NotStarted,
            Verdict::Stopped => Exit::Interrupted,
            Verdict::Invalid(_) => Exit::Invalid,
            Verdict::Failed(_) => Exit::ThresholdFailed,
            // No run of this process has this verdict.
            Verdict::NotEnded(_) => Exit::Failed,
            Verdict::Passed if self.is_whole() => Exit::Success,
            Verdict::Passed => Exit::Failed,
        }
    }

    /// Returns what stopped a run that was [stopped](Self::stopped).
    pub(super) fn stopped_by(&self) -> &'static str {
        if self.is_interrupted { "a signal" } else { "an order" }
    }

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
        troubles.extend(self.files.iter().filter_map(Written::trouble));
        troubles
    }

    /// Adds raw outputs that could not be written.
    pub(crate) fn with_unwritten(mut self, unwritten: Vec<Unwritten>) -> Self {
        for one in unwritten {
            match self.unwritten.iter_mut().find(|known| known.place == one.place) {
                Some(known) => known.lines += one.lines,
                None => self.unwritten.push(one),
            }
        }
        self
    }

    /// Adds the panics that came after the engine's end, for example in `teardown`.
    pub(crate) fn with_last_panics(mut self) -> Self {
        let now = Instant::now();
        let mut last = Snapshot::default();
        last.add_stray_panics(now.checked_sub(self.finished.whole_time));
        self.finished.totals.merge(&last);
        self.finished.rest.merge(&last);
        self
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

impl Written {
    const STDOUT: &str = "stdout";

    /// The error of writing to stdout.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        Self { kind: Self::STDOUT, path: Self::STDOUT.to_owned(), error: Some(error.to_string()) }
    }

    /// Describes the error, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(match self.kind {
            Self::STDOUT => format!("the summary could not be written to stdout: {error}"),
            _ => format!("`{}` could not be written: {error}", self.path),
        })
    }
}

/// Stage of a run at which an order to stop came.
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
