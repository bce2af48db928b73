//! Wall-clock time of an `Instant`, without a system call each time, because a request should read few clocks; and a clock
//! that runs while the machine is suspended.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

/// Time for which one reading of both clocks is used. The system clock may be set, or slewed by half a millisecond per
/// second.
const GOOD_FOR: Duration = Duration::from_secs(1);

thread_local! {
    static READING: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// Returns the wall-clock time at `now`, which has just been read.
pub(crate) fn wall(now: Instant) -> SystemTime {
    if let Some((at, wall)) = READING.get()
        && let Some(since) = now.checked_duration_since(at)
        && since < GOOD_FOR
    {
        return wall + since;
    }
    let wall = SystemTime::now();
    READING.set(Some((now, wall)));
    wall
}

/// The same moment by two clocks, of which one also runs while the machine is suspended.
#[derive(Debug, Clone, Copy)]
pub struct TwoClocks {
    /// The moment by the clock that leaves suspensions out on Linux and macOS.
    pub at: Instant,
    /// Time since an arbitrary moment, including suspensions on Linux.
    pub with_suspension: Duration,
}

impl TwoClocks {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        Self { at: Instant::now(), with_suspension: with_suspension() }
    }
}

#[cfg(unix)]
fn with_suspension() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    // Neither clock is ever negative.
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(not(unix))]
fn with_suspension() -> Duration {
    static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    EPOCH.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_is_the_time_of_day_and_advances_with_the_monotonic_clock() {
        let before = SystemTime::now();
        let now = Instant::now();
        let first = wall(now);
        assert!(first >= before && first <= SystemTime::now());
        let step = Duration::from_millis(700);
        assert_eq!(wall(now + step), first + step);
        let later = wall(now + GOOD_FOR);
        assert!(later <= SystemTime::now(), "read anew");
    }

    #[test]
    fn time_with_suspension_goes_on_with_the_monotonic_clock() {
        let (now, time) = (Instant::now(), with_suspension());
        std::thread::sleep(Duration::from_millis(2));
        assert!(with_suspension() - time >= Duration::from_millis(1) && now.elapsed() >= Duration::from_millis(2));
    }
}
