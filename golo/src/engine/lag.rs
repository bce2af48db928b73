//! Delay of starts, and the limit above which the load generator is to blame for it.

use std::{collections::BTreeMap, time::Duration};

use super::histogram::Histogram;

/// Minimum length of a window, in seconds.
const WINDOW: u64 = 3;
/// Minimum number of starts in a window. The window is extended until it has as many, since the p99 of fewer starts is
/// their maximum.
const STARTS: u64 = 10;
/// Minimum number of late starts in a late window. A single hiccup of the machine is not the generator's fault.
const LATE_STARTS: u64 = 5;
/// Default limit of the delay, without `--max-lag`. A tenth of the time between two starts applies instead if that is
/// longer.
pub(crate) const LATE: Duration = Duration::from_millis(10);

/// Delay of starts in one window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// First second of the window, counted from 0.
    pub from: u64,
    /// 99th percentile of the delay.
    pub p99: Duration,
    /// Largest acceptable delay.
    pub limit: Duration,
    /// Starts of the window. `None` if reported by an older golo, which judged by the percentile alone.
    pub starts: Option<LateStarts>,
}

/// Starts of a window whose delay is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateStarts {
    /// Length of the window.
    pub length: Duration,
    /// Starts that were later than the limit.
    pub late: u64,
    /// All starts of the window.
    pub all: u64,
}

impl LateStarts {
    /// Returns true if there are enough late starts to blame the generator: several, or all if the run has only a few.
    fn are_several(&self) -> bool {
        self.late >= LATE_STARTS.min(self.all).max(2)
    }
}

impl Lag {
    /// Returns true if starts were too late: more than one in a hundred, and several.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.p99 > self.limit && self.starts.is_none_or(|starts| starts.are_several())
    }

    /// Returns the length of the window.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.starts.map_or(Duration::from_secs(WINDOW), |starts| starts.length)
    }

    /// Returns true if this window is worse than `other`: late when `other` is not, or further above its limit.
    #[must_use]
    pub fn is_worse_than(&self, other: &Self) -> bool {
        let badness = |lag: &Self| (lag.is_late(), lag.p99.as_secs_f64() / lag.limit.as_secs_f64().max(1e-9));
        badness(self) > badness(other)
    }
}

/// Delay of the seconds that have not been judged yet, and the worst window so far.
#[derive(Debug, Default)]
pub(super) struct LagWindows {
    seconds: BTreeMap<u64, Second>,
    /// First second of the next window.
    judged: u64,
    has_judged: bool,
    worst: Option<Lag>,
    /// Value of `--max-lag`, if it was set.
    limit: Option<Duration>,
}

/// Starts of one second: the delays of those made, and the number of those due.
#[derive(Debug, Default)]
struct Second {
    lag: Histogram,
    due: u64,
}

impl Second {
    fn starts(&self) -> u64 {
        self.due.max(self.lag.count())
    }
}

