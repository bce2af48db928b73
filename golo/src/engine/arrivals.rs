//! Due times of an open plan's starts. They depend on the plan alone, so a late start does not delay later ones.

use std::{iter::FusedIterator, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::curve::Curve;
use super::plan::{Arrivals, TWICE_START, starts};
use super::share::Share;
use crate::metrics::output::nanoseconds;

/// Iterator over the due times of one share of an open plan's starts, in ascending order since the start of the
/// measured part.
#[derive(Clone, Debug)]
pub struct Starts {
    rate: Curve,
    /// Index of the curve's piece that contains the last start.
    piece: usize,
    /// End in nanoseconds, or `u64::MAX` if there is none.
    until: u64,
    process: Process,
}

#[derive(Clone, Debug)]
enum Process {
    Constant { share: Share, next: u64, total: u64, iterations: u64 },
    Poisson { random: SmallRng, twice_mean_gap: f64, twice_area: u128 },
}

impl Starts {
    /// Creates the starts of one share. `rate` is in [millionths of a start per
    /// hour](super::plan::Rate::millionths_per_hour).
    ///
    /// Constant arrivals of all shares together are the same however the whole is split. `iterations` limits them. It
    /// does not limit Poisson arrivals, since a share does not know how many starts the other shares made.
    #[must_use]
    pub fn new(
        rate: &Curve,
        until: Option<Duration>,
        iterations: Option<u64>,
        arrivals: Arrivals,
        share: Share,
        seed: u64,
    ) -> Self {
        let process = match arrivals {
            Arrivals::Constant => {
                let iterations = iterations.unwrap_or(u64::MAX);
                Process::Constant { share, next: 0, total: planned(rate, until).min(iterations), iterations }
            }
            Arrivals::Poisson => Process::Poisson {
                random: SmallRng::seed_from_u64(mixed(seed, share)),
                twice_mean_gap: TWICE_START as f64 * share.of() as f64,
                twice_area: 0,
            },
        };
        let until = until.map_or(u64::MAX, nanoseconds);
        Self { rate: rate.clone(), piece: 0, until, process }
    }

    /// Returns true if no curve could lead to another start.
    #[must_use]
    pub fn are_used_up(&self) -> bool {
        match &self.process {
            Process::Constant { share, next, total, .. } => share.nth(*next) >= *total,
            Process::Poisson { .. } => false,
        }
    }

    /// Continues along another curve, which must be equal up to now, and returns the due time of the next start.
    ///
    /// Set `is_given` if the start returned last has not been made yet. It is then returned again with its new due
    /// time.
    pub fn adjust(&mut self, rate: &Curve, is_given: bool) -> Option<Duration> {
        (self.rate, self.piece) = (rate.clone(), 0);
        let until = Some(self.until).filter(|until| *until < u64::MAX).map(Duration::from_nanos);
        match &mut self.process {
            Process::Constant { next, total, iterations, .. } => {
                *next -= u64::from(is_given);
                *total = planned(rate, until).min(*iterations);
                self.next()
            }
            Process::Poisson { twice_area, .. } => {
                // This start was drawn before, even if it was due after the end.
                let due = self.rate.passes(*twice_area, &mut self.piece)?;
                (due < self.until).then(|| Duration::from_nanos(due))
            }
        }
    }
}

/// Returns the total number of starts.
fn planned(rate: &Curve, until: Option<Duration>) -> u64 {
    until.map_or(u64::MAX, |until| starts(rate.twice_area(until)))
}

impl Iterator for Starts {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let due = match &mut self.process {
            Process::Constant { share, next, total, .. } => {
                let start = share.nth(*next);
                if start >= *total {
                    return None;
                }
                let due = self.rate.passes(TWICE_START * u128::from(start), &mut self.piece)?;
                // A start that the curve does not reach may become due if the curve changes, so it is not counted.
                *next += 1;
                // Rounded up, a start in the last nanosecond would be due at the end of the plan.
                due.min(self.until - 1)
            }
            Process::Poisson { random, twice_mean_gap, twice_area } => {
                // Gaps of a process of rate 1 in the area below the curve, where every rate becomes level. Their sum is
                // an integer, so it is as precise after a month as at the start.
                let gap = -(-random.random::<f64>()).ln_1p();
                *twice_area = twice_area.saturating_add((gap * *twice_mean_gap) as u128);
                self.rate.passes(*twice_area, &mut self.piece).filter(|&due| due < self.until)?
            }
        };
        Some(Duration::from_nanos(due))
    }
}

impl FusedIterator for Starts {}

