//! Histograms with the buckets of other systems, made from golo's.
//!
//! golo's buckets are at most 1/1024 of their values wide. A value counts in the bucket of the middle of its own, so each
//! value is off by at most 0.05 %, and count, sum, minimum and maximum stay exact.

use std::ops::RangeInclusive;

use golo::engine::histogram::{Bucket, Histogram};

/// Upper bounds of classic buckets, in nanoseconds: 1, 1.5, 2, 3, 4.5 and 7 in each decade from 100 µs to 100 s. The
/// largest ratio of two neighbours is 1.56: a percentile that is interpolated in such a bucket is off by less than 56 %.
pub const BOUNDS: [u64; 37] = bounds();

const fn bounds() -> [u64; 37] {
    const STEPS: [u64; 6] = [10, 15, 20, 30, 45, 70];
    let mut bounds = [0; 37];
    let (mut at, mut decade) = (0, 10_000);
    while at < bounds.len() {
        bounds[at] = STEPS[at % STEPS.len()] * decade;
        at += 1;
        if at % STEPS.len() == 0 {
            decade *= 10;
        }
    }
    bounds
}

/// Returns the number of values at or below each of [`BOUNDS`].
#[must_use]
pub fn classic(histogram: &Histogram) -> [u64; BOUNDS.len()] {
    let mut counts = [0_u64; BOUNDS.len()];
    for bucket in histogram.buckets() {
        let at = BOUNDS.partition_point(|bound| *bound < middle(bucket));
        if let Some(count) = counts.get_mut(at) {
            *count = count.saturating_add(bucket.count);
        }
    }
    let mut sum = 0_u64;
    counts.map(|count| {
        sum = sum.saturating_add(count);
        sum
    })
}

/// A histogram with buckets whose bounds, in seconds, are powers of 2^(2^-scale).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exponential {
    /// Number of values that are zero.
    pub zeros: u64,
    /// Buckets with values, by index. That with the index `i` has the values above base^i and up to base^(i+1).
    pub buckets: Vec<(i32, u64)>,
}

impl Exponential {
    /// Creates a histogram of durations with buckets of this scale.
    #[must_use]
    pub fn of(histogram: &Histogram, scale: u8) -> Self {
        let mut exponential = Self::default();
        let per_doubling = f64::from(1_u32 << scale);
        for bucket in histogram.buckets() {
            let middle = middle(bucket);
            if middle == 0 {
                exponential.zeros = exponential.zeros.saturating_add(bucket.count);
                continue;
            }
            let seconds = middle as f64 / 1e9;
            // Between -30 × 2^scale and 35 × 2^scale, as 1 ns to 2^64 ns are 2^-30 s to 2^35 s.
            let index = (seconds.log2() * per_doubling).ceil() as i32 - 1;
            match exponential.buckets.last_mut() {
                Some((last, count)) if *last == index => *count = count.saturating_add(bucket.count),
                _ => exponential.buckets.push((index, bucket.count)),
            }
        }
        exponential
    }

    /// Returns the range of the indices, if there are values above zero.
    #[must_use]
    pub fn indices(&self) -> Option<RangeInclusive<i32>> {
        Some(self.buckets.first()?.0..=self.buckets.last()?.0)
    }
}

fn middle(Bucket { low, high, .. }: Bucket) -> u64 {
    low + (high - low) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recorded(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn bounds_are_as_documented() {
        assert_eq!(BOUNDS[..7], [100_000, 150_000, 200_000, 300_000, 450_000, 700_000, 1_000_000]);
        assert_eq!(BOUNDS.last(), Some(&100_000_000_000));
        assert!(BOUNDS.windows(2).all(|pair| pair[0] < pair[1] && pair[1] as f64 / pair[0] as f64 <= 1.56));
    }

    proptest! {
        #[test]
        fn classic_buckets_count_each_value_once(values in prop::collection::vec(1_u64..200_000_000_000, 0..700)) {
            let counts = classic(&recorded(&values));
            prop_assert!(counts.is_sorted());
            for (bound, count) in BOUNDS.iter().zip(counts) {
                // A value within 0.1 % of a bound may count on either side.
                let sure = values.iter().filter(|value| **value as f64 * 1.001 <= *bound as f64).count();
                let at_most = values.iter().filter(|value| **value as f64 <= *bound as f64 * 1.001).count();
                prop_assert!((sure as u64..=at_most as u64).contains(&count), "{bound}: {count}");
            }
        }

        #[test]
        fn exponential_buckets_have_each_value_within_their_bounds(
            values in prop::collection::vec(0_u64..200_000_000_000, 0..700), scale in 0_u8..=10,
        ) {
            let exponential = Exponential::of(&recorded(&values), scale);
            let count: u64 = exponential.buckets.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(count + exponential.zeros, values.len() as u64);
            prop_assert!(exponential.buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
            let base = (0.5_f64.powi(scale.into())).exp2();
            let mut sorted: Vec<_> = values.iter().filter(|value| **value > 0).collect();
            sorted.sort();
            let mut values = sorted.into_iter();
            for (index, count) in exponential.buckets {
                let (low, high) = (base.powi(index) * 0.999, base.powi(index + 1) * 1.001);
                for value in values.by_ref().take(usize::try_from(count).unwrap()) {
                    let value = *value as f64 / 1e9;
                    prop_assert!((low..=high).contains(&value), "{value} in {low}..={high}");
                }
            }
        }
    }
}
