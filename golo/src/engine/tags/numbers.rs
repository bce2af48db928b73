//! Tag values that are numbers.

use crate::engine::histogram::{Histogram, rank};

/// Parts per unit: numbers are counted in thousandths.
const PARTS: u64 = 1000;
/// Upper bound of a number's magnitude. 2^64 thousandths are slightly more.
const LARGEST: u64 = u64::MAX / PARTS;

/// A number in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thousandths {
    is_below: bool,
    magnitude: u64,
}

/// Distribution of values that are numbers.
///
/// Numbers are rounded to the nearest thousandth. Count, sum, minimum and maximum are exact apart from that. A
/// percentile is the nearest rank, off by at most 0.05 %.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// Magnitudes of the numbers below 0, in thousandths.
    below: Histogram,
    /// The other numbers, in thousandths.
    above: Histogram,
}

impl Numbers {
    /// Creates a distribution from two histograms in thousandths: the magnitudes of the numbers below 0, and the other
    /// numbers.
    pub(crate) fn of(below: Histogram, above: Histogram) -> Self {
        Self { below, above }
    }

    /// Returns two histograms in thousandths: the magnitudes of the numbers below 0, and the other numbers.
    pub(crate) fn histograms(&self) -> [&Histogram; 2] {
        [&self.below, &self.above]
    }

    pub(super) fn record(&mut self, Thousandths { is_below, magnitude }: Thousandths) {
        if is_below { self.below.record(magnitude) } else { self.above.record(magnitude) }
    }

    /// Records a number. Returns false if it is not finite, or beyond ±2^64 thousandths.
    pub(crate) fn record_number(&mut self, number: f64) -> bool {
        let magnitude = (number.abs() * PARTS as f64).round();
        let is_number = magnitude < LARGEST as f64 * PARTS as f64;
        if is_number {
            // Exact for whole numbers below 2^53.
            let magnitude = magnitude as u64;
            self.record(Thousandths { is_below: number < 0.0 && magnitude > 0, magnitude });
        }
        is_number
    }

    /// Returns the histograms: that of the magnitudes of the numbers below 0, and that of the other numbers.
    pub(crate) fn into_histograms(self) -> (Histogram, Histogram) {
        (self.below, self.above)
    }

    /// Adds the numbers of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.below.merge(&other.below);
        self.above.merge(&other.above);
    }

    /// Returns the count of numbers.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.below.count().saturating_add(self.above.count())
    }

    /// Returns true if there are no numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.below.is_empty() && self.above.is_empty()
    }

    /// Returns the smallest number.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.below.max().map(negative).or_else(|| self.above.min().map(positive))
    }

    /// Returns the largest number.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.above.max().map(positive).or_else(|| self.below.min().map(negative))
    }

    /// Returns the sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        let (above, below) = (self.above.sum(), self.below.sum());
        let magnitude = above.abs_diff(below) as f64 / PARTS as f64;
        if above < below { -magnitude } else { magnitude }
    }

    /// Returns the mean: the sum divided by the count.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum() / self.count() as f64)
    }

    /// Returns the smallest number that at least the share `quantile` (0 to 1) of all numbers do not exceed.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        self.quantiles(&[quantile]).pop().flatten()
    }

    /// Returns the [`Numbers::quantile`] for each of `quantiles`, in one pass.
    #[must_use]
    pub fn quantiles(&self, quantiles: &[f64]) -> Vec<Option<f64>> {
        let count = self.count();
        let ranks = quantiles.iter().map(|quantile| (count > 0 && !quantile.is_nan()).then(|| rank(*quantile, count)));
        self.at_ranks(&ranks.collect::<Vec<_>>())
    }

    fn at_ranks(&self, ranks: &[Option<u64>]) -> Vec<Option<f64>> {
        let below = self.below.count();
        // The smallest number has the largest magnitude.
        let of_below: Vec<_> =
            ranks.iter().map(|rank| rank.filter(|rank| *rank <= below).map(|rank| below - rank + 1)).collect();
        let of_above: Vec<_> =
            ranks.iter().map(|rank| rank.filter(|rank| *rank > below).map(|rank| rank - below)).collect();
        let below = self.below.at_ranks(&of_below).into_iter().map(|known| known.map(negative));
        let above = self.above.at_ranks(&of_above).into_iter().map(|known| known.map(positive));
        below.zip(above).map(|(below, above)| below.or(above)).collect()
    }

    /// Returns the number at a rank, from 1 to the count in ascending order.
    #[must_use]
    pub fn at_rank(&self, rank: u64) -> Option<f64> {
        let rank = Some(rank).filter(|rank| *rank > 0 && *rank <= self.count())?;
        self.at_ranks(&[Some(rank)]).pop().flatten()
    }

    /// Returns the heap memory of the distribution, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.below.bytes() + self.above.bytes()
    }
}

fn positive(magnitude: u64) -> f64 {
    magnitude as f64 / PARTS as f64
}

fn negative(magnitude: u64) -> f64 {
    -positive(magnitude)
}

/// Parses a number: decimal digits with an optional sign, point and exponent, and nothing else. Returns `None` if it is
/// not a number, or beyond ±2^64 thousandths.
pub(super) fn thousandths(value: &str) -> Option<Thousandths> {
    let (is_below, digits) = match value.as_bytes().first()? {
        b'-' => (true, &value[1..]),
        b'+' => (false, &value[1..]),
        _ => (false, value),
    };
    let magnitude = if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        plain(digits)?
    } else {
        scientific(digits)?
    };
    Some(Thousandths { is_below: is_below && magnitude > 0, magnitude })
}

fn plain(digits: &str) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    if whole >= LARGEST {
        return None;
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |digit| u64::from(digit - b'0'));
    let rounded = u64::from(digit(3) >= 5);
    Some(whole * PARTS + digit(0) * 100 + digit(1) * 10 + digit(2) + rounded)
}

fn scientific(digits: &str) -> Option<u64> {
    // Without this check, `inf`, `nan` and a second sign would be accepted.
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_number = starts && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number: f64 = if is_number { digits.parse().ok()? } else { return None };
    (number < LARGEST as f64).then(|| (number * PARTS as f64).round() as u64)
}
