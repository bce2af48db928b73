//! What a load test names itself: its own metrics, groups, and tags of requests.

use std::collections::BTreeMap;

use super::figures::QUANTILES;
use super::route::Route;
use super::text::clean;
use super::units::{count, counted};
use crate::engine::metrics::{Durations, MetricKind, Refusal, SERIES, Value};
use crate::engine::snapshot::Snapshot;
use crate::metrics::tag_set::{GROUP, SETS};

/// Name of what is past the limit of series.
const OTHER: &str = "other (all past the limit of series)";

/// A metric with its values.
pub(super) struct Own<'a> {
    pub(super) name: &'a str,
    pub(super) kind: MetricKind,
    pub(super) unit: Option<&'a str>,
    /// All values.
    pub(super) total: Value,
    /// Values by tags, if there are any tags.
    pub(super) by_tags: Vec<(String, &'a Value)>,
}

/// Returns the metrics of the load test's own.
pub(super) fn metrics(totals: &Snapshot) -> Vec<Own<'_>> {
    let metrics = totals.metrics.own().filter_map(|(name, metric)| {
        let has_tags = metric.all().any(|(tags, _)| tags.is_none_or(|tags| !tags.is_empty()));
        let by_tags = metric.all().filter(|_| has_tags).map(|(tags, value)| {
            let name = match tags {
                None => OTHER.to_owned(),
                Some(tags) if tags.is_empty() => "(no tags)".to_owned(),
                Some(tags) => clean(&tags.to_string()),
            };
            (name, value)
        });
        let total = metric.total(|_| true)?;
        Some(Own { name, kind: metric.kind(), unit: metric.unit(), total, by_tags: by_tags.collect() })
    });
    metrics.collect()
}

/// Returns mean, minimum, the percentiles of [`QUANTILES`] and maximum of a trend.
pub(super) fn figures(numbers: &crate::engine::tags::Numbers) -> [Option<f64>; 8] {
    let quantiles = numbers.quantiles(&QUANTILES);
    let quantile = |at: usize| quantiles.get(at).copied().flatten();
    let [p50, p90, p95, p99, p999] = std::array::from_fn(quantile);
    [numbers.mean(), numbers.min(), p50, p90, p95, p99, p999, numbers.max()]
}

/// Returns the groups by name, those with the most time spent first.
pub(super) fn groups(totals: &Snapshot) -> Vec<(String, Durations)> {
    let mut groups: BTreeMap<String, Value> = BTreeMap::new();
    for (_, metric) in totals.metrics.iter().filter(|(_, metric)| metric.kind() == MetricKind::Group) {
        for (tags, value) in metric.all() {
            let name = tags.map_or_else(|| OTHER.to_owned(), |tags| clean(tags.get(GROUP).unwrap_or_default()));
            groups.entry(name).and_modify(|known| known.merge(value)).or_insert_with(|| value.clone());
        }
    }
    let durations = |(name, value)| if let Value::Group(group) = value { Some((name, group)) } else { None };
    let mut groups: Vec<_> = groups.into_iter().filter_map(durations).collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.durations.sum()));
    groups
}

/// Returns the requests by key and value of each of their tags.
pub(super) fn request_tags(totals: &Snapshot) -> BTreeMap<(&str, &str), Route> {
    let mut tags: BTreeMap<(&str, &str), Route> = BTreeMap::new();
    for (series, measure) in totals.requests.iter().filter(|(series, _)| !series.is_step()) {
        for tag in series.label.tags.iter() {
            tags.entry(tag).or_default().add(measure, series.outcome);
        }
    }
    tags
}

/// Describes tags and values that were not kept.
pub(super) fn notes(totals: &Snapshot) -> Vec<String> {
    let mut notes = Vec::new();
    if totals.tags_beyond > 0 {
        let became = if totals.tags_beyond == 1 { "has" } else { "have" };
        notes.push(format!(
            "{} {became} the value `other`: {} sets of tags are told apart",
            counted(totals.tags_beyond, "tag"),
            count(SETS as u64)
        ));
    }
    let beyond = totals.metrics.iter().filter_map(|(_, metric)| metric.other()).map(Value::count);
    let beyond = beyond.fold(0, u64::saturating_add);
    if beyond > 0 {
        notes.push(format!(
            "{} past the limit of series: {} series of metrics are told apart",
            counted(beyond, "value"),
            count(SERIES as u64)
        ));
    }
    notes.extend(totals.metrics.refused().map(|(name, refusal, number)| {
        let why = match refusal {
            Refusal::BuiltIn => "golo has a metric of this name",
            Refusal::OtherKind => "a metric of another kind has this name",
            Refusal::Value => "not finite, too large, or negative for a counter",
        };
        format!("{} of `{}` refused: {why}", counted(number, "value"), clean(name))
    }));
    notes
}

/// Returns the word for a reason of refusal in the data of a report.
pub(super) fn word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BuiltIn => "built_in",
        Refusal::OtherKind => "other_kind",
        Refusal::Value => "value",
    }
}
