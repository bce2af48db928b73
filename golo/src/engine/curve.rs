//! A piecewise linear curve over time: the number of users or the rate of starts. Values and times are integers, and
//! every result depends on the time alone, so nothing drifts.

mod area;

use std::time::Duration;

use super::plan::LONGEST;
use crate::metrics::output::nanoseconds;

/// Upper bound of values, exclusive.
const HIGHEST: u64 = 1 << 57;

/// A curve that begins at a start value, moves in a straight line to the target of each stage, and stays at the last
/// target.
///
/// Values are below 2^57 and all stages together take less than a year. Otherwise, intermediate results could overflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    start: u64,
    stages: Vec<(Duration, u64)>,
    /// Pieces that take time. The last is the level piece after all stages, which has no end.
    pieces: Vec<Piece>,
}

/// One straight piece. Times are in nanoseconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    begin: u64,
    end: u64,
    from: u64,
    to: u64,
    /// Twice the area below the curve up to the start of this piece.
    twice_before: u128,
    /// Twice the area below the curve up to the end of this piece.
    twice_after: u128,
}

impl Curve {
    /// Creates a level curve.
    #[must_use]
    pub fn constant(value: u64) -> Self {
        Self::new(value, [])
    }

    /// Creates a curve from `start` through the targets of `stages`, each with its duration. A stage without duration
    /// is a jump.
    #[must_use]
    pub fn new(start: u64, stages: impl IntoIterator<Item = (Duration, u64)>) -> Self {
        let stages: Vec<_> = stages.into_iter().collect();
        debug_assert!(stages.iter().map(|stage| stage.1).chain([start]).all(|value| value < HIGHEST));
        let last = stages.last().map_or(start, |stage| stage.1);
        let mut pieces = Vec::with_capacity(stages.len() + 1);
        let (mut begin, mut from, mut twice_before) = (0u64, start, 0u128);
        for (time, to) in stages.iter().copied().chain([(Duration::MAX, last)]) {
            let end = begin.saturating_add(nanoseconds(time));
            if end > begin {
                let twice_after = twice_before + (u128::from(from) + u128::from(to)) * u128::from(end - begin);
                pieces.push(Piece { begin, end, from, to, twice_before, twice_after });
                (begin, twice_before) = (end, twice_after);
            }
            from = to;
        }
        Self { start, stages, pieces }
    }

    /// Like [`new`](Self::new), but returns `None` if a value is too high or the stages take too long.
    pub(crate) fn checked(start: u64, stages: impl IntoIterator<Item = (Duration, u64)>) -> Option<Self> {
        let stages: Vec<_> = stages.into_iter().collect();
        let length = stages.iter().map(|stage| stage.0).fold(Duration::ZERO, Duration::saturating_add);
        let is_low = stages.iter().map(|stage| stage.1).chain([start]).all(|value| value < HIGHEST);
        (is_low && length <= LONGEST).then(|| Self::new(start, stages))
    }

    /// Returns a curve that is equal until `at` and has the level `value` from then on.
    pub(super) fn level_from(&self, at: Duration, value: u64) -> Self {
        let mut left = at;
        let mut stages = Vec::with_capacity(self.stages.len() + 2);
        for &(time, target) in &self.stages {
            if time > left {
                let reached = (!left.is_zero()).then(|| (left, self.at(at).round() as u64));
                stages.extend(reached);
                left = Duration::ZERO;
                break;
            }
            stages.push((time, target));
            left -= time;
        }
        let last = stages.last().map_or(self.start, |stage| stage.1);
        stages.extend((!left.is_zero()).then_some((left, last)));
        stages.push((Duration::ZERO, value));
        Self::new(self.start, stages)
    }

