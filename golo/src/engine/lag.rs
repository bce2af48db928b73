//! How late starts were, and from where on the generator is to blame for that.

use std::{collections::BTreeMap, time::Duration};

use super::histogram::Histogram;

/// Least seconds of a window.
const WINDOW: u64 = 3;
/// Least starts of a window: it goes on until it has as many. A p99 of fewer is their maximum.
const STARTS: u64 = 10;
/// Least late starts of a late window: one hiccup of the machine says nothing of the generator.
const LATE_STARTS: u64 = 5;
/// Starts may be this late without `--max-lag`; or by a tenth of the time between two of them, if that is longer.
pub(crate) const LATE: Duration = Duration::from_millis(10);

/// How late starts were over some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The window's first second, counted from 0.
    pub from: u64,
    /// The 99th percentile of the delay.
    pub p99: Duration,
    /// From where on that is too late.
    pub limit: Duration,
    /// The starts of the window. `None` from an older golo, which judged by the percentile alone.
    pub starts: Option<LateStarts>,
}

/// The starts of a window whose delay is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateStarts {
    /// Length of the window.
    pub length: Duration,
    /// Starts that were later than the limit.
    pub late: u64,
    /// All starts.
    pub all: u64,
}

impl LateStarts {
    /// Whether there are enough late ones to blame the generator: several, or in a run that has but a few starts, all.
    fn are_several(&self) -> bool {
        self.late >= LATE_STARTS.min(self.all).max(2)
    }
}

impl Lag {
    /// Whether starts were too late: more than one in a hundred of them, and several.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.p99 > self.limit && self.starts.is_none_or(|starts| starts.are_several())
    }

    /// Length of the window.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.starts.map_or(Duration::from_secs(WINDOW), |starts| starts.length)
    }

    /// Whether this window says more against the generator than `other`.
    #[must_use]
    pub fn is_worse_than(&self, other: &Self) -> bool {
        let badness = |lag: &Self| (lag.is_late(), lag.p99.as_secs_f64() / lag.limit.as_secs_f64().max(1e-9));
        badness(self) > badness(other)
    }
}

/// The lag of the seconds that have not been judged yet, and the worst window so far.
#[derive(Debug, Default)]
pub(super) struct LagWindows {
    seconds: BTreeMap<u64, Second>,
    /// First second of the next window.
    judged: u64,
    has_judged: bool,
    worst: Option<Lag>,
    /// `--max-lag`, if it was given.
    limit: Option<Duration>,
}

