//! Distributions: the exact figures, the usual percentiles, and every bucket, so that what was written can be merged and
//! compared later.

use serde::{Deserialize, Serialize};

use crate::engine::histogram::Histogram;

/// How durations are distributed. Merging is addition: of the counts and sums, and of the buckets by their value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many there are.
    pub count: u64,
    /// Their exact sum.
    pub sum: u64,
    /// The lowest, exactly.
    pub min: Option<u64>,
    /// The highest, exactly.
    pub max: Option<u64>,
    /// The exact sum over the count.
    pub mean: Option<f64>,
    /// Percentiles by nearest rank, to within 0.05 %.
    pub p50: Option<u64>,
    /// The same.
    pub p90: Option<u64>,
    /// The same.
    pub p95: Option<u64>,
    /// The same.
    pub p99: Option<u64>,
    /// The 99.9th.
    pub p999: Option<u64>,
    /// The lowest value of each bucket that is not empty, and how many it has. A bucket is a 1024th of its value wide at
    /// most.
    pub buckets: Vec<(u64, u64)>,
}

impl From<&Histogram> for Distribution {
    fn from(histogram: &Histogram) -> Self {
        let quantiles = histogram.quantiles(&[0.5, 0.9, 0.95, 0.99, 0.999]);
        let quantile = |number: usize| quantiles.get(number).copied().flatten();
        Self {
            count: histogram.count(),
            sum: u64::try_from(histogram.sum()).unwrap_or(u64::MAX),
            min: histogram.min(),
            max: histogram.max(),
            mean: histogram.mean(),
            p50: quantile(0),
            p90: quantile(1),
            p95: quantile(2),
            p99: quantile(3),
            p999: quantile(4),
            buckets: histogram.buckets().map(|bucket| (bucket.low, bucket.count)).collect(),
        }
    }
}

impl From<&Distribution> for Histogram {
    /// The histogram that was written: equal to it in its counts, percentiles and exact figures.
    fn from(written: &Distribution) -> Self {
        let exact = (written.sum, written.min.unwrap_or_default(), written.max.unwrap_or_default());
        Self::restored(written.buckets.iter().copied(), exact)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_it_was(values in proptest::collection::vec(0..u64::MAX >> 16, 0..2000)) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|&value| histogram.record(value));
            let written = serde_json::to_string(&Distribution::from(&histogram)).unwrap();
            let read: Distribution = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(Histogram::from(&read), histogram);
        }
    }
}
