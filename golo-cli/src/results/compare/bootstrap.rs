//! How far two runs differ, with the interval that this is known to: a moving-block bootstrap over their seconds.
//!
//! Neighbouring seconds depend on each other (a queue that builds up, a garbage collection), so that resampling single
//! seconds would make intervals that are too narrow. Blocks of neighbouring seconds keep that dependence (H. R. Künsch,
//! "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17, 1989). Of the resampled
//! changes the 2.5th and the 97.5th percentile are the interval (B. Efron and R. J. Tibshirani, "An Introduction to the
//! Bootstrap", 1993, chapter 13).

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

/// How often the seconds are resampled.
pub const RESAMPLES: usize = 10_000;
/// The share of resampled changes that an interval holds, unless it is one of many.
pub const CONFIDENCE: f64 = 0.95;
/// The same two runs have the same interval.
const SEED: u64 = 0x676f_6c6f;
/// Most resamples without a value, as a share: beyond, nothing is known.
const MOST_UNDEFINED: f64 = 0.05;

/// A metric of a run by the second, as what it is the ratio of: requests over seconds, failed requests over all of them, a
/// percentile over one. A second that says nothing is 0 over 0. The metric of several seconds is the sum of the first over
/// the sum of the second.
pub type Series = Vec<(f64, f64)>;

/// A change from one run to the other, as a share of the first: 0.05 is 5 % more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The change that was measured.
    pub change: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The second run's value less the first run's, in the metric's own unit.
    pub difference: f64,
    /// The upper end of that difference's interval.
    pub most_more: f64,
}

/// How many neighbouring seconds are resampled together: the cube root of how many there are, rounded.
#[must_use]
pub fn block(seconds: usize) -> usize {
    ((seconds as f64).cbrt().round() as usize).max(1)
}

/// The metric of all seconds; none where they say nothing.
#[must_use]
pub fn value(series: &[(f64, f64)]) -> Option<f64> {
    let (sum, of) = series.iter().fold((0.0, 0.0), |(sum, of), (value, weight)| (sum + value, of + weight));
    (of > 0.0).then(|| sum / of)
}

/// Returns the change of each metric from `a` to `b`, with an interval of the confidence of that metric; none if it cannot be
/// told. All series of a run are of the same seconds.
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

/// From nothing to something is beyond every tolerance.
fn relative(a: f64, b: f64) -> f64 {
    match (a, b) {
        (0.0, 0.0) => 0.0,
        (0.0, _) => f64::INFINITY,
        _ => b / a - 1.0,
    }
}

/// The change between two values, with the interval of those that were resampled.
fn interval((a, b): (f64, f64), resampled: &[(f64, f64)], confidence: f64) -> Option<Change> {
    if (resampled.len() as f64) < (1.0 - MOST_UNDEFINED) * RESAMPLES as f64 {
        return None;
    }
    let (low, high) = ends(resampled.iter().map(|&(a, b)| relative(a, b)), confidence)?;
    let (_, most_more) = ends(resampled.iter().map(|&(a, b)| b - a), confidence)?;
    Some(Change { change: relative(a, b), low, high, difference: b - a, most_more })
}

/// The ends of the interval that holds this share of the values.
fn ends(values: impl Iterator<Item = f64>, confidence: f64) -> Option<(f64, f64)> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let outside = ((1.0 - confidence) / 2.0 * values.len() as f64).floor() as usize;
    Some((values[outside.min(last)], values[last.saturating_sub(outside)]))
}

/// The series of a run, summed up so that a block costs no more than a second.
struct Sums {
    /// Of each series, the sums of its first 0, 1, 2, … seconds.
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

    /// Blocks that are as many seconds as there are, the last of them cut to that.
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
