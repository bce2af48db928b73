//! Thresholds over sliding windows: `http_req_failed rate<5% over 30s`.
//!
//! A window ends at each whole second of the load, as soon as that much time has been measured. The windows overlap, so
//! the threshold holds whenever one begins to look.

use std::collections::VecDeque;
use std::time::Duration;

use super::operator::Operator;
use super::samples::{Measured, Samples, Users};
use super::scenario::Span;
use super::sliding::Sliding;
use super::{Actual, Judged, Threshold};
use crate::engine::plan::{Plan, parse_duration};
use crate::engine::{Finished, Progress};
use crate::report::RateTime;
use crate::report::units::{count, counted, duration};

/// Description of the accepted lengths, for use after "expected".
pub(super) const LENGTHS: &str = "whole seconds from 1s to 1h";
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Additional time after the grace for which it may be unknown that the load is over.
const AFTER_GRACE: Duration = Duration::from_secs(60);
/// Longest time for which it may be unknown that the load is over.
const LONGEST_GRACE: Duration = Duration::from_secs(4 * 60 * 60);

/// Returns the length of a window, or `None` if it is not accepted.
pub(super) fn length(text: &str) -> Option<Duration> {
    let length = parse_duration(text).ok()?;
    ((SHORTEST..=LONGEST).contains(&length) && length.subsec_nanos() == 0).then_some(length)
}

/// Results of a threshold's windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowCounts {
    /// Length of each window.
    pub length: Duration,
    /// Number of windows that were judged: those with samples, and for a counter all.
    pub judged: u64,
    /// Number of judged windows that did not meet the threshold.
    pub failed: u64,
    /// Number of windows without samples, which are not judged.
    pub empty: u64,
    /// Start of the worst window, since the start of the measured part; `None` if no window was judged.
    pub worst_from: Option<Duration>,
}

/// The windows of one threshold, during the run.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    length: Duration,
    /// Samples of the last window.
    sliding: Sliding,
    /// End of the last second.
    until: Duration,
    /// Time in which windows are judged: that of the load.
    span: Span,
    /// Value of a window without samples, if the threshold is known to be on a counter.
    zero: Option<Actual>,
    /// Windows that may turn out to have ended after the load, if it ended early.
    recent: VecDeque<Window>,
    /// Windows that certainly ended within the load.
    certain: Tally,
    /// Longest time for which windows are in `recent`.
    kept: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    from: Duration,
    until: Duration,
    /// `None` if there are no samples.
    actual: Option<Actual>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    judged: u64,
    failed: u64,
    empty: u64,
    first_empty: Option<Window>,
    worst: Option<Window>,
}

impl Windows {
    /// Returns the windows of a threshold in a run of this plan; `None` if it is not over windows.
    pub(super) fn of(threshold: &Threshold, plan: &Plan) -> Option<Self> {
        threshold.over.map(|length| Self {
            length,
            sliding: Sliding::default(),
            until: Duration::ZERO,
            span: Span::of(threshold, plan),
            zero: None,
            recent: VecDeque::new(),
            certain: Tally::default(),
            // The triggers have one grace period, and the users have another.
            kept: plan.graceful_stop().saturating_mul(2).saturating_add(AFTER_GRACE).min(LONGEST_GRACE),
        })
    }

    /// Records a second that has ended, and judges the window that ends with it.
    pub(super) fn second(&mut self, threshold: &Threshold, progress: &Progress) {
        let length = progress.elapsed.saturating_sub(self.until);
        self.until = self.until.max(progress.elapsed);
        self.span.second(&progress.second);
        if self.span.is_over(self.until) {
            return;
        }
        let users = Some(Users { fewest: progress.users, most: progress.users });
        let measured = Measured { totals: &progress.second, rates: RateTime::load(length), users };
        let samples = threshold.samples(&measured);
        self.zero = self.zero.or_else(|| self.zero_of(threshold, &samples));
        self.sliding.add(&samples, length);
        self.sliding.keep(self.length);
        let time = self.sliding.length();
        if time < self.length {
            return;
        }
        let from = self.until.saturating_sub(time);
        if from >= self.span.start {
            let actual = threshold.value_of(&self.sliding.samples(), time);
            self.recent.push_back(Window { from, until: self.until, actual });
        }
        while let Some(&window) = self.recent.front().filter(|window| self.until - window.until > self.kept) {
            self.certain.add(threshold, window);
            self.recent.pop_front();
        }
    }

    /// Returns the value of a window without samples, if these samples are those of a counter.
    fn zero_of(&self, threshold: &Threshold, samples: &Samples<'_>) -> Option<Actual> {
        let zero = match samples {
            Samples::Sum(_) => Samples::Sum(0.0),
            Samples::Counter(_) => Samples::Counter(0),
            _ => return None,
        };
        threshold.value_of(&zero, self.length)
    }