/// One second's starts: how late those that were made were, and how many were due.
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
    /// Windows that are judged by `limit`, or without one by golo's own.
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

    /// Judges every whole window that ends before `second`: nothing is added to those seconds any more.
    pub(super) fn judge_before(&mut self, second: u64) {
        while let Some(end) = self.end_of_window().filter(|end| *end <= second) {
            self.judge(end, Duration::from_secs(end - self.judged));
            self.seconds.remove(&self.judged);
            self.judged += 1;
        }
    }

    /// The end of the next window, if it has enough starts so far.
    fn end_of_window(&mut self) -> Option<u64> {
        let first = *self.seconds.first_key_value()?.0;
        // Windows before have nothing in them.
        self.judged = self.judged.max((first + 1).saturating_sub(WINDOW));
        let mut starts = 0;
        let last = self.seconds.range(self.judged..).find_map(|(second, known)| {
            starts += known.starts();
            (starts >= STARTS).then_some(*second)
        })?;
        Some((last + 1).max(self.judged + WINDOW))
    }

    /// Judges what is left, of a run over which starts were due for `time`; returns the worst.
    pub(super) fn finish(mut self, time: Duration) -> Option<Lag> {
        let last = self.seconds.last_key_value().map_or(0, |(last, _)| last + 1);
        self.judge_before(last);
        if !self.has_judged {
            // Shorter than a window, or with fewer starts than one.
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

    /// The worst window of seconds with these starts: how late, and how many.
    fn worst(limit: Option<Duration>, seconds: impl IntoIterator<Item = (u64, u64, u64)>) -> Lag {
        let mut windows = LagWindows::new(limit);
        for (second, millis, count) in seconds {
            windows.add(second, &lag(millis, count), count);
            windows.judge_before(second);
        }
        windows.finish(100 * SECOND).unwrap()
    }

    #[test]
    fn a_late_second_makes_its_windows_late_and_no_other() {
        let worst = worst(None, (0..20).map(|second| (second, if second == 10 { 500 } else { 0 }, 1000)));
        assert!(worst.is_late() && (8..=10).contains(&worst.from), "{worst:?}");
        assert_eq!((worst.limit, worst.length()), (LATE, 3 * SECOND));
        assert_eq!(worst.starts, Some(LateStarts { length: 3 * SECOND, late: 1000, all: 3000 }));
    }

    #[test]
    fn one_start_in_two_hundred_may_be_late() {
        assert!(!worst(None, [(0, 0, 995), (0, 500, 5)]).is_late());
    }

    #[test]
    fn one_late_start_of_a_low_rate_is_a_hiccup() {
        // Four starts a second for 40 s, and one of them 26 ms late.
        let seconds = (0..40).flat_map(|second| [(second, 0, 3), (second, if second == 20 { 26 } else { 0 }, 1)]);
        let worst = worst(None, seconds);
        assert_eq!((worst.p99.as_millis(), worst.limit.as_millis()), (26, 25));
        assert!(!worst.is_late(), "{worst:?}");
    }

    #[test]
    fn a_low_rate_whose_starts_are_all_late_is_late() {
        assert!(worst(None, (0..10).map(|second| (second, 500, 4))).is_late());
        // One start a second is no window of three seconds.
        let rare = worst(None, (0..30).map(|second| (second, 500, 1)));
        assert_eq!((rare.is_late(), rare.length(), rare.limit), (true, 10 * SECOND, SECOND / 10));
        // One start each 20 s.
        let rarer = worst(None, (0..10).map(|start| (start * 20, 3000, 1)));
        assert_eq!((rarer.is_late(), rarer.starts.unwrap().late), (true, 10), "{rarer:?}");
    }

    #[test]
    fn a_run_of_a_few_starts_is_late_if_all_of_them_are() {
        assert!(worst(None, [(0, 40_000, 1), (1, 40_000, 1), (2, 40_000, 1)]).is_late());
        assert!(!worst(None, [(0, 0, 1), (1, 40_000, 1), (2, 40_000, 1)]).is_late());
        assert!(!worst(None, [(0, 99_999, 1)]).is_late(), "one start says nothing");
    }

    #[test]
    fn rare_starts_have_a_tenth_of_their_spacing() {
        let worst = worst(None, (0..30).map(|second| (second, 90, 1)));
        assert_eq!((worst.limit, worst.is_late()), (SECOND / 10, false));
    }

    #[test]
    fn the_limit_may_be_set() {
        let seconds = || (0..5).map(|second| (second, 40, 100));
        assert!(worst(None, seconds()).is_late());
        let lenient = worst(Some(SECOND / 20), seconds());
        assert_eq!((lenient.is_late(), lenient.limit, lenient.starts.unwrap().late), (false, SECOND / 20, 0));
        assert!(worst(Some(SECOND / 1000), (0..5).map(|second| (second, 5, 100))).is_late(), "a stricter one");
        assert!(worst(Some(Duration::ZERO), (0..5).map(|second| (second, 5, 100))).is_late());
    }

    #[test]
    fn what_was_refused_was_due_all_the_same() {
        let mut windows = LagWindows::default();
        // Of a thousand starts a second ten were made, each of them late.
        for second in 0..3 {
            windows.add(second, &lag(25, 10), 1000);
        }
        let worst = windows.finish(10 * SECOND).unwrap();
        assert_eq!((worst.limit, worst.is_late()), (LATE, true));
    }

    #[test]
    fn the_spacing_is_that_of_the_time_there_was() {
        let mut windows = LagWindows::default();
        windows.add(0, &lag(25, 2), 2);
        let worst = windows.finish(SECOND / 5).unwrap();
        assert_eq!((worst.limit, worst.is_late()), (LATE, true), "100 ms apart");
    }

    #[test]
    fn a_run_shorter_than_a_window_is_judged_as_it_is() {
        let mut windows = LagWindows::default();
        windows.add(1, &lag(2000, 100), 100);
        assert!(windows.finish(10 * SECOND).unwrap().is_late());
        assert_eq!(LagWindows::default().finish(SECOND), None, "nothing was due");
    }

    #[test]
    fn a_window_in_which_nothing_was_due_is_none() {
        let mut windows = LagWindows::default();
        windows.add(1_000_000, &lag(50, 100), 100);
        windows.judge_before(1_000_010);
        let worst = windows.finish(2_000_000 * SECOND).unwrap();
        assert!(worst.is_late() && worst.from >= 999_998, "{worst:?}");
    }

    #[test]
    fn a_late_window_is_worse_than_a_single_late_start() {
        let one =
            Lag { from: 0, p99: SECOND, limit: LATE, starts: Some(LateStarts { length: SECOND, late: 1, all: 10 }) };
        let many = Lag { p99: 2 * LATE, starts: Some(LateStarts { length: SECOND, late: 9, all: 10 }), ..one };
        assert!(many.is_worse_than(&one) && !one.is_worse_than(&many) && !one.is_worse_than(&one));
        assert!(Lag { starts: None, ..one }.is_late(), "by an older golo");
    }

    #[test]
    fn seconds_are_forgotten() {
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
