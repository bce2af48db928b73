//! Distributions of durations: exact figures, common percentiles and all buckets. With the buckets, distributions that
//! were written can be merged and compared later.

use serde::{Deserialize, Serialize};

use crate::{engine::histogram::Histogram, report::figures::figures};

/// Distribution of durations. To merge two of them, add the counts and sums, and add the buckets that have the same
/// value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Number of values.
    pub count: u64,
    /// Exact sum of the values.
    pub sum: u64,
    /// Exact minimum.
    pub min: Option<u64>,
    /// Exact maximum.
    pub max: Option<u64>,
    /// Exact sum divided by the count.
    pub mean: Option<f64>,
    /// 50th percentile by nearest rank, within 0.05 %.
    pub p50: Option<u64>,
    /// 90th percentile.
    pub p90: Option<u64>,
    /// 95th percentile.
    pub p95: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// 99.9th percentile.
    pub p999: Option<u64>,
    /// Lowest value and count of each bucket that is not empty. The width of a bucket is at most a 1024th of its value.
    pub buckets: Vec<(u64, u64)>,
}

impl From<&Histogram> for Distribution {
    fn from(histogram: &Histogram) -> Self {
        let [_, min, p50, p90, p95, p99, p999, max] = figures(histogram);
        Self {
            count: histogram.count(),
            sum: u64::try_from(histogram.sum()).unwrap_or(u64::MAX),
            min,
            max,
            mean: histogram.mean(),
            p50,
            p90,
            p95,
            p99,
            p999,
            buckets: histogram.buckets().map(|bucket| (bucket.low, bucket.count)).collect(),
        }
    }
}

impl From<&Distribution> for Histogram {
    /// Restores the histogram that was written, with equal counts, percentiles and exact figures.
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
        fn written_distribution_restores_equal_histogram(values in proptest::collection::vec(0..u64::MAX >> 16, 0..2000)) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|&value| histogram.record(value));
            let written = serde_json::to_string(&Distribution::from(&histogram)).unwrap();
            let read: Distribution = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(Histogram::from(&read), histogram);
        }
    }
}