    /// Returns true if the whole run is judged because the load is shorter than a window.
    pub(super) fn are_longer_than_load(&self) -> bool {
        self.span.length().is_some_and(|length| length < self.length)
    }

    /// Returns true if any window failed so far.
    pub(super) fn have_failed(&self, threshold: &Threshold) -> bool {
        let mut tally = self.certain.clone();
        self.recent.iter().for_each(|window| tally.add(threshold, *window));
        if let Some(zero) = self.zero {
            tally.judge_empty(threshold, zero);
        }
        tally.failed > 0
    }

    /// Judges the threshold by all windows that ended within the load.
    pub(super) fn judge(&self, threshold: &Threshold, finished: &Finished, users: Option<Users>) -> Judged {
        let measured = Measured::of(finished, users);
        let whole = threshold.judge(&measured);
        let mut tally = self.certain.clone();
        let recent = self.recent.iter().filter(|window| window.until <= finished.load_time);
        recent.for_each(|window| tally.add(threshold, *window));
        if let Some(zero) = self.zero.or_else(|| self.zero_of(threshold, &threshold.samples(&measured))) {
            tally.judge_empty(threshold, zero);
        }
        let counts = WindowCounts {
            length: self.length,
            judged: tally.judged,
            failed: tally.failed,
            empty: tally.empty,
            worst_from: tally.worst.map(|worst| worst.from),
        };
        if tally.judged + tally.empty == 0 {
            let what = if self.span.is_of_scenario { "as the load of the scenario" } else { "which" };
            let short = format!("judged over the whole run, {what} was shorter than {}", duration(self.length));
            let note = whole.note.map_or_else(|| short.clone(), |note| format!("{short}; {note}"));
            return Judged { note: whole.actual.map(|_| note), windows: Some(counts), ..whole };
        }
        // What is not known of the whole run is not known of any window either.
        let nothing = || format!("no samples in any of its {}", counted(tally.empty, "window"));
        let reason = whole.reason.or_else(|| (tally.judged == 0).then(nothing));
        Judged {
            threshold: threshold.clone(),
            actual: tally.worst.and_then(|worst| worst.actual),
            passed: reason.is_none() && tally.failed == 0,
            note: tally.worst.map(|worst| tally.note(&worst)),
            reason,
            windows: Some(counts),
        }
    }
}

impl Threshold {
    /// Returns true if a window with the value `new` is worse than one with the value `known`.
    fn is_worse(&self, new: f64, known: f64) -> bool {
        let limit = self.limit.value();
        match self.operator {
            Operator::Below | Operator::AtMost => new > known,
            Operator::Above | Operator::AtLeast => new < known,
            Operator::Equal => (new - limit).abs() > (known - limit).abs(),
            Operator::Unequal => (new - limit).abs() < (known - limit).abs(),
        }
    }
}

impl Window {
    fn has_failed(&self, threshold: &Threshold) -> bool {
        self.actual.is_some_and(|actual| !threshold.holds(actual.value()))
    }
}

impl Tally {
    fn add(&mut self, threshold: &Threshold, window: Window) {
        let Some(actual) = window.actual else {
            self.empty += 1;
            self.first_empty = self.first_empty.or(Some(window));
            return;
        };
        self.judged += 1;
        self.failed += u64::from(window.has_failed(threshold));
        self.compare(threshold, window, actual);
    }

    /// Judges the windows without samples, which have the value `zero`.
    fn judge_empty(&mut self, threshold: &Threshold, zero: Actual) {
        let Some(first) = self.first_empty.take() else { return };
        let empty = std::mem::take(&mut self.empty);
        self.judged += empty;
        self.failed += if threshold.holds(zero.value()) { 0 } else { empty };
        self.compare(threshold, Window { actual: Some(zero), ..first }, zero);
    }

    /// Keeps a window with the value `actual` if it is the worst one so far.
    fn compare(&mut self, threshold: &Threshold, window: Window, actual: Actual) {
        let worst = self.worst.and_then(|worst| worst.actual);
        if worst.is_none_or(|worst| threshold.is_worse(actual.value(), worst.value())) {
            self.worst = Some(window);
        }
    }

    /// Describes the worst window and the number of windows.
    fn note(&self, worst: &Window) -> String {
        let [from, until] = [worst.from, worst.until].map(duration);
        let all = counted(self.judged, "window");
        let result = match self.failed {
            0 => format!("{all} passed"),
            failed => format!("{} of {all} failed", count(failed)),
        };
        let empty = match self.empty {
            0 => String::new(),
            empty => format!(", {} had no samples", count(empty)),
        };
        format!("from {from} to {until}; {result}{empty}")
    }
}
