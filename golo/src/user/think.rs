//! Think time: pauses between steps, as people make them.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use rand::RngExt as _;

use crate::metrics::scope::{self, Scope};

/// Length of a [`think`] pause: a [`Duration`], or a range of durations to choose from at random.
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
    /// Returns the shortest and the longest pause.
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

/// Pauses like a person between two steps, for a fixed time or a random one from a range with equal probabilities.
///
/// The pause is not measured: it is not part of a trigger's `duration`, and the report shows how long triggers paused.
/// The choice is seeded: a trigger with a user and an iteration in its [`Context`](crate::Context) makes the same pause
/// each time it is run. An empty range means its start.
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

    /// Seals `ThinkTime`, so that methods can be added later.
    pub trait Sealed {}
    impl Sealed for Duration {}
    impl Sealed for Range<Duration> {}
    impl Sealed for RangeInclusive<Duration> {}
}
