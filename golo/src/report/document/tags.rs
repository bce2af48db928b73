//! Tags of triggers.

use serde::Serialize;

use crate::engine::tags::{self, Counts, Numbers, VALUES};

/// Tags of triggers' responses, by key.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Tags<'a> {
    pub(in crate::report) keys: Vec<Tag<'a>>,
    /// Tags of further keys, which are only counted.
    pub(in crate::report) beyond: u64,
}

/// The tags of one key.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Tag<'a> {
    pub(in crate::report) key: &'a str,
    /// Tags of triggers that passed.
    pub(in crate::report) passed: u64,
    /// Tags of triggers that failed.
    pub(in crate::report) failed: u64,
    /// Values that are not numbers.
    pub(in crate::report) texts: u64,
    /// Values, the most frequent first; empty if the key is shown as a distribution.
    pub(in crate::report) values: Vec<Value<'a>>,
    /// Sum of the values that are not counted separately.
    pub(in crate::report) other: Option<Value<'a>>,
    /// Distribution of the values, if all of them are numbers.
    pub(in crate::report) numbers: Option<Spread>,
    /// The same for triggers that passed.
    pub(in crate::report) numbers_passed: Option<Spread>,
    /// The same for triggers that failed.
    pub(in crate::report) numbers_failed: Option<Spread>,
    #[serde(skip)]
    pub(in crate::report) is_distribution: bool,
}

/// A value and its count.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Value<'a> {
    pub(in crate::report) value: &'a str,
    pub(in crate::report) passed: u64,
    pub(in crate::report) failed: u64,
}

/// Distribution of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(in crate::report) struct Spread {
    pub(in crate::report) count: u64,
    pub(in crate::report) mean: f64,
    pub(in crate::report) min: f64,
    pub(in crate::report) p50: f64,
    pub(in crate::report) p90: f64,
    pub(in crate::report) p95: f64,
    pub(in crate::report) p99: f64,
    pub(in crate::report) p999: f64,
    pub(in crate::report) max: f64,
}

impl<'a> Tags<'a> {
    pub(in crate::report) fn of(tags: &'a tags::Tags) -> Self {
        Self { keys: tags.iter().map(|(key, tag)| Tag::of(key, tag)).collect(), beyond: tags.beyond() }
    }
}

impl<'a> Tag<'a> {
    fn of(key: &'a str, tag: &'a tags::Tag) -> Self {
        let is_distribution = tag.is_distribution();
        let value = |(value, Counts { passed, failed }): (&'a str, Counts)| Value { value, passed, failed };
        let values = if is_distribution { Vec::new() } else { tag.by_count() };
        let other = Some(tag.other()).filter(|other| other.all() > 0 && !is_distribution);
        let has_numbers_alone = tag.texts().all() == 0;
        let spread = |failed| Spread::of(&tag.numbers(failed)).filter(|_| has_numbers_alone);
        Self {
            key,
            passed: tag.count(Some(false)),
            failed: tag.count(Some(true)),
            texts: tag.texts().all(),
            values: values.into_iter().map(value).collect(),
            other: other.map(|other| value(("", other))),
            numbers: spread(None),
            numbers_passed: spread(Some(false)),
            numbers_failed: spread(Some(true)),
            is_distribution,
        }
    }

    /// Returns the number of tags.
    pub(in crate::report) fn count(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }
}

impl Value<'_> {
    pub(in crate::report) fn count(&self) -> u64 {
        self.passed.saturating_add(self.failed)
    }
}

impl Spread {
    fn of(numbers: &Numbers) -> Option<Self> {
        let quantiles = numbers.quantiles(&[0.5, 0.9, 0.95, 0.99, 0.999]);
        let [p50, p90, p95, p99, p999] = quantiles[..] else { return None };
        Some(Self {
            count: numbers.count(),
            mean: numbers.mean()?,
            min: numbers.min()?,
            p50: p50?,
            p90: p90?,
            p95: p95?,
            p99: p99?,
            p999: p999?,
            max: numbers.max()?,
        })
    }

    /// Returns average, minimum, the percentiles and maximum.
    pub(in crate::report) fn figures(&self) -> [f64; 8] {
        let Self { count: _, mean, min, p50, p90, p95, p99, p999, max } = *self;
        [mean, min, p50, p90, p95, p99, p999, max]
    }
}

/// Returns the name for the values that are not counted separately.
pub(in crate::report) fn other_values() -> String {
    format!("(other values, beyond {VALUES})")
}
