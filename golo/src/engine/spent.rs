//! Time spent in triggers, divided between the target and the load test itself.

use std::time::Duration;

/// Time of triggers that ended, from start to end, in three parts that add up to the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Time in requests and measured steps. Overlapping ones count once.
    pub requesting: Duration,
    /// Think time.
    pub thinking: Duration,
    /// Time of the load test's own work: everything else, such as work between requests and pauses that are not think
    /// time.
    pub working: Duration,
}

impl Spent {
    /// Splits the time of one trigger.
    #[must_use]
    pub fn of(whole: Duration, requesting: Duration, thinking: Duration) -> Self {
        let requesting = requesting.min(whole.saturating_sub(thinking));
        Self { requesting, thinking, working: whole.saturating_sub(thinking).saturating_sub(requesting) }
    }

    /// Returns the load test's own part: its think time and its own work.
    #[must_use]
    pub fn pausing(self) -> Duration {
        self.thinking.saturating_add(self.working)
    }

    /// Returns the sum of all parts.
    #[must_use]
    pub fn whole(self) -> Duration {
        self.requesting.saturating_add(self.pausing())
    }

    /// Adds the time of other triggers.
    pub fn merge(&mut self, other: Self) {
        self.requesting = self.requesting.saturating_add(other.requesting);
        self.thinking = self.thinking.saturating_add(other.thinking);
        self.working = self.working.saturating_add(other.working);
    }
}

/// Returns how many of a paced user's `missed` starts would have happened without the load test's own pauses. The user
/// was busy with `done` triggers for `busy` since it was last in time, and paused for `pausing` of that time.
///
/// Without its pauses the user would have run as many triggers in less time, and therefore more of them in the same
/// time.
pub(super) fn missed_by_pausing(missed: u64, done: u64, busy: Duration, pausing: Duration) -> u64 {
    let without = busy.saturating_sub(pausing);
    if without.is_zero() {
        return if pausing.is_zero() { 0 } else { missed };
    }
    let more = done as f64 * pausing.as_secs_f64() / without.as_secs_f64();
    missed.min(more.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn parts_add_up_to_the_whole() {
        let spent = Spent::of(100 * MILLI, 30 * MILLI, 50 * MILLI);
        assert_eq!((spent.working, spent.pausing(), spent.whole()), (20 * MILLI, 70 * MILLI, 100 * MILLI));
        let rounded = Spent::of(100 * MILLI, 60 * MILLI, 50 * MILLI);
        assert_eq!((rounded.whole(), rounded.working), (100 * MILLI, Duration::ZERO));
        let mut sum = spent;
        sum.merge(rounded);
        assert_eq!(sum.whole(), 200 * MILLI);
    }

    #[test]
    fn missed_starts_are_due_to_the_target_unless_pauses_caused_them() {
        let missed = |missed, done, busy, pausing| missed_by_pausing(missed, done, busy * MILLI, pausing * MILLI);
        assert_eq!(missed(68, 32, 9_900, 9_600), 68, "a pause of 300 ms at a pace of 100 ms");
        assert_eq!(missed(60, 40, 10_000, 2_000), 10, "50 ms of thought beside 200 ms of the target");
        assert_eq!(missed(50, 50, 10_000, 0), 0, "the target alone");
        assert_eq!((missed(9, 0, 1_000, 0), missed(9, 0, 0, 0)), (0, 0), "nothing is known of the first");
        assert_eq!(missed(9, 1, 1_000, 1_000), 9);
    }
}
