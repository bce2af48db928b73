//! Estimates the difference between the clocks of two machines from calls over the network.

use std::time::{Duration, Instant, SystemTime};

use golo::wire::unix_nanoseconds;

use crate::drive::local_time::local;

/// Times of one call that asked another machine for its time. All are in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Time of the call, by the local clock.
    pub sent: u64,
    /// Time of the answer's arrival, by the local clock.
    pub received: u64,
    /// The answer: the time by the remote clock.
    pub there: u64,
}

/// Difference between a remote clock and the local one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Nanoseconds by which the remote clock is ahead. Negative if it is behind.
    pub ahead: i128,
    /// Largest error of `ahead` in either direction.
    pub uncertainty: Duration,
}

impl Offset {
    /// Estimates the difference from several rounds. The shortest round is the most exact one, because the answer was
    /// made at some time during it. Returns `None` if there are no rounds.
    #[must_use]
    pub fn estimate(rounds: &[Round]) -> Option<Self> {
        let trip = |round: &Round| round.received.saturating_sub(round.sent);
        let best = rounds.iter().min_by_key(|round| trip(round))?;
        let middle = (i128::from(best.sent) + i128::from(best.received)) / 2;
        Some(Self { ahead: i128::from(best.there) - middle, uncertainty: Duration::from_nanos(trip(best).div_ceil(2)) })
    }

    /// Converts a local time to the remote clock.
    #[must_use]
    pub fn there(&self, here: u64) -> u64 {
        local(here, -self.ahead)
    }

    /// Converts a time of the remote clock to the local one.
    #[must_use]
    pub fn here(&self, there: u64) -> u64 {
        local(there, self.ahead)
    }
}

/// The local clock. It advances evenly, even if the system time is changed.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: SystemTime,
    since: Instant,
}

impl Clock {
    /// Creates a clock with the current system time.
    #[must_use]
    pub fn start() -> Self {
        Self { wall: SystemTime::now(), since: Instant::now() }
    }

    /// Returns the time in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> u64 {
        unix_nanoseconds(self.wall + self.since.elapsed())
    }

    /// Converts nanoseconds since the Unix epoch to an [`Instant`].
    #[must_use]
    pub fn instant(&self, unix_nanoseconds: u64) -> Instant {
        let now = Instant::now();
        let ahead = i128::from(unix_nanoseconds) - i128::from(self.now());
        let distance = Duration::from_nanos(u64::try_from(ahead.unsigned_abs()).unwrap_or(u64::MAX));
        let moment = if ahead < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        moment.unwrap_or(now)
    }
}

/// Returns the largest difference between times, and the largest uncertainty of any of them.
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
    fn estimate_uses_shortest_round() {
        let rounds = [round(0, 9_000, 10_000), round(20_000, 25_400, 21_000), round(30_000, 39_000, 34_000)];
        let offset = Offset::estimate(&rounds).unwrap();
        assert_eq!(offset, Offset { ahead: 4_900, uncertainty: Duration::from_nanos(500) });
        assert_eq!(Offset::estimate(&[]), None);
    }

    #[test]
    fn remote_clock_may_be_far_behind() {
        let year = 31_536_000_000_000_000_i64;
        let offset = Offset::estimate(&[round(1_000, 1_500 - year, 2_000)]).unwrap();
        assert_eq!(offset.ahead, -i128::from(year));
        assert_eq!(offset.here(offset.there(EPOCH)), EPOCH);
        assert_eq!(offset.there(EPOCH), EPOCH - year.unsigned_abs());
        assert_eq!(Offset { ahead: -5, ..offset }.there(3), 0, "there is nothing before 1970");
    }

    #[test]
    fn offset_is_within_uncertainty_for_any_time_of_answer() {
        for made in [0, 1, 400, 999, 1_000] {
            let ahead = 123_456_789;
            let answer = round(0, made + ahead, 1_000);
            let offset = Offset::estimate(&[answer]).unwrap();
            assert!((offset.ahead - i128::from(ahead)).unsigned_abs() <= offset.uncertainty.as_nanos(), "{made}");
        }
    }

    #[test]
    fn skew_is_largest_difference() {
        let known = |moment, uncertainty| (moment, Duration::from_nanos(uncertainty));
        let moments = [known(1_000, 5), known(1_400, 9), known(1_100, 7)];
        assert_eq!(skew(&moments), Some((Duration::from_nanos(400), Duration::from_nanos(9))));
        assert_eq!(skew(&[]), None);
    }

    #[test]
    fn local_times_convert_to_instants() {
        let clock = Clock::start();
        let now = Instant::now();
        let later = clock.instant(clock.now() + 5_000_000_000);
        assert!(later > now + Duration::from_secs(4) && later < now + Duration::from_secs(60));
        assert!(clock.instant(clock.now() - 1_000_000) < Instant::now());
    }
}
