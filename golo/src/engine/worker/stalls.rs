//! Periods in which a worker's thread stood still. A load test that blocks the thread delays golo, and the target is
//! not to blame.

use std::time::{Duration, Instant};

/// Shorter stalls are normal on any machine, so they are ignored.
const SHORTEST: Duration = Duration::from_millis(1);

/// Stalls seen by the conductor, which wakes late if the thread stood still.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// Time at which the conductor is to wake next.
    expected: Option<Instant>,
    /// End and length of each stall. A stall is dropped once one at least as long follows, so the longest comes first.
    seen: Vec<(Instant, Duration)>,
}

impl Stalls {
    /// Records that the conductor is to wake at `wake`.
    pub(super) fn expect(&mut self, wake: Instant) {
        self.expected = Some(wake);
    }

    /// Records that the conductor has woken.
    pub(super) fn note(&mut self, now: Instant) {
        let Some(late) = self.expected.take().and_then(|wake| now.checked_duration_since(wake)) else { return };
        if late < SHORTEST {
            return;
        }
        while self.seen.last().is_some_and(|(_, length)| *length <= late) {
            self.seen.pop();
        }
        self.seen.push((now, late));
    }

    /// Returns the longest time since `since` in which the thread stood still.
    pub(super) fn longest(&self, since: Instant, now: Instant) -> Duration {
        let seen = self.seen.iter().filter(|(end, _)| *end > since).map(|(end, length)| (*length).min(*end - since));
        // The first stall may have begun before `since`. The later ones are in descending order.
        let seen = seen.take(2);
        // The thread may stand still now, before the conductor can record it.
        let going_on = self.expected.map(|wake| now.saturating_duration_since(wake.max(since)));
        let going_on = going_on.filter(|length| *length >= SHORTEST);
        seen.chain(going_on).max().unwrap_or_default()
    }
}

/// Returns golo's own part of a delay of `late`, if the thread stood still for `stood` meanwhile. Returns zero if most
/// of the delay would have happened anyway, since then it is due to the target.
pub(super) fn own_part(late: Duration, stood: Duration) -> Duration {
    if stood.saturating_mul(2) < late { Duration::ZERO } else { stood.min(late) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// Creates stalls from pairs of end and length, in milliseconds.
    fn stalls(ended: &[(u32, u32)]) -> (Instant, Stalls) {
        let start = Instant::now();
        let mut stalls = Stalls::default();
        for (end, length) in ended {
            stalls.expect(start + *end * MILLI - *length * MILLI);
            stalls.note(start + *end * MILLI);
        }
        (start, stalls)
    }

    #[test]
    fn longest_stall_since_a_time_is_found() {
        let (start, stalls) = stalls(&[(1000, 50), (2000, 300), (3000, 20), (4000, 40)]);
        let longest = |since| stalls.longest(start + since * MILLI, start + 5000 * MILLI);
        assert_eq!([0, 1999, 2500, 4000].map(longest), [300 * MILLI, 40 * MILLI, 40 * MILLI, Duration::ZERO]);
        assert_eq!(longest(1900), 100 * MILLI, "what was before counts for nothing");
        assert_eq!(stalls.seen.len(), 2, "shorter ones before are forgotten");
    }

    #[test]
    fn ongoing_stall_counts_before_conductor_wakes() {
        let (start, mut stalls) = stalls(&[]);
        stalls.expect(start + 100 * MILLI);
        assert_eq!(stalls.longest(start, start + 350 * MILLI), 250 * MILLI);
        assert_eq!(stalls.longest(start + 300 * MILLI, start + 350 * MILLI), 50 * MILLI);
        assert_eq!(stalls.longest(start, start + 100 * MILLI), Duration::ZERO);
    }

    #[test]
    fn waking_early_or_almost_on_time_is_no_stall() {
        let (start, mut stalls) = stalls(&[]);
        stalls.expect(start + 100 * MILLI);
        stalls.note(start + 50 * MILLI);
        stalls.expect(start + 100 * MILLI);
        stalls.note(start + 100 * MILLI + SHORTEST / 2);
        assert_eq!(stalls.longest(start, start + 900 * MILLI), Duration::ZERO);
    }

    #[test]
    fn own_part_is_zero_when_the_target_caused_most_of_the_delay() {
        let part = |late, stood| own_part(late * MILLI, stood * MILLI).as_millis();
        assert_eq!([part(150, 200), part(150, 80), part(150, 70)], [150, 80, 0]);
    }
}
