//! Changes between two runs, with intervals from a moving-block bootstrap over their seconds.
//!
//! Neighbouring seconds depend on each other (a queue that builds up, a garbage collection). Resampling single seconds
//! would therefore give intervals that are too narrow. Blocks of neighbouring seconds keep that dependence (H. R.
//! Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17, 1989). The
//! 2.5th and the 97.5th percentile of the resampled changes are the interval (B. Efron and R. J. Tibshirani, "An
//! Introduction to the Bootstrap", 1993, chapter 13).

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

/// Number of resamples.
pub const RESAMPLES: usize = 10_000;
/// Share of the resampled changes within an interval, unless the interval is one of many.
pub const CONFIDENCE: f64 = 0.95;
/// Fixed seed, so that the same two runs have the same interval.
const SEED: u64 = 0x676f_6c6f;
/// Maximum share of resamples without a value; with more of them a change is unknown.
const MOST_UNDEFINED: f64 = 0.05;

/// A metric of a run, second by second, as pairs of numerator and denominator: requests and seconds, failed requests
/// and all requests, a percentile and one. A second without data is (0, 0). The metric of several seconds is the sum of
/// the numerators over the sum of the denominators.
pub type Series = Vec<(f64, f64)>;

/// A change from one run to the other, as a share of the first: 0.05 is 5 % more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Measured change.
    pub change: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// The second run's value minus the first run's, in the unit of the metric.
    pub difference: f64,
    /// Upper end of the interval of `difference`.
    pub most_more: f64,
}

/// Returns the number of neighbouring seconds in a block: the cube root of `seconds`, rounded, at least 1.
#[must_use]
pub fn block(seconds: usize) -> usize {
    ((seconds as f64).cbrt().round() as usize).max(1)
}

/// Returns the metric over all seconds, or `None` if they contain no data.
#[must_use]
pub fn value(series: &[(f64, f64)]) -> Option<f64> {
    let (sum, of) = series.iter().fold((0.0, 0.0), |(sum, of), (value, weight)| (sum + value, of + weight));
    (of > 0.0).then(|| sum / of)
}

/// Returns the change of each metric from `a` to `b`, with an interval of that metric's confidence. A change is `None`
/// if it is unknown. All series of a run must cover the same seconds.
#[must_use]
pub fn changes(a: &[Series], b: &[Series], confidences: &[f64]) -> Vec<Option<Change>> {
    let mut random = SmallRng::seed_from_u64(SEED);
    let (a_sums, b_sums) = (Sums::of(a), Sums::of(b));
    let metrics = a.len().min(b.len()).min(confidences.len());
    let mut resampled = vec![Vec::with_capacity(RESAMPLES); metrics];
    for _ in 0..RESAMPLES {
        let (a_blocks, b_blocks) = (a_sums.blocks(&mut random), b_sums.blocks(&mut random));
        for (metric, pairs) in resampled.iter_mut().enumerate() {
            pairs.extend(a_sums.value(metric, &a_blocks).zip(b_sums.value(metric, &b_blocks)));
        }
    }
    let measured = a.iter().zip(b).map(|(a, b)| value(a).zip(value(b)));
    let measured = measured.zip(confidences);
    measured.zip(resampled).map(|((measured, &confidence), pairs)| interval(measured?, &pairs, confidence)).collect()
}

/// Returns the relative change. A change from zero to anything is infinite, so it exceeds every tolerance.
fn relative(a: f64, b: f64) -> f64 {
    match (a, b) {
        (0.0, 0.0) => 0.0,
        (0.0, _) => f64::INFINITY,
        _ => b / a - 1.0,
    }
}

/// Returns the change between two values, with the interval of the resampled values.
fn interval((a, b): (f64, f64), resampled: &[(f64, f64)], confidence: f64) -> Option<Change> {
    if (resampled.len() as f64) < (1.0 - MOST_UNDEFINED) * RESAMPLES as f64 {
        return None;
    }
    let (low, high) = ends(resampled.iter().map(|&(a, b)| relative(a, b)), confidence)?;
    let (_, most_more) = ends(resampled.iter().map(|&(a, b)| b - a), confidence)?;
    Some(Change { change: relative(a, b), low, high, difference: b - a, most_more })
}

/// Returns the ends of the central interval that contains the share `confidence` of the values.
fn ends(values: impl Iterator<Item = f64>, confidence: f64) -> Option<(f64, f64)> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let outside = ((1.0 - confidence) / 2.0 * values.len() as f64).floor() as usize;
    Some((values[outside.min(last)], values[last.saturating_sub(outside)]))
}

/// Prefix sums of a run's series, which make the sum of a block as cheap as a single second.
struct Sums {
    /// For each series, the sums of its first 0, 1, 2, … seconds.
    sums: Vec<Vec<(f64, f64)>>,
    seconds: usize,
    block: usize,
}

impl Sums {
    fn of(series: &[Series]) -> Self {
        let seconds = series.first().map_or(0, Vec::len);
        let sum = |series: &Series| {
            let sums = series.iter().scan((0.0, 0.0), |(sum, of), (value, weight)| {
                (*sum, *of) = (*sum + value, *of + weight);
                Some((*sum, *of))
            });
            std::iter::once((0.0, 0.0)).chain(sums).collect()
        };
        Self { sums: series.iter().map(sum).collect(), seconds, block: block(seconds).min(seconds.max(1)) }
    }

    /// Draws random blocks with as many seconds in total as the run has; the last block is cut to fit.
    fn blocks(&self, random: &mut SmallRng) -> Vec<(usize, usize)> {
        let mut blocks = Vec::with_capacity(self.seconds.div_ceil(self.block));
        let mut left = self.seconds;
        while left > 0 {
            let start = random.random_range(0..=self.seconds - self.block);
            let length = self.block.min(left);
            blocks.push((start, start + length));
            left -= length;
        }
        blocks
    }

    fn value(&self, metric: usize, blocks: &[(usize, usize)]) -> Option<f64> {
        let sums = &self.sums[metric];
        let (mut sum, mut of) = (0.0, 0.0);
        for &(from, to) in blocks {
            sum += sums[to].0 - sums[from].0;
            of += sums[to].1 - sums[from].1;
        }
        (of > 0.0).then(|| sum / of)
    }
}

#[cfg(test)]
mod tests;
