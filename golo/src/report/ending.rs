//! How a run ended, beside what was measured.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{Judged, Threshold, Timeline, Verdict, units::counted};
use crate::{
    engine::{Finished, snapshot::Snapshot},
    error::exit::Exit,
};

/// How a run ended and what was measured in it. Gives the verdict, the exit code and every report.
#[derive(Debug)]
pub struct RunOutcome {
    /// What was measured.
    pub finished: Finished,
    /// The same over time.
    pub timeline: Timeline,
    /// Why and how the run ended.
    pub ending: Ending,
}

impl From<Finished> for RunOutcome {
    /// The outcome of a run that ended as planned, without thresholds and outputs.
    fn from(finished: Finished) -> Self {
        Self { finished, timeline: Timeline::default(), ending: Ending::default() }
    }
}

impl RunOutcome {
    /// Returns the verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.finished, &self.ending)
    }

    /// Returns the exit code. A run that passed exits with 1 if something that was to come after it did not.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.verdict() {
            Verdict::NotStarted(_) | Verdict::Died(_) => Exit::NotStarted,
            Verdict::Stopped => Exit::Interrupted,
            Verdict::Invalid(_) => Exit::Invalid,
            Verdict::Failed(_) => Exit::ThresholdFailed,
            // No run of this process comes to that.
            Verdict::NotEnded(_) => Exit::Failed,
            Verdict::Passed if self.ending.is_whole() => Exit::Success,
            Verdict::Passed => Exit::Failed,
        }
    }

    /// Adds raw outputs that could not be written.
    pub(crate) fn with_unwritten(mut self, unwritten: Vec<Unwritten>) -> Self {
        for one in unwritten {
            match self.ending.unwritten.iter_mut().find(|known| known.place == one.place) {
                Some(known) => known.lines += one.lines,
                None => self.ending.unwritten.push(one),
            }
        }
        self
    }

    /// Adds the panics that came after the engine's end, as in `teardown`.
    pub(crate) fn with_last_panics(mut self) -> Self {
        let now = Instant::now();
        let mut last = Snapshot::default();
        last.add_stray_panics(now.checked_sub(self.finished.whole_time));
        self.finished.totals.merge(&last);
        self.finished.rest.merge(&last);
        self
    }
}

/// What the engine does not know of a run's end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// What is known of a run whose end nobody has told of.
    pub not_ended: Option<String>,
    /// When a signal came, if one did.
    pub stopped: Option<Moment>,
    /// True if a signal stopped it, not an order of a program.
    pub is_interrupted: bool,
    /// True if an order of a program cut it off.
    pub is_cut: bool,
    /// Why the load test could not go on, where it died.
    pub died: Option<String>,
    /// What the run was to keep to, and whether it did.
    pub thresholds: Vec<Judged>,
    /// The threshold that could no longer hold, where the run was ended for it.
    pub aborted: Option<Threshold>,
    /// Why `teardown` failed, if it did.
    pub torn_down: Option<String>,
    /// The files that were to be written.
    pub files: Vec<Written>,
    /// What was measured and has not come, in words.
    pub missing: Option<String>,
    /// The raw outputs that did not get where they were to go.
    pub unwritten: Vec<Unwritten>,
}

impl Ending {
    /// Whether everything that was to come after the run has.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.torn_down.is_none() && self.unwritten.is_empty() && self.files.iter().all(|file| file.error.is_none())
    }

    /// What of it has not, each in words.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles: Vec<_> = self.torn_down.iter().cloned().collect();
        troubles.extend(self.unwritten.iter().map(Unwritten::to_string));
        let files = self.files.iter().filter_map(|file| Some((file, file.error.as_ref()?)));
        troubles.extend(files.map(|(file, error)| match file.kind {
            Written::STDOUT => format!("the summary could not be written to stdout: {error}"),
            _ => format!("`{}` could not be written: {error}", file.path),
        }));
        troubles
    }
}

/// A file of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it was asked for as.
    pub kind: &'static str,
    /// Where it is.
    pub path: String,
    /// Why it is not there, or not whole.
    pub error: Option<String>,
}

impl Written {
    /// The kind of the summary on stdout.
    pub(crate) const STDOUT: &str = "stdout";
}

/// Where a run was when a signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// `setup` was running.
    Setup,
    /// Users were starting, and the clock was not running yet.
    Start,
    /// There was load, or the last of it was in flight: so long after the clock had started.
    Load(Duration),
    /// No trigger was in flight any more.
    Stop,
    /// `teardown` was running.
    Teardown,
}

impl Moment {
    /// How much of the measured part was over then, where `whole` is how long that took.
    #[must_use]
    pub fn elapsed(self, whole: Duration) -> Duration {
        match self {
            Self::Setup | Self::Start => Duration::ZERO,
            Self::Load(elapsed) => elapsed,
            Self::Stop | Self::Teardown => whole,
        }
    }
}

/// Raw outputs that could not be written. [`Display`](fmt::Display) says it in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// How many lines.
    pub lines: u64,
    /// Where they were to go.
    pub place: String,
    /// Why they did not.
    pub reason: String,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, place, reason } = self;
        write!(f, "{} could not be written to {place}: {reason}", counted(*lines, "output line"))
    }
}
