//! When a worker's thread stood still: a load test that blocks it makes golo late, and no target does.

use std::time::{Duration, Instant};

/// Shorter ones are what any machine does.
const SHORTEST: Duration = Duration::from_millis(1);

/// What the conductor has seen: it wakes late where the thread stood still.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    /// When it is to wake next.
    expected: Option<Instant>,
    /// When each ended and how long it was; only those that no longer one came after, so the longest first.
    seen: Vec<(Instant, Duration)>,
}

impl Stalls {
    /// The conductor is to wake at `wake`.
    pub(super) fn expect(&mut self, wake: Instant) {
        self.expected = Some(wake);
    }

    /// The conductor has woken.
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

    /// The longest time since `since` in which the thread stood still.
    pub(super) fn longest(&self, since: Instant, now: Instant) -> Duration {
        let seen = self.seen.iter().filter(|(end, _)| *end > since).map(|(end, length)| (*length).min(*end - since));
        // The first may have begun before; those after it are in order.
        let seen = seen.take(2);
        // The conductor itself may not have had its turn yet.
        let going_on = self.expected.map(|wake| now.saturating_duration_since(wake.max(since)));
        let going_on = going_on.filter(|length| *length >= SHORTEST);
        seen.chain(going_on).max().unwrap_or_default()
    }
}

/// golo's own part in what is so late, where the thread stood still for so long meanwhile. There is none where most of it
/// would have been all the same: that is the target's doing.
pub(super) fn own_part(late: Duration, stood: Duration) -> Duration {
    if stood.saturating_mul(2) < late { Duration::ZERO } else { stood.min(late) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// Stalls of so many milliseconds that ended after so many.
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
    fn the_longest_since_a_moment_is_found() {
        let (start, stalls) = stalls(&[(1000, 50), (2000, 300), (3000, 20), (4000, 40)]);
        let longest = |since| stalls.longest(start + since * MILLI, start + 5000 * MILLI);
        assert_eq!([0, 1999, 2500, 4000].map(longest), [300 * MILLI, 40 * MILLI, 40 * MILLI, Duration::ZERO]);
        assert_eq!(longest(1900), 100 * MILLI, "what was before counts for nothing");
        assert_eq!(stalls.seen.len(), 2, "shorter ones before are forgotten");
    }

    #[test]
    fn one_that_goes_on_counts_before_the_conductor_can_see_it() {
        let (start, mut stalls) = stalls(&[]);
        stalls.expect(start + 100 * MILLI);
        assert_eq!(stalls.longest(start, start + 350 * MILLI), 250 * MILLI);
        assert_eq!(stalls.longest(start + 300 * MILLI, start + 350 * MILLI), 50 * MILLI);
        assert_eq!(stalls.longest(start, start + 100 * MILLI), Duration::ZERO);
    }

    #[test]
    fn waking_early_or_nearly_in_time_is_no_stall() {
        let (start, mut stalls) = stalls(&[]);
        stalls.expect(start + 100 * MILLI);
        stalls.note(start + 50 * MILLI);
        stalls.expect(start + 100 * MILLI);
        stalls.note(start + 100 * MILLI + SHORTEST / 2);
        assert_eq!(stalls.longest(start, start + 900 * MILLI), Duration::ZERO);
    }

    #[test]
    fn golo_is_to_blame_for_what_would_mostly_not_have_been_without_it() {
        let part = |late, stood| own_part(late * MILLI, stood * MILLI).as_millis();
        assert_eq!([part(150, 200), part(150, 80), part(150, 70)], [150, 80, 0]);
    }
}
