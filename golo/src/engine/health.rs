//! The generator's own health: whether it delivered what the plan asked for, or is itself to blame.

use std::{collections::BTreeMap, time::Duration};

use super::histogram::Histogram;

/// Seconds of a window over which starts may not be late.
const WINDOW: u64 = 3;
/// Starts may be this late; or by a tenth of the time between two of them, where that is longer.
const LATE: Duration = Duration::from_millis(10);

/// How late starts were over some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The window's first second, counted from 0.
    pub from: u64,
    /// The 99th percentile of the delay.
    pub p99: Duration,
    /// From where on that is too late.
    pub limit: Duration,
}

impl Lag {
    /// Whether starts were too late.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.p99 > self.limit
    }
}

/// The lag of the seconds that have not been judged yet, and the worst window so far.
#[derive(Debug, Default)]
pub(super) struct LagWindows {
    seconds: BTreeMap<u64, Second>,
    judged: u64,
    worst: Option<Lag>,
}

/// One second's starts: how late those that were made were, and how many were due.
#[derive(Debug, Default)]
struct Second {
    lag: Histogram,
    due: u64,
}

impl LagWindows {
    pub(super) fn add(&mut self, second: u64, lag: &Histogram, due: u64) {
        if !lag.is_empty() || due > 0 {
            let known = self.seconds.entry(second).or_default();
            known.lag.merge(lag);
            known.due += due;
        }
    }

    /// Judges every whole window that ends before `second`: nothing is added to those seconds any more.
    pub(super) fn judge_before(&mut self, second: u64) {
        while self.judged + WINDOW <= second {
            self.judge(self.judged, Duration::from_secs(WINDOW));
            self.seconds.remove(&self.judged);
            self.judged += 1;
        }
    }

    /// Judges what is left, of a run over which starts were due for `time`; gives the worst.
    pub(super) fn finish(mut self, time: Duration) -> Option<Lag> {
        let last = self.seconds.last_key_value().map_or(0, |(last, _)| last + 1);
        self.judge_before(last);
        if self.judged == 0 {
            // Shorter than a window.
            self.judge(0, time.min(Duration::from_secs(WINDOW)));
        }
        self.worst
    }

    fn judge(&mut self, from: u64, length: Duration) {
        let mut window = Second::default();
        for second in self.seconds.range(from..from + WINDOW).map(|(_, second)| second) {
            window.lag.merge(&second.lag);
            window.due += second.due;
        }
        let Some(p99) = window.lag.quantile(0.99) else { return };
        let spacing = length.div_f64(window.due.max(1) as f64);
        let lag = Lag { from, p99: Duration::from_nanos(p99), limit: LATE.max(spacing / 10) };
        let excess = |lag: &Lag| lag.p99.as_secs_f64() / lag.limit.as_secs_f64();
        if self.worst.is_none_or(|worst| excess(&worst) < excess(&lag)) {
            self.worst = Some(lag);
        }
    }
}

/// How many descriptors this process has open, and how many it may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// The most that were open at the end of any second; 0 where the system does not say.
    pub open: u64,
    /// How many there may be, if there is a limit.
    pub limit: Option<u64>,
}

impl Descriptors {
    /// Raises this process's limit as far as it may: the usual one, 1024, is for programs that are no load generator.
    pub(super) fn with_limit_raised() -> Self {
        #[cfg(unix)]
        {
            use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
            let limit = getrlimit(Resource::Nofile);
            let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
            // Some systems allow less than they say, and then nothing has changed.
            let limit = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
            Self { open: 0, limit }
        }
        #[cfg(not(unix))]
        Self::default()
    }

    /// Looks how many are open now.
    pub(super) fn look(&mut self) {
        self.open = self.open.max(open_descriptors().unwrap_or_default());
    }
}

/// Since Linux 6.2 the directory's size is their number; before, it has to be read.
#[cfg(target_os = "linux")]
fn open_descriptors() -> Option<u64> {
    let directory = "/proc/self/fd";
    match std::fs::metadata(directory).ok()?.len() {
        0 => Some(std::fs::read_dir(directory).ok()?.count() as u64),
        number => Some(number),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_descriptors() -> Option<u64> {
    None
}

/// What a run says of its generator, beside what its snapshots have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// The window in which starts were latest, measured by what is too late.
    pub worst_lag: Option<Lag>,
    /// Why workers were lost.
    pub lost: Vec<String>,
    /// Agents that were lost, of a run that several have a part in.
    pub lost_agents: Vec<LostAgent>,
    /// Descriptors.
    pub descriptors: Descriptors,
    /// Whether the generator was built without optimisations.
    pub is_unoptimised: bool,
}

/// An agent that did not deliver its share of the load to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostAgent {
    /// What it is called.
    pub name: String,
    /// From when on it is missing, since the start of the measured part.
    pub from: Duration,
    /// Why.
    pub reason: String,
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

    #[test]
    fn a_late_second_makes_its_windows_late_and_no_other() {
        let mut windows = LagWindows::default();
        for second in 0..20 {
            windows.add(second, &lag(if second == 10 { 500 } else { 0 }, 1000), 1000);
            windows.judge_before(second);
        }
        let worst = windows.finish(10 * SECOND).unwrap();
        assert!(worst.is_late() && (8..=10).contains(&worst.from), "{worst:?}");
        assert_eq!(worst.limit, LATE);
    }

    #[test]
    fn one_start_in_two_hundred_may_be_late() {
        let mut windows = LagWindows::default();
        windows.add(0, &lag(0, 995), 995);
        windows.add(0, &lag(500, 5), 5);
        assert!(!windows.finish(10 * SECOND).unwrap().is_late());
    }

    #[test]
    fn rare_starts_have_a_tenth_of_their_spacing() {
        let mut windows = LagWindows::default();
        for second in 0..3 {
            windows.add(second, &lag(90, 1), 1);
        }
        let worst = windows.finish(10 * SECOND).unwrap();
        assert_eq!((worst.limit, worst.is_late()), (Duration::from_millis(100), false));
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
    fn seconds_are_forgotten() {
        let mut windows = LagWindows::default();
        for second in 0..10_000 {
            windows.add(second, &lag(1, 1), 1);
            windows.judge_before(second);
            assert!(windows.seconds.len() <= WINDOW as usize + 1);
        }
    }
}
