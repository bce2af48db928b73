//! The time of day of a moment, without asking the system each time: a request costs few readings of a clock.

use std::{
    cell::Cell,
    time::{Duration, Instant, SystemTime},
};

/// How long a reading of both clocks is good for: the system's may be set, or slewed by half a millisecond a second.
const GOOD_FOR: Duration = Duration::from_secs(1);

thread_local! {
    static READING: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// What the clock on the wall shows at `now`, which has just been read.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_time_of_day_and_goes_as_the_other_clock_goes() {
        let before = SystemTime::now();
        let now = Instant::now();
        let first = wall(now);
        assert!(first >= before && first <= SystemTime::now());
        let step = Duration::from_millis(700);
        assert_eq!(wall(now + step), first + step);
        let later = wall(now + GOOD_FOR);
        assert!(later <= SystemTime::now(), "read anew");
    }
}
