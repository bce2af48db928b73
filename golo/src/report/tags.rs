//! Tags of triggers: counts of values, and distributions of numbers.

use super::figures::QUANTILES;
use crate::engine::tags::{Counts, Tag, VALUES};

/// Distribution of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) count: u64,
    /// Average, minimum, the percentiles and maximum.
    pub(super) figures: [f64; 8],
}

/// Returns the values of a tag, the most frequent first; none if it is shown as a distribution.
pub(super) fn values(tag: &Tag) -> Vec<(&str, Counts)> {
    if tag.is_distribution() { Vec::new() } else { tag.by_count() }
}

/// Returns the sum of the values that are not counted separately, if there are any.
pub(super) fn other(tag: &Tag) -> Option<Counts> {
    Some(tag.other()).filter(|other| other.all() > 0 && !tag.is_distribution())
}

/// Returns the name for the values that are not counted separately.
pub(super) fn other_values() -> String {
    format!("(other values, beyond {VALUES})")
}

/// Returns the distribution of the values for one outcome, or for both if `failed` is `None`, if all of them are
/// numbers.
pub(super) fn spread(tag: &Tag, failed: Option<bool>) -> Option<Spread> {
    if tag.texts().all() > 0 {
        return None;
    }
    let numbers = tag.numbers(failed);
    let [p50, p90, p95, p99, p999] = numbers.quantiles(&QUANTILES)[..] else { return None };
    let figures = [numbers.mean()?, numbers.min()?, p50?, p90?, p95?, p99?, p999?, numbers.max()?];
    Some(Spread { count: numbers.count(), figures })
}

/// Returns the distributions of a tag's values with their names: for all triggers, and by outcome if there are both.
pub(super) fn spreads(key: &str, tag: &Tag) -> Vec<(String, Spread)> {
    let has_both = tag.count(Some(false)) > 0 && tag.count(Some(true)) > 0;
    let by_outcome = [(Some(false), ", passed"), (Some(true), ", failed")].into_iter().filter(|_| has_both);
    let all = std::iter::once((None, "")).chain(by_outcome);
    all.filter_map(|(failed, suffix)| Some((format!("{key}{suffix}"), spread(tag, failed)?))).collect()
}