/// Mixes a seed and a share into one seed with the finalizer of SplitMix64, so that the results for neighbouring values
/// are unrelated.
fn mixed(seed: u64, share: Share) -> u64 {
    [share.index(), share.of()].into_iter().fold(seed, |state, number| {
        let mut state = state.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::curve::tests::curves, super::plan::Rate, *};

    const SECOND: Duration = Duration::from_secs(1);

    fn units(text: &str) -> u64 {
        text.parse::<Rate>().unwrap().millionths_per_hour()
    }

    fn constant(rate: &Curve, until: Option<Duration>, share: Share) -> Starts {
        Starts::new(rate, until, None, Arrivals::Constant, share, 0)
    }

    fn poisson(rate: &Curve, until: Duration, share: Share, seed: u64) -> Vec<Duration> {
        Starts::new(rate, Some(until), None, Arrivals::Poisson, share, seed).collect()
    }

    /// Curves of at most 500 starts a second in steps of a thousandth, for up to 20 seconds.
    fn rates() -> impl Strategy<Value = Curve> + Clone {
        curves(units("0.001/s"), 500_000, 4 * SECOND)
    }

    /// Returns a time of the curve, in half of the cases its end.
    fn until(curve: &Curve, part: f64) -> Duration {
        if part > 0.5 { curve.length() } else { curve.length().mul_f64(2.0 * part) }
    }

    #[test]
    fn hundred_a_second_is_one_every_ten_milliseconds() {
        let starts = constant(&Curve::constant(units("100/s")), Some(10 * SECOND), Share::WHOLE);
        assert!(starts.eq((0..1000).map(|k| k * Duration::from_millis(10))));
    }

    #[test]
    fn thirds_of_a_second_are_rounded_up() {
        let starts = constant(&Curve::constant(units("3/s")), Some(SECOND), Share::WHOLE);
        assert_eq!(starts.map(|due| due.as_nanos()).collect::<Vec<_>>(), [0, 333_333_334, 666_666_667]);
    }

    #[test]
    fn ramp_from_zero_starts_at_once_and_has_the_starts_of_its_area() {
        let ramp = Curve::new(0, [(10 * SECOND, units("100/s"))]);
        let starts: Vec<_> = constant(&ramp, Some(10 * SECOND), Share::WHOLE).collect();
        assert_eq!(starts.len(), 500);
        // With k = 5t², start 125 is due after 5 s.
        assert_eq!((starts[0], starts[5], starts[125]), (Duration::ZERO, SECOND, 5 * SECOND));
        let descent = Curve::new(units("100/s"), [(10 * SECOND, 0)]);
        let back: Vec<_> = constant(&descent, None, Share::WHOLE).collect();
        assert_eq!((back.len(), back[375]), (500, 5 * SECOND));
    }

    #[test]
    fn start_reached_when_a_pause_begins_comes_after_the_pause() {
        let (on, pause) = (units("10/s"), Duration::ZERO);
        let curve = Curve::new(on, [(SECOND, on), (pause, 0), (5 * SECOND, 0), (pause, on), (SECOND, on)]);
        let starts: Vec<_> = constant(&curve, Some(7 * SECOND), Share::WHOLE).collect();
        assert_eq!((starts.len(), starts[9], starts[10]), (20, 9 * SECOND / 10, 6 * SECOND));
    }

    #[test]
    fn start_in_the_last_nanosecond_is_before_the_end() {
        let curve = Curve::constant(units("10000000/s"));
        let until = Duration::from_nanos(100);
        assert_eq!(constant(&curve, Some(until), Share::WHOLE).count(), 1);
        let third = Curve::constant(units("3/s"));
        let starts: Vec<_> = constant(&third, Some(Duration::from_nanos(333_333_334)), Share::WHOLE).collect();
        assert_eq!(starts, [Duration::ZERO, Duration::from_nanos(333_333_333)]);
    }

    #[test]
    fn starts_without_end_stop_after_the_iterations() {
        let curve = Curve::new(0, [(SECOND, units("2/s"))]);
        let limited = Starts::new(&curve, None, Some(5), Arrivals::Constant, Share::WHOLE, 0);
        assert_eq!(limited.map(|due| due.as_millis()).collect::<Vec<_>>(), [0, 1000, 1500, 2000, 2500]);
        assert_eq!(constant(&curve, None, Share::WHOLE).nth(20_000), Some(SECOND + 19_999 * SECOND / 2));
        assert_eq!(constant(&Curve::constant(0), None, Share::WHOLE).next(), None);
    }

    #[test]
    fn year_at_maximum_rate_is_exact() {
        let year = 365 * 86400 * SECOND;
        let before_last = 31_500_000 * SECOND;
        let last = |share: Share| share.split(10_000).last().unwrap();
        let share = last(last(last(Share::WHOLE)));
        let starts: Vec<_> = constant(&Curve::constant(units("10000000/s")), Some(year), share).collect();
        assert_eq!((starts.len(), starts[314]), (315, before_last - Duration::from_nanos(100)));
    }

    #[test]
    fn poisson_counts_have_mean_and_variance_of_their_rate() {
        let thousand = [
            Curve::constant(units("100/s")),
            Curve::new(0, [(10 * SECOND, units("200/s"))]),
            Curve::new(
                0,
                [(2 * SECOND, 0), (Duration::ZERO, units("200/s")), (5 * SECOND, units("200/s")), (3 * SECOND, 0)],
            ),
        ];
        for (curve, mean) in thousand.iter().zip([1000.0, 1000.0, 1300.0]) {
            for parts in [1, 3] {
                let counts: Vec<f64> = (0..400)
                    .map(|seed| {
                        Share::WHOLE.split(parts).map(move |share| poisson(curve, 10 * SECOND, share, seed).len())
                    })
                    .map(|counts| counts.sum::<usize>() as f64)
                    .collect();
                let (actual, variance) = moments(&counts);
                assert!((actual - mean).abs() < 5.0 * (mean / 400.0_f64).sqrt(), "{actual} for {mean}");
                assert!((variance / mean - 1.0).abs() < 0.35, "{variance} for {mean}");
            }
        }
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let starts = poisson(&Curve::constant(units("1000/s")), 100 * SECOND, Share::WHOLE, 7);
        let gaps: Vec<f64> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1000.0).collect();
        let (mean, variance) = moments(&gaps);
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
        for limit in [0.1, 0.5, 1.0, 2.0, 4.0f64] {
            let longer = gaps.iter().filter(|&&gap| gap > limit).count() as f64 / gaps.len() as f64;
            assert!((longer - (-limit).exp()).abs() < 0.01, "{longer} longer than {limit}");
        }
    }

    #[test]
    fn poisson_shares_and_seeds_are_independent() {
        let curve = Curve::constant(units("100/s"));
        let halves: Vec<Share> = Share::WHOLE.split(2).collect();
        let one = poisson(&curve, SECOND, halves[0], 1);
        assert_eq!(one, poisson(&curve, SECOND, halves[0], 1));
        for (share, seed) in [(halves[1], 1), (halves[0], 2), (Share::WHOLE, 1)] {
            assert_ne!(one.first(), poisson(&curve, SECOND, share, seed).first());
        }
        let counts = |share: Share| -> Vec<f64> {
            (0..400).map(|seed| poisson(&curve, 10 * SECOND, share, seed).len() as f64).collect()
        };
        let (first, second) = (counts(halves[0]), counts(halves[1]));
        let ((mean, variance), (other_mean, other_variance)) = (moments(&first), moments(&second));
        let common =
            first.iter().zip(&second).map(|(one, other)| (one - mean) * (other - other_mean)).sum::<f64>() / 400.0;
        assert!((common / (variance * other_variance).sqrt()).abs() < 0.2, "{common}");
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn starts_match_the_area_and_none_is_early(curve in rates(), part in 0.0..1.0f64) {
            let until = until(&curve, part);
            let starts: Vec<_> = constant(&curve, Some(until), Share::WHOLE).collect();
            let area = |t: Duration| curve.twice_area(t);
            prop_assert_eq!(starts.len() as u128, area(until).div_ceil(TWICE_START));
            prop_assert!(starts.is_sorted());
            for (k, &due) in starts.iter().enumerate() {
                prop_assert!(due < until);
                let twice = k as u128 * TWICE_START;
                prop_assert!(area(due) >= twice || due == until - Duration::from_nanos(1));
                prop_assert!(due.is_zero() || area(due - Duration::from_nanos(1)) <= twice);
            }
        }

        #[test]
        fn starts_of_stages_match_the_sum_of_their_trapezoids(curve in rates()) {
            let mut from = curve.start();
            let twice = curve.stages().iter().map(|&(time, to)| {
                time.as_nanos() * u128::from(std::mem::replace(&mut from, to) + to)
            }).sum::<u128>();
            let starts = constant(&curve, Some(curve.length()), Share::WHOLE).count();
            prop_assert_eq!(starts as u128, twice.div_ceil(TWICE_START));
        }

        #[test]
        fn shares_together_are_the_whole(
            curve in rates(), agents in 1u64..4, workers in 1u64..6, iterations in proptest::option::of(0u64..2000),
        ) {
            let of = |share| Starts::new(&curve, Some(curve.length()), iterations, Arrivals::Constant, share, 0);
            let mut together: Vec<_> = Share::WHOLE.split(agents).flat_map(|agent| agent.split(workers)).flat_map(of).collect();
            together.sort();
            let whole: Vec<_> = of(Share::WHOLE).collect();
            prop_assert!(whole.len() as u64 <= iterations.unwrap_or(u64::MAX));
            prop_assert_eq!(together, whole);
        }

        #[test]
        fn level_rate_is_evenly_spaced(units in 1..=Rate::MAX.millionths_per_hour(), parts in 1u64..100) {
            let share = Share::WHOLE.split(parts).last().unwrap();
            let starts: Vec<_> = constant(&Curve::constant(units), None, share).take(100).collect();
            let gap = TWICE_START / 2 * u128::from(parts) / u128::from(units);
            for pair in starts.windows(2) {
                prop_assert!((pair[1] - pair[0]).as_nanos().abs_diff(gap) <= 1);
            }
        }

        #[test]
        fn poisson_starts_are_ordered_and_before_the_end(curve in rates(), part in 0.0..1.0f64, seed in any::<u64>()) {
            let until = until(&curve, part);
            let starts = poisson(&curve, until, Share::WHOLE, seed);
            prop_assert!(starts.is_sorted() && starts.last().is_none_or(|&last| last < until));
        }
    }
}