impl LagWindows {
    /// Creates windows that are judged by `limit`, or by the default limit if it is `None`.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn add(&mut self, second: u64, lag: &Histogram, due: u64) {
        if !lag.is_empty() || due > 0 {
            let known = self.seconds.entry(second).or_default();
            known.lag.merge(lag);
            known.due += due;
        }
    }

    /// Judges every complete window that ends before `second`. Nothing may be added to those seconds afterwards.
    pub(super) fn judge_before(&mut self, second: u64) {
        while let Some(end) = self.end_of_window().filter(|end| *end <= second) {
            self.judge(end, Duration::from_secs(end - self.judged));
            self.seconds.remove(&self.judged);
            self.judged += 1;
        }
    }

    /// Returns the end of the next window, or `None` if it does not have enough starts yet.
    fn end_of_window(&mut self) -> Option<u64> {
        let first = *self.seconds.first_key_value()?.0;
        // Earlier windows are empty.
        self.judged = self.judged.max((first + 1).saturating_sub(WINDOW));
        let mut starts = 0;
        let last = self.seconds.range(self.judged..).find_map(|(second, known)| {
            starts += known.starts();
            (starts >= STARTS).then_some(*second)
        })?;
        Some((last + 1).max(self.judged + WINDOW))
    }

    /// Judges the remaining seconds of a run and returns the worst window. `time` is how long starts were due.
    pub(super) fn finish(mut self, time: Duration) -> Option<Lag> {
        let last = self.seconds.last_key_value().map_or(0, |(last, _)| last + 1);
        self.judge_before(last);
        if !self.has_judged {
            // The run is shorter than a window or has fewer starts than one.
            self.judged = 0;
            self.judge(last, time.min(Duration::from_secs(last.max(WINDOW))));
        }
        self.worst
    }

    fn judge(&mut self, end: u64, length: Duration) {
        self.has_judged = true;
        let mut window = Second::default();
        for second in self.seconds.range(self.judged..end).map(|(_, second)| second) {
            window.lag.merge(&second.lag);
            window.due += second.due;
        }
        let Some(p99) = window.lag.quantile(0.99) else { return };
        let spacing = length.div_f64(window.due.max(1) as f64);
        let limit = self.limit.unwrap_or(LATE.max(spacing / 10));
        let all = window.lag.count();
        let late = all - window.lag.count_at_or_below(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        let starts = Some(LateStarts { length, late, all });
        let lag = Lag { from: self.judged, p99: Duration::from_nanos(p99), limit, starts };
        if self.worst.is_none_or(|worst| lag.is_worse_than(&worst)) {
            self.worst = Some(lag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lag(millis: u64, count: u64) -> Histogram {
        let mut lag = Histogram::new();
        lag.record_n(millis * 1_000_000, count);
        lag
    }

    /// Returns the worst window of seconds, each with the delay of its starts in milliseconds and their number.
    fn worst(limit: Option<Duration>, seconds: impl IntoIterator<Item = (u64, u64, u64)>) -> Lag {
        let mut windows = LagWindows::new(limit);
        for (second, millis, count) in seconds {
            windows.add(second, &lag(millis, count), count);
            windows.judge_before(second);
        }
        windows.finish(100 * SECOND).unwrap()
    }

    #[test]
    fn late_second_makes_only_its_windows_late() {
        let worst = worst(None, (0..20).map(|second| (second, if second == 10 { 500 } else { 0 }, 1000)));
        assert!(worst.is_late() && (8..=10).contains(&worst.from), "{worst:?}");
        assert_eq!((worst.limit, worst.length()), (LATE, 3 * SECOND));
        assert_eq!(worst.starts, Some(LateStarts { length: 3 * SECOND, late: 1000, all: 3000 }));
    }

    #[test]
    fn window_is_not_late_when_one_start_in_two_hundred_is() {
        assert!(!worst(None, [(0, 0, 995), (0, 500, 5)]).is_late());
    }

    #[test]
    fn single_late_start_at_low_rate_is_not_late() {
        // Four starts a second for 40 s, and one of them 26 ms late.
        let seconds = (0..40).flat_map(|second| [(second, 0, 3), (second, if second == 20 { 26 } else { 0 }, 1)]);
        let worst = worst(None, seconds);
        assert_eq!((worst.p99.as_millis(), worst.limit.as_millis()), (26, 25));
        assert!(!worst.is_late(), "{worst:?}");
    }

    #[test]
    fn low_rate_is_late_when_all_starts_are() {
        assert!(worst(None, (0..10).map(|second| (second, 500, 4))).is_late());
        // At one start a second, a window is longer than three seconds.
        let rare = worst(None, (0..30).map(|second| (second, 500, 1)));
        assert_eq!((rare.is_late(), rare.length(), rare.limit), (true, 10 * SECOND, SECOND / 10));
        // One start every 20 s.
        let rarer = worst(None, (0..10).map(|start| (start * 20, 3000, 1)));
        assert_eq!((rarer.is_late(), rarer.starts.unwrap().late), (true, 10), "{rarer:?}");
    }

    #[test]
    fn run_with_few_starts_is_late_when_all_of_them_are() {
        assert!(worst(None, [(0, 40_000, 1), (1, 40_000, 1), (2, 40_000, 1)]).is_late());
        assert!(!worst(None, [(0, 0, 1), (1, 40_000, 1), (2, 40_000, 1)]).is_late());
        assert!(!worst(None, [(0, 99_999, 1)]).is_late(), "one start says nothing");
    }

    #[test]
    fn limit_is_a_tenth_of_the_spacing_for_rare_starts() {
        let worst = worst(None, (0..30).map(|second| (second, 90, 1)));
        assert_eq!((worst.limit, worst.is_late()), (SECOND / 10, false));
    }

    #[test]
    fn limit_can_be_set() {
        let seconds = || (0..5).map(|second| (second, 40, 100));
        assert!(worst(None, seconds()).is_late());
        let lenient = worst(Some(SECOND / 20), seconds());
        assert_eq!((lenient.is_late(), lenient.limit, lenient.starts.unwrap().late), (false, SECOND / 20, 0));
        assert!(worst(Some(SECOND / 1000), (0..5).map(|second| (second, 5, 100))).is_late(), "a stricter one");
        assert!(worst(Some(Duration::ZERO), (0..5).map(|second| (second, 5, 100))).is_late());
    }

    #[test]
    fn spacing_counts_due_starts_that_were_dropped() {
        let mut windows = LagWindows::default();
        // Only ten of a thousand starts a second were made, all of them late.
        for second in 0..3 {
            windows.add(second, &lag(25, 10), 1000);
        }
        let worst = windows.finish(10 * SECOND).unwrap();
        assert_eq!((worst.limit, worst.is_late()), (LATE, true));
    }

    #[test]
    fn spacing_uses_the_actual_time_of_a_short_run() {
        let mut windows = LagWindows::default();
        windows.add(0, &lag(25, 2), 2);
        let worst = windows.finish(SECOND / 5).unwrap();
        assert_eq!((worst.limit, worst.is_late()), (LATE, true), "100 ms apart");
    }

    #[test]
    fn run_shorter_than_a_window_is_judged() {
        let mut windows = LagWindows::default();
        windows.add(1, &lag(2000, 100), 100);
        assert!(windows.finish(10 * SECOND).unwrap().is_late());
        assert_eq!(LagWindows::default().finish(SECOND), None, "nothing was due");
    }

    #[test]
    fn empty_windows_are_skipped() {
        let mut windows = LagWindows::default();
        windows.add(1_000_000, &lag(50, 100), 100);
        windows.judge_before(1_000_010);
        let worst = windows.finish(2_000_000 * SECOND).unwrap();
        assert!(worst.is_late() && worst.from >= 999_998, "{worst:?}");
    }

    #[test]
    fn late_window_is_worse_than_single_late_start() {
        let one =
            Lag { from: 0, p99: SECOND, limit: LATE, starts: Some(LateStarts { length: SECOND, late: 1, all: 10 }) };
        let many = Lag { p99: 2 * LATE, starts: Some(LateStarts { length: SECOND, late: 9, all: 10 }), ..one };
        assert!(many.is_worse_than(&one) && !one.is_worse_than(&many) && !one.is_worse_than(&one));
        assert!(Lag { starts: None, ..one }.is_late(), "by an older golo");
    }

    #[test]
    fn judged_seconds_are_dropped() {
        for starts in [1, 1000] {
            let mut windows = LagWindows::default();
            for second in 0..10_000 {
                windows.add(second, &lag(1, starts), starts);
                windows.judge_before(second);
                assert!(windows.seconds.len() <= (WINDOW + STARTS) as usize);
            }
        }
    }
}
