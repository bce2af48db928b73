//! The figures that reports show of a distribution.

use super::units::nanoseconds;
use crate::engine::histogram::Histogram;

/// Names of the [`figures`].
pub(super) const FIGURES: [&str; 8] = ["avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
/// Quantiles of the [`figures`].
pub(super) const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// Returns mean, minimum, percentiles and maximum, in nanoseconds; `None` if there are no durations.
pub(super) fn figures(durations: &Histogram) -> [Option<u64>; 8] {
    let [p50, p90, p95, p99, p999] = quantiles(durations, QUANTILES);
    [durations.mean().map(|mean| mean as u64), durations.min(), p50, p90, p95, p99, p999, durations.max()]
}

/// Returns the wanted quantiles, in nanoseconds.
pub(super) fn quantiles<const N: usize>(durations: &Histogram, wanted: [f64; N]) -> [Option<u64>; N] {
    durations.quantiles(&wanted).try_into().unwrap_or([None; N])
}

/// Formats the wanted quantiles with their names: `p50 1ms, max 2ms`.
pub(super) fn named<const N: usize>(durations: &Histogram, wanted: [(&str, f64); N]) -> String {
    let quantiles = quantiles(durations, wanted.map(|(_, quantile)| quantile));
    let named = wanted.iter().zip(quantiles).map(|((name, _), value)| format!("{name} {}", nanoseconds(value)));
    named.collect::<Vec<_>>().join(", ")
}
