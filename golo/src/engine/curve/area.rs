//! Area below a curve, and the time at which an area is reached. For a curve of rates, the area is the number of
//! starts, so it must be exact. Results are integers: twice the area, since ramps have halves, in the curve's unit
//! times nanoseconds.

use std::time::Duration;

use super::{Curve, Piece};

impl Curve {
    /// Returns twice the area up to `t`, rounded up. Exact at the end of each stage.
    #[must_use]
    pub fn twice_area(&self, t: Duration) -> u128 {
        let (piece, x) = self.find(t);
        let (whole, is_exact) = piece.twice_area(x);
        piece.twice_before + whole + u128::from(!is_exact)
    }

    /// Returns the time in nanoseconds, rounded up, at which twice the area is about to exceed `twice`. If it is
    /// reached when a pause begins, this is the end of the pause. Returns `None` if it is never reached, or not within
    /// 584 years.
    ///
    /// `piece` caches the position in the curve. It is 0 at first and kept between calls; `twice` must not fall from
    /// call to call.
    pub(in crate::engine) fn passes(&self, twice: u128, piece: &mut usize) -> Option<u64> {
        while self.pieces.get(*piece)?.twice_after <= twice {
            *piece += 1;
        }
        let piece = self.pieces.get(*piece)?;
        Some(piece.begin + piece.reaches(twice - piece.twice_before))
    }
}

impl Piece {
    /// Returns twice the area of the first `x` nanoseconds, rounded down, and whether the result is exact.
    fn twice_area(&self, x: u64) -> (u128, bool) {
        let level = 2 * u128::from(self.from) * u128::from(x);
        if self.from == self.to {
            return (level, true);
        }
        // Computes change · x² / length in two steps, to avoid an overflow.
        let (change, length) = (u128::from(self.change()), u128::from(self.length()));
        let square = u128::from(x) * u128::from(x);
        let rest = change * (square % length);
        let ramp = change * (square / length) + rest / length;
        let is_exact = rest.is_multiple_of(length);
        (if self.to > self.from { level + ramp } else { level - ramp - u128::from(!is_exact) }, is_exact)
    }

    /// Returns the first `x` at which twice the area is at least `twice`. `twice` is less than that of the whole piece.
    fn reaches(&self, twice: u128) -> u64 {
        if twice == 0 {
            return 0;
        }
        if self.from == self.to {
            // Fits, since less than the whole piece's area takes less than its length.
            return twice.div_ceil(2 * u128::from(self.from)) as u64;
        }
        let length = self.length();
        let slope = self.change() as f64 / length as f64;
        let solved = |slower: u64, twice: u128| {
            let (slower, twice) = (slower as f64, twice as f64);
            twice / (slower + (slower * slower + slope * twice).sqrt())
        };
        // Solved from the slower end, so that no digits cancel out, and then corrected to the nanosecond.
        let mut x = if self.to > self.from {
            (solved(self.from, twice).ceil() as u64).min(length)
        } else {
            length - (solved(self.to, self.twice_after - self.twice_before - twice) as u64).min(length)
        };
        while self.twice_area(x).0 < twice {
            x += 1;
        }
        while x > 0 && self.twice_area(x - 1).0 >= twice {
            x -= 1;
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::curves, *};

    const SECOND: Duration = Duration::from_secs(1);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    const FASTEST: u64 = 36_000_000_000_000_000;

    #[test]
    fn stages_are_trapezoids() {
        let curve = Curve::new(10, [(SECOND, 20), (SECOND, 0), (Duration::ZERO, 5), (SECOND, 5)]);
        let ends = (0..=4).map(|end| curve.twice_area(end * SECOND));
        assert_eq!(ends.collect::<Vec<_>>(), [0, 30, 50, 60, 70].map(|area| area * 1_000_000_000u128));
        assert_eq!(curve.twice_area(SECOND / 2), 12_500_000_000);
        let thirds = Curve::new(0, [(Duration::from_nanos(3), 1)]);
        assert_eq!(thirds.twice_area(Duration::from_nanos(1)), 1, "a third is rounded up");
    }

    #[test]
    fn area_reached_at_a_pause_passes_at_its_end() {
        let curve =
            Curve::new(10, [(SECOND, 10), (Duration::ZERO, 0), (SECOND, 0), (Duration::ZERO, 10), (SECOND, 10)]);
        let second = SECOND.as_nanos();
        assert_eq!(curve.passes(20 * second - 1, &mut 0), Some(1_000_000_000));
        assert_eq!(curve.passes(20 * second, &mut 0), Some(2_000_000_000));
    }

    #[test]
    fn unreachable_area_returns_none() {
        assert_eq!(Curve::constant(0).passes(0, &mut 0), None);
        assert_eq!(Curve::constant(1).passes(u128::MAX, &mut 0), None);
        assert_eq!(Curve::new(1, [(SECOND, 0)]).passes(1_000_000_000, &mut 0), None);
        assert!(Curve::new(1, [(SECOND, 0)]).passes(999_999_999, &mut 0).is_some());
    }

    proptest! {
        /// The definition of `passes`, for the largest possible numbers.
        #[test]
        fn passes_returns_the_first_time_of_an_area(curve in curves(1, FASTEST, YEAR / 6), part in 0.0..1.01f64) {
            let twice = (curve.twice_area(curve.length()) as f64 * part) as u128;
            if let Some(t) = curve.passes(twice, &mut 0) {
                prop_assert!(curve.twice_area(Duration::from_nanos(t)) >= twice);
                if t > 0 {
                    // The area is rounded up, so it may be equal, but it is not greater.
                    prop_assert!(curve.twice_area(Duration::from_nanos(t - 1)) <= twice);
                }
                prop_assert!(curve.twice_area(Duration::from_nanos(t + 1)) > twice);
            } else {
                prop_assert!(curve.twice_area(curve.length()) <= twice);
            }
        }

        #[test]
        fn area_is_the_sum_of_all_nanoseconds(curve in curves(1, 5, Duration::from_nanos(40))) {
            let mut area = 0.0;
            for t in 0..u64::try_from(curve.length().as_nanos()).unwrap() {
                prop_assert!((curve.twice_area(Duration::from_nanos(t)) as f64 - area).abs() < 1.001);
                // The curve is straight within one nanosecond, so its middle is its mean.
                let (piece, x) = curve.find(Duration::from_nanos(t));
                let (from, to) = (piece.from as f64, piece.to as f64);
                area += 2.0 * (from + (to - from) * ((x as f64 + 0.5) / piece.length() as f64));
            }
            prop_assert!((curve.twice_area(curve.length()) as f64 - area).abs() < 1e-6);
        }
    }
}