    /// Returns the total duration of all stages.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_nanos(self.end_of_stages())
    }

    /// Returns the start value. A first stage without duration jumps away from it at once.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Returns the duration and target of each stage.
    #[must_use]
    pub fn stages(&self) -> &[(Duration, u64)] {
        &self.stages
    }

    /// Returns the value at `t`. At a jump, this is the value after it.
    #[must_use]
    pub fn at(&self, t: Duration) -> f64 {
        let (piece, x) = self.find(t);
        let (from, to) = (piece.from as f64, piece.to as f64);
        from + (to - from) * (x as f64 / piece.length() as f64)
    }

    /// Returns the largest value at any time.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.from.max(piece.to)).max().unwrap_or(self.start)
    }

    /// Returns the value at `t`, rounded to the nearest integer. Halves are rounded up.
    #[must_use]
    pub fn whole_at(&self, t: Duration) -> u64 {
        let (piece, x) = self.find(t);
        piece.whole_at(x)
    }

    /// Returns the first time after `t` at which [`whole_at`](Self::whole_at) differs from its value at `t`, or `None`
    /// if it never does.
    #[must_use]
    pub fn next_change(&self, t: Duration) -> Option<Duration> {
        let t = nanoseconds(t);
        let index = self.index_at(t);
        let now = self.pieces[index].whole_at(t - self.pieces[index].begin);
        let change = self.pieces[index..].iter().find_map(|piece| {
            let x = if piece.whole_at(0) != now && piece.begin > t { 0 } else { piece.leaves(now)? };
            Some(piece.begin + x)
        });
        change.map(Duration::from_nanos)
    }

    fn end_of_stages(&self) -> u64 {
        self.pieces.last().map_or(0, |level| level.begin)
    }

    /// Returns the index of the piece that contains `t`.
    fn index_at(&self, t: u64) -> usize {
        self.pieces.partition_point(|piece| piece.end <= t).min(self.pieces.len() - 1)
    }

    /// Returns the piece that contains `t`, and the offset of `t` in it.
    fn find(&self, t: Duration) -> (&Piece, u64) {
        let t = nanoseconds(t);
        let piece = &self.pieces[self.index_at(t)];
        (piece, t - piece.begin)
    }
}

impl Piece {
    fn length(&self) -> u64 {
        self.end - self.begin
    }

    /// Returns the difference between the values at both ends of the piece.
    fn change(&self) -> u64 {
        self.from.abs_diff(self.to)
    }

    fn whole_at(&self, x: u64) -> u64 {
        if self.from == self.to {
            return self.from;
        }
        let length = u128::from(self.length());
        let (start, moved) = (u128::from(self.from) * length, u128::from(self.change()) * u128::from(x));
        let value = if self.to > self.from { start + moved } else { start - moved };
        // The result fits, since values are below 2^57.
        ((2 * value + length) / (2 * length)) as u64
    }

