//! Changes between two runs, with intervals from a moving-block bootstrap over their seconds.
//!
//! Neighbouring seconds depend on each other (a queue that builds up, a garbage collection). Resampling single seconds
//! would therefore give intervals that are too narrow. Blocks of neighbouring seconds keep that dependence (H. R.
//! Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17, 1989). The
//! 2.5th and the 97.5th percentile of the resampled changes are the interval (B. Efron and R. J. Tibshirani, "An
//! Introduction to the Bootstrap", 1993, chapter 13).

use std::hash::Hasher as _;

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rustc_hash::{FxHashMap, FxHasher};

/// Number of resamples.
pub const RESAMPLES: usize = 10_000;
/// Share of the resampled changes within an interval, unless the interval is one of many.
pub const CONFIDENCE: f64 = 0.95;
/// Fixed seed, so that the same two runs have the same interval.
const SEED: u64 = 0x676f_6c6f;
/// Number of resamples that are computed together. Their blocks are in memory.
const AT_ONCE: usize = 2_500;
/// Number of columns that are summed up together.
const WIDTH: usize = 8;
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
    let metrics = a.len().min(b.len()).min(confidences.len());
    let (a_columns, b_columns) = (Columns::of(&a[..metrics]), Columns::of(&b[..metrics]));
    let mut resampled = vec![Vec::with_capacity(RESAMPLES); metrics];
    for _ in 0..RESAMPLES / AT_ONCE {
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        for _ in 0..AT_ONCE {
            a_columns.blocks.draw(&mut random, &mut of_a);
            b_columns.blocks.draw(&mut random, &mut of_b);
        }
        let (of_a, of_b) = std::thread::scope(|scope| {
            let of_b = scope.spawn(|| b_columns.sums(&of_b));
            (a_columns.sums(&of_a), of_b.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        for (metric, pairs) in resampled.iter_mut().enumerate() {
            let values = a_columns.values(metric, &of_a).zip(b_columns.values(metric, &of_b));
            pairs.extend(values.filter_map(|(a, b)| a.zip(b)));
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
    let last = values.len().checked_sub(1)?;
    let outside = ((1.0 - confidence) / 2.0 * values.len() as f64).floor() as usize;
    let mut at = |rank: usize| *values.select_nth_unstable_by(rank, f64::total_cmp).1;
    Some((at(outside.min(last)), at(last.saturating_sub(outside))))
}

/// Blocks of neighbouring seconds that a run is resampled from.
#[derive(Clone, Copy)]
struct Blocks {
    /// Number of seconds of the run.
    seconds: usize,
    /// Number of seconds of a block.
    length: usize,
}

impl Blocks {
    fn of(seconds: usize) -> Self {
        Self { seconds, length: block(seconds).min(seconds.max(1)) }
    }

    /// Returns the number of whole blocks of a resample, and the number of seconds of the block after them: the last block
    /// is cut, so that a resample has as many seconds as the run.
    fn number(self) -> (usize, usize) {
        (self.seconds / self.length, self.seconds % self.length)
    }

    /// Draws the starts of the blocks of a resample, and appends them.
    fn draw(self, random: &mut SmallRng, starts: &mut Vec<u32>) {
        let (whole, rest) = self.number();
        let start = |_| random.random_range(0..=self.seconds - self.length) as u32;
        starts.extend((0..whole + usize::from(rest > 0)).map(start));
    }
}

/// Numerators or denominators of a metric, second by second.
#[derive(Clone, Copy)]
struct Column<'a> {
    series: &'a Series,
    is_denominator: bool,
}

impl<'a> Column<'a> {
    fn seconds(self) -> impl Iterator<Item = f64> + 'a {
        let Self { series, is_denominator } = self;
        series.iter().map(move |&(numerator, denominator)| if is_denominator { denominator } else { numerator })
    }

    fn hash(self) -> u64 {
        let mut hasher = FxHasher::default();
        self.seconds().for_each(|value| hasher.write_u64(value.to_bits()));
        hasher.finish()
    }

    fn is_same(self, other: Self) -> bool {
        self.seconds().map(f64::to_bits).eq(other.seconds().map(f64::to_bits))
    }
}

/// The different columns of a run's series. Many series have one in common: the requests of a route are the numerator of
/// its rate and the denominator of its share of failures.
struct Columns<'a> {
    columns: Vec<Column<'a>>,
    /// Numbers of the numerator and the denominator of each series.
    of_series: Vec<(usize, usize)>,
    blocks: Blocks,
}

impl<'a> Columns<'a> {
    fn of(series: &'a [Series]) -> Self {
        let mut columns: Vec<Column<'a>> = Vec::new();
        let mut known: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
        let mut number = |column: Column<'a>| {
            let alike = known.entry(column.hash()).or_default();
            if let Some(&same) = alike.iter().find(|&&other| columns[other].is_same(column)) {
                return same;
            }
            columns.push(column);
            alike.push(columns.len() - 1);
            columns.len() - 1
        };
        let mut both = |series| {
            (number(Column { series, is_denominator: false }), number(Column { series, is_denominator: true }))
        };
        let of_series = series.iter().map(&mut both).collect();
        Self { columns, of_series, blocks: Blocks::of(series.first().map_or(0, Vec::len)) }
    }

    /// Returns the sums of each column over each of some resamples, whose blocks begin at `starts`: the sums of
    /// [`WIDTH`] columns together, for one resample after the other.
    ///
    /// The sum of a block is looked up. The sums of several columns are next to each other in memory, and those of all
    /// blocks fit into the cache of a core.
    fn sums(&self, starts: &[u32]) -> Vec<Vec<[f64; WIDTH]>> {
        let (whole, rest) = self.blocks.number();
        let each = whole + usize::from(rest > 0);
        let of_some = |columns: &[Column<'a>]| {
            let sums = prefix_sums(columns, self.blocks.seconds);
            let of_blocks: Vec<_> = sums
                .iter()
                .zip(&sums[self.blocks.length.min(sums.len())..])
                .map(|(from, to)| minus(to, from))
                .collect();
            let resample = |starts: &[u32]| {
                let (starts, last) = starts.split_at(whole);
                let sum = starts.iter().fold([0.0; WIDTH], |sum, &start| plus(&sum, &of_blocks[start as usize]));
                let last = last.iter().map(|&start| start as usize);
                last.fold(sum, |sum, start| plus(&sum, &minus(&sums[start + rest], &sums[start])))
            };
            match each {
                0 => vec![[0.0; WIDTH]; AT_ONCE],
                each => starts.chunks_exact(each).map(resample).collect(),
            }
        };
        self.columns.chunks(WIDTH).map(of_some).collect()
    }

    /// Returns the value of a metric in each resample, from [`sums`](Self::sums). It is `None` if there are no data.
    fn values(&self, metric: usize, sums: &[Vec<[f64; WIDTH]>]) -> impl Iterator<Item = Option<f64>> {
        let (numerator, denominator) = self.of_series[metric];
        let of = |column: usize| sums[column / WIDTH].iter().map(move |sums| sums[column % WIDTH]);
        of(numerator).zip(of(denominator)).map(|(sum, of)| (of > 0.0).then(|| sum / of))
    }
}

/// Returns the sums of the first 0, 1, 2, … seconds of some columns.
fn prefix_sums(columns: &[Column<'_>], seconds: usize) -> Vec<[f64; WIDTH]> {
    let mut sums = vec![[0.0; WIDTH]; seconds + 1];
    for (at, column) in columns.iter().enumerate() {
        let mut sum = 0.0;
        for (to, value) in sums[1..].iter_mut().zip(column.seconds()) {
            sum += value;
            to[at] = sum;
        }
    }
    sums
}

fn plus(a: &[f64; WIDTH], b: &[f64; WIDTH]) -> [f64; WIDTH] {
    std::array::from_fn(|at| a[at] + b[at])
}

fn minus(a: &[f64; WIDTH], b: &[f64; WIDTH]) -> [f64; WIDTH] {
    std::array::from_fn(|at| a[at] - b[at])
}

#[cfg(test)]
mod tests;
