//! How far the clocks of two machines are apart, as calls over the network show it.

use std::time::{Duration, Instant, SystemTime};

use golo::wire::unix_nanoseconds;

/// One question what time it is there. Moments are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// When it was asked, by the clock here.
    pub sent: u64,
    /// When the answer had come, by the clock here.
    pub received: u64,
    /// The answer.
    pub there: u64,
}

/// How far a clock is ahead of the one here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds; below 0 where it is behind.
    pub ahead: i128,
    /// How much that may be wrong, either way.
    pub uncertainty: Duration,
}

impl Offset {
    /// What rounds tell: the one that took the least time tells most, since the answer was made somewhere in it.
    #[must_use]
    pub fn estimate(rounds: &[Round]) -> Option<Self> {
        let trip = |round: &Round| round.received.saturating_sub(round.sent);
        let best = rounds.iter().min_by_key(|round| trip(round))?;
        let middle = (i128::from(best.sent) + i128::from(best.received)) / 2;
        Some(Self { ahead: i128::from(best.there) - middle, uncertainty: Duration::from_nanos(trip(best).div_ceil(2)) })
    }

    /// A moment here, by the clock there.
    #[must_use]
    pub fn there(&self, here: u64) -> u64 {
        moved(here, self.ahead)
    }

    /// A moment by the clock there, by the one here.
    #[must_use]
    pub fn here(&self, there: u64) -> u64 {
        moved(there, -self.ahead)
    }
}

fn moved(moment: u64, by: i128) -> u64 {
    u64::try_from((i128::from(moment) + by).max(0)).unwrap_or(u64::MAX)
}

/// The clock here, which goes on evenly whatever is done to that of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: SystemTime,
    since: Instant,
}

impl Clock {
    /// As the machine's is now.
    #[must_use]
    pub fn start() -> Self {
        Self { wall: SystemTime::now(), since: Instant::now() }
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        unix_nanoseconds(self.wall + self.since.elapsed())
    }

    /// The moment that is so many nanoseconds after the Unix epoch.
    #[must_use]
    pub fn instant(&self, unix_nanoseconds: u64) -> Instant {
        let now = Instant::now();
        let ahead = i128::from(unix_nanoseconds) - i128::from(self.now());
        let distance = Duration::from_nanos(u64::try_from(ahead.unsigned_abs()).unwrap_or(u64::MAX));
        let moment = if ahead < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        moment.unwrap_or(now)
    }
}

/// How far apart moments are, each by a clock that is so far known: the largest distance, and how wrong that may be.
#[must_use]
pub fn skew(moments: &[(u64, Duration)]) -> Option<(Duration, Duration)> {
    let first = moments.iter().min_by_key(|(moment, _)| *moment)?;
    let last = moments.iter().max_by_key(|(moment, _)| *moment)?;
    let worst = moments.iter().map(|(_, uncertainty)| *uncertainty).max()?;
    Some((Duration::from_nanos(last.0 - first.0), worst))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 1_795_600_000_000_000_000;

    fn round(sent: u64, there: i64, received: u64) -> Round {
        Round { sent: EPOCH + sent, received: EPOCH + received, there: EPOCH.saturating_add_signed(there) }
    }

    #[test]
    fn the_quickest_round_tells_most() {
        let rounds = [round(0, 9_000, 10_000), round(20_000, 25_400, 21_000), round(30_000, 39_000, 34_000)];
        let offset = Offset::estimate(&rounds).unwrap();
        assert_eq!(offset, Offset { ahead: 4_900, uncertainty: Duration::from_nanos(500) });
        assert_eq!(Offset::estimate(&[]), None);
    }

    #[test]
    fn a_clock_may_be_behind_and_by_far() {
        let year = 31_536_000_000_000_000_i64;
        let offset = Offset::estimate(&[round(1_000, 1_500 - year, 2_000)]).unwrap();
        assert_eq!(offset.ahead, -i128::from(year));
        assert_eq!(offset.here(offset.there(EPOCH)), EPOCH);
        assert_eq!(offset.there(EPOCH), EPOCH - year.unsigned_abs());
        assert_eq!(Offset { ahead: -5, ..offset }.there(3), 0, "there is nothing before 1970");
    }

    #[test]
    fn the_truth_is_within_the_uncertainty_wherever_in_a_round_the_answer_was_made() {
        for made in [0, 1, 400, 999, 1_000] {
            let ahead = 123_456_789;
            let answer = round(0, made + ahead, 1_000);
            let offset = Offset::estimate(&[answer]).unwrap();
            assert!((offset.ahead - i128::from(ahead)).unsigned_abs() <= offset.uncertainty.as_nanos(), "{made}");
        }
    }

    #[test]
    fn skew_is_the_largest_distance() {
        let known = |moment, uncertainty| (moment, Duration::from_nanos(uncertainty));
        let moments = [known(1_000, 5), known(1_400, 9), known(1_100, 7)];
        assert_eq!(skew(&moments), Some((Duration::from_nanos(400), Duration::from_nanos(9))));
        assert_eq!(skew(&[]), None);
    }

    #[test]
    fn moments_here_are_instants() {
        let clock = Clock::start();
        let now = Instant::now();
        let later = clock.instant(clock.now() + 5_000_000_000);
        assert!(later > now + Duration::from_secs(4) && later < now + Duration::from_secs(60));
        assert!(clock.instant(clock.now() - 1_000_000) < Instant::now());
    }
}
