//! Tags of triggers, second by second.

use std::collections::BTreeMap;

use golo::engine::tags::{REPEATING, Tag, Tags};

use super::bootstrap::Series;

/// Figures of numeric tags that are compared.
const FIGURES: [(&str, Option<f64>); 4] = [("avg", None), ("p50", Some(0.5)), ("p95", Some(0.95)), ("p99", Some(0.99))];

/// Tags of a second, by key.
pub(super) type Second = BTreeMap<Box<str>, OfKey>;

/// Tags of a second with the same key.
#[derive(Debug)]
pub(super) struct OfKey {
    count: u64,
    /// Number of occurrences of each value; empty if there are too many values.
    values: BTreeMap<Box<str>, u64>,
    /// [`FIGURES`] of the values if all are numbers, otherwise empty.
    figures: Vec<Option<f64>>,
}

impl OfKey {
    fn of(tag: &Tag) -> Self {
        let values = tag.values().map(|(value, counts)| (value.into(), counts.all()));
        let values = values.take(if tag.is_distribution() { 0 } else { REPEATING }).collect();
        let figures = match tag.texts().all() {
            0 => {
                let numbers = tag.numbers(None);
                let quantiles = numbers.quantiles(&FIGURES.map(|(_, quantile)| quantile.unwrap_or_default()));
                let figure = |((_, quantile), of_quantile): (_, Option<f64>)| match quantile {
                    Some::<f64>(_) => of_quantile,
                    None => numbers.mean(),
                };
                FIGURES.into_iter().zip(quantiles).map(figure).collect()
            }
            _ => Vec::new(),
        };
        Self { count: tag.count(None), values, figures }
    }
}

/// Returns the tags of a second.
pub(super) fn second(tags: &Tags) -> Second {
    tags.iter().map(|(key, tag)| (key.into(), OfKey::of(tag))).collect()
}

/// A subject of comparison: a key with numeric values, or one repeating value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Key with numeric values.
    Numbers(String),
    /// Key and value.
    Value(String, String),
}

/// Returns the subjects of comparison in some tags.
pub(super) fn subjects(tags: &Tags) -> Vec<Subject> {
    let of_key = |(key, tag): (&str, &Tag)| match tag.is_distribution() {
        true => vec![Subject::Numbers(key.to_owned())],
        false => {
            let values = tag.by_count().into_iter().take(REPEATING);
            values.map(|(value, _)| Subject::Value(key.to_owned(), value.to_owned())).collect()
        }
    };
    tags.iter().flat_map(of_key).collect()
}

impl Subject {
    /// Returns the name as thresholds write it in braces.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Numbers(key) => key.clone(),
            Self::Value(key, value) => format!("{key}:{value}"),
        }
    }

    /// Returns one series per figure for numbers, or the share of triggers with the value.
    pub(super) fn series<'a>(&self, seconds: impl Iterator<Item = &'a Second> + Clone) -> Vec<(&'static str, Series)> {
        match self {
            Self::Numbers(key) => {
                let figure = |at: usize| {
                    let of = |second: &Second| second.get(&**key)?.figures.get(at).copied().flatten();
                    seconds.clone().map(|second| of(second).map_or((0.0, 0.0), |figure| (figure, 1.0))).collect()
                };
                FIGURES.iter().enumerate().map(|(at, (stat, _))| (*stat, figure(at))).collect()
            }
            Self::Value(key, value) => {
                let share = |second: &Second| match second.get(&**key) {
                    Some(tag) => (tag.values.get(&**value).copied().unwrap_or_default() as f64, tag.count as f64),
                    None => (0.0, 0.0),
                };
                vec![("rate", seconds.map(share).collect())]
            }
        }
    }
}