    /// Returns the first time in the piece at which the value is no longer rounded to `whole`, or `None` if there is
    /// none. This solves [`whole_at`](Self::whole_at) for `x` at the next half.
    fn leaves(&self, whole: u64) -> Option<u64> {
        if self.from == self.to {
            return None;
        }
        let length = u128::from(self.length());
        let start = (2 * u128::from(self.from) + 1) * length;
        let twice_change = 2 * u128::from(self.change());
        let x = if self.to > self.from {
            ((2 * u128::from(whole) + 2) * length).checked_sub(start)?.div_ceil(twice_change)
        } else {
            start.checked_sub(2 * u128::from(whole) * length)? / twice_change + 1
        };
        u64::try_from(x).ok().filter(|&x| x < self.length())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NANOSECOND: Duration = Duration::from_nanos(1);

    /// Generates curves with ramps, level pieces, pauses and jumps. Values are multiples of `unit`.
    pub(in crate::engine) fn curves(
        unit: u64,
        most: u64,
        longest: Duration,
    ) -> impl Strategy<Value = Curve> + Clone + use<> {
        let value = move || prop_oneof![Just(0), 0..=most].prop_map(move |value| value * unit);
        let longest = nanoseconds(longest);
        let time = prop_oneof![1 => Just(0), 1 => 0..=20u64, 4 => 0..=longest].prop_map(Duration::from_nanos);
        let stage = (time, value(), any::<bool>());
        (value(), vec(stage, 0..6)).prop_map(|(start, stages)| {
            let mut before = start;
            let stages = stages.into_iter().map(|(time, target, is_level)| {
                before = if is_level { before } else { target };
                (time, before)
            });
            Curve::new(start, stages.collect::<Vec<_>>())
        })
    }

    #[test]
    fn ramp_rounds_to_each_number_in_turn() {
        let curve = Curve::new(0, [(10 * SECOND, 10)]);
        assert_eq!((curve.length(), curve.peak()), (10 * SECOND, 10));
        assert_eq!(curve.whole_at(SECOND / 2 - NANOSECOND), 0);
        assert_eq!(curve.whole_at(SECOND / 2), 1);
        assert_eq!(curve.next_change(Duration::ZERO), Some(SECOND / 2));
        assert_eq!(curve.next_change(SECOND / 2), Some(3 * SECOND / 2));
        assert_eq!(curve.next_change(19 * SECOND / 2), None);
        assert_eq!(curve.whole_at(Duration::MAX), 10);
        assert!((curve.at(7 * SECOND) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn falling_ramp_leaves_a_number_just_below_its_half() {
        let curve = Curve::new(10, [(10 * SECOND, 0)]);
        assert_eq!(curve.whole_at(SECOND / 2), 10, "half is rounded up");
        assert_eq!(curve.next_change(Duration::ZERO), Some(SECOND / 2 + NANOSECOND));
        assert_eq!(curve.whole_at(19 * SECOND / 2 + NANOSECOND), 0);
    }

    #[test]
    fn stage_without_duration_is_a_jump() {
        let curve = Curve::new(5, [(Duration::ZERO, 100), (SECOND, 100), (Duration::ZERO, 7), (Duration::ZERO, 3)]);
        assert_eq!(curve.whole_at(Duration::ZERO), 100);
        assert_eq!(curve.next_change(Duration::ZERO), Some(SECOND));
        assert_eq!(curve.whole_at(SECOND - NANOSECOND), 100);
        assert_eq!(curve.whole_at(SECOND), 3);
        assert_eq!((curve.peak(), curve.start(), curve.length()), (100, 5, SECOND));
    }

    #[test]
    fn level_curve_never_changes() {
        let curve = Curve::constant(25);
        assert_eq!((curve.length(), curve.peak(), curve.stages().len()), (Duration::ZERO, 25, 0));
        assert_eq!((curve.whole_at(Duration::ZERO), curve.next_change(Duration::ZERO)), (25, None));
    }

    proptest! {
        #[test]
        fn next_change_is_the_first(curve in curves(1, 300, 20 * SECOND), part in 0.0..1.1f64) {
            let mut t = curve.length().mul_f64(part);
            for _ in 0..400 {
                let now = curve.whole_at(t);
                let Some(next) = curve.next_change(t) else {
                    prop_assert_eq!(curve.whole_at(curve.length().max(t)), now);
                    break;
                };
                prop_assert!(next > t);
                prop_assert_ne!(curve.whole_at(next), now);
                prop_assert_eq!(curve.whole_at(next - NANOSECOND), now);
                prop_assert_eq!(curve.whole_at(t + (next - t - NANOSECOND).mul_f64(0.37)), now);
                t = next;
            }
        }

        #[test]
        fn next_change_misses_no_change(curve in curves(1, 4, Duration::from_nanos(30))) {
            let moments = u64::try_from(curve.length().as_nanos()).unwrap() + 2;
            for t in (0..moments).map(Duration::from_nanos) {
                let next = (1..=moments).map(|x| t + Duration::from_nanos(x)).find(|&x| curve.whole_at(x) != curve.whole_at(t));
                prop_assert_eq!(curve.next_change(t), next);
            }
        }

        #[test]
        fn whole_at_is_the_nearest_integer(curve in curves(1, 10_000_000, 3600 * SECOND), part in 0.0..1.1f64) {
            let t = curve.length().mul_f64(part);
            prop_assert!((curve.at(t) - curve.whole_at(t) as f64).abs() <= 0.5 + 1e-6);
            prop_assert!(curve.whole_at(t) <= curve.peak());
        }
    }

    proptest! {
        #[test]
        fn level_from_changes_nothing_before_it(curve in curves(1, 1000, SECOND), part in 0.0..1.5f64, value in 0..1000u64) {
            let at = curve.length().mul_f64(part);
            let level = curve.level_from(at, value);
            for t in (0..20).map(|moment| at * moment / 20).filter(|t| *t < at) {
                prop_assert!((level.at(t) - curve.at(t)).abs() <= 0.5, "{} at {t:?}, not {}", level.at(t), curve.at(t));
            }
            for t in [at, at + SECOND, at + 1000 * SECOND] {
                prop_assert_eq!(level.whole_at(t), value);
            }
        }
    }
}
