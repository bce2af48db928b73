//! Think time: pauses as people make them.

use std::{
    ops::{Range, RangeInclusive},
    time::Duration,
};

use rand::RngExt as _;

use crate::metrics::scope::{self, Scope};

/// How long to [`think`]: a [`Duration`], or a range of them to choose from at random.
///
/// ```
/// use std::time::Duration;
/// use golo::ThinkTime;
///
/// let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(second.bounds(), (second, second));
/// assert_eq!((second..minute).bounds(), (second, minute));
/// ```
pub trait ThinkTime: sealed::Sealed {
    /// The shortest and the longest pause.
    fn bounds(self) -> (Duration, Duration);
}

impl ThinkTime for Duration {
    fn bounds(self) -> (Duration, Duration) {
        (self, self)
    }
}

impl ThinkTime for Range<Duration> {
    fn bounds(self) -> (Duration, Duration) {
        (self.start, self.end)
    }
}

impl ThinkTime for RangeInclusive<Duration> {
    fn bounds(self) -> (Duration, Duration) {
        self.into_inner()
    }
}

/// Pauses as a person would between two steps, for a fixed time or one chosen evenly from a range.
///
/// The pause is not measured: a trigger's `duration` leaves it out, and the report says how long triggers paused. The choice is seeded: a trigger whose
/// [`Context`](crate::Context) says which user and iteration it is pauses as long each time it is run.
/// An empty range is its start.
///
/// ```no_run
/// use std::time::Duration;
///
/// # async fn load_test() {
/// golo::think(Duration::from_millis(500)).await;
/// golo::think(Duration::from_secs(1)..Duration::from_secs(3)).await;
/// # }
/// ```
pub async fn think(time: impl ThinkTime) {
    let (shortest, longest) = time.bounds();
    let scope = scope::current();
    let pause = if longest <= shortest {
        shortest
    } else {
        match &scope {
            Some(scope) => scope.with_random(|random| random.random_range(shortest..longest)),
            None => scope::entropy().random_range(shortest..longest),
        }
    };
    let _not_measured = scope.as_deref().map(Scope::pause);
    tokio::time::sleep(pause).await;
}

mod sealed {
    use super::{Duration, Range, RangeInclusive};

    /// Keeps `ThinkTime` ours, so that it can grow.
    pub trait Sealed {}
    impl Sealed for Duration {}
    impl Sealed for Range<Duration> {}
    impl Sealed for RangeInclusive<Duration> {}
}
