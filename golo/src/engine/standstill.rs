//! Standstills: times in which a process of the load generator did not run at all, since it was stopped by a signal, or
//! its machine was suspended or had no time for it. Nothing was sent, and nothing that came back was measured.

use std::time::{Duration, Instant};

/// Shorter pauses of a process are normal on any machine, so they are ignored.
const SHORTEST: Duration = Duration::from_millis(100);
/// Length of a window. Late starts are judged by the same one.
const WINDOW: Duration = Duration::from_secs(3);
/// Longest acceptable standstill in one window, unless `--max-lag` is longer. A third of the window is more than a busy
/// machine keeps a thread that only sleeps from running, and enough to change the figures of any model.
const LONGEST: Duration = Duration::from_secs(1);

/// A window of time in which a process of the load generator stood still for longer than is acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// Time since the start of the measured part at which the process stopped first.
    pub from: Duration,
    /// Time that the process did not run, in total.
    pub length: Duration,
    /// Number of times that it stopped.
    pub times: u64,
}

impl Standstill {
    /// Returns the longer one of two standstills, of the same process or of different ones.
    #[must_use]
    pub fn longer(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        [one, other].into_iter().flatten().max_by_key(|standstill| standstill.length)
    }
}

/// A time in which a process did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    begin: Instant,
    /// End of the pause, by a clock that may not run while the machine is suspended.
    end: Instant,
    /// Time of suspension that this clock has left out.
    suspended: Duration,
}

impl Pause {
    /// Creates a pause that ended at `end`. Returns `None` if it is too short to count. `length` includes the time in
    /// which the machine was suspended, and `seen` is the part of it by the clock of `end`.
    #[must_use]
    pub fn new(end: Instant, length: Duration, seen: Duration) -> Option<Self> {
        let begin = end.checked_sub(seen).filter(|_| length >= SHORTEST)?;
        Some(Self { begin, end, suspended: length.saturating_sub(seen) })
    }

    /// Returns the part of this pause between `start` and `end`, or `None` if there is none.
    fn within(self, start: Instant, end: Instant) -> Option<Self> {
        let part = Self { begin: self.begin.max(start), end: self.end.min(end), ..self };
        // A pause of a suspended machine may have no length by this clock.
        (self.begin < end && self.end > start).then_some(part)
    }

    fn length(self) -> Duration {
        self.end.saturating_duration_since(self.begin) + self.suspended
    }
}

/// Returns the worst window of the pauses of one process, in the order of their ends, if it is not acceptable. Only the
/// time of the run from `start` to `end` counts.
#[must_use]
pub fn worst(pauses: &[Pause], start: Instant, end: Instant, max_lag: Option<Duration>) -> Option<Standstill> {
    let limit = max_lag.map_or(LONGEST, |max_lag| max_lag.max(LONGEST));
    let pauses: Vec<_> = pauses.iter().filter_map(|pause| pause.within(start, end)).collect();
    let mut first = 0;
    let windows = pauses.iter().enumerate().map(|(last, pause)| {
        while pauses[first].end + WINDOW < pause.end {
            first += 1;
        }
        let window = &pauses[first..=last];
        Standstill {
            from: pauses[first].begin.saturating_duration_since(start),
            length: window.iter().map(|pause| pause.length()).sum(),
            times: window.len() as u64,
        }
    });
    windows.filter(|window| window.length > limit).fold(None, |worst, window| Standstill::longer(Some(window), worst))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the worst window of a run of 20 s whose process had pauses with these begins and lengths, in milliseconds.
    fn of(pauses: &[(u32, u32)], max_lag: Option<Duration>) -> Option<Standstill> {
        let epoch = Instant::now();
        let pauses = pauses.iter().filter_map(|(begin, length)| {
            let length = *length * MILLI;
            Pause::new(epoch + *begin * MILLI + length, length, length)
        });
        // The run is measured from 1 s on.
        worst(&pauses.collect::<Vec<_>>(), epoch + SECOND, epoch + 21 * SECOND, max_lag)
    }

    fn standstill(from: u32, length: u32, times: u64) -> Option<Standstill> {
        Some(Standstill { from: from * MILLI, length: length * MILLI, times })
    }

    #[test]
    fn stopped_process_stands_still() {
        assert_eq!(of(&[(3000, 5000)], None), standstill(2000, 5000, 1));
        assert_eq!(of(&[(2000, 1100), (9000, 1200), (15_000, 1050)], None), standstill(8000, 1200, 1));
    }

    #[test]
    fn short_pauses_count_together_if_they_are_close() {
        assert_eq!(of(&[(2000, 400), (3000, 400), (4000, 400), (9000, 400)], None), standstill(1000, 1200, 3));
        assert_eq!(of(&[(2000, 900), (6000, 900), (10_000, 900)], None), None);
    }

    #[test]
    fn busy_machine_does_not_stand_still() {
        // A thread that only sleeps wakes late, again and again.
        let late: Vec<_> = (0..190).map(|tick| (1000 + tick * 100, 90)).collect();
        assert_eq!(of(&late, None), None);
        assert_eq!(of(&[(2000, 1000), (9000, 300), (9500, 300)], None), None);
    }

    #[test]
    fn only_the_measured_part_counts() {
        assert_eq!(of(&[(0, 900), (500, 1400)], None), None, "most of it was before");
        assert_eq!(of(&[(0, 4000)], None), standstill(0, 3000, 1));
        assert_eq!(of(&[(19_500, 5000), (25_000, 5000)], None), standstill(18_500, 1500, 1));
    }

    #[test]
    fn limit_is_at_least_max_lag() {
        assert_eq!(of(&[(3000, 5000)], Some(5 * SECOND)), None);
        assert_eq!(of(&[(3000, 900)], Some(MILLI)), None);
        assert!(of(&[(3000, 5000)], Some(4 * SECOND)).is_some());
    }

    #[test]
    fn suspended_machine_stands_still() {
        let start = Instant::now();
        // The clock of the run went on for 50 ms only.
        let pause = Pause::new(start + 2 * SECOND, 3600 * SECOND, 50 * MILLI).unwrap();
        let found = worst(&[pause], start, start + 3 * SECOND, None);
        assert_eq!(found, Some(Standstill { from: 1950 * MILLI, length: 3600 * SECOND, times: 1 }));
    }
}
