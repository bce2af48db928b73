//! Metrics of the load test's own, and groups, second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use golo::engine::metrics::{MetricKind, Metrics, Value};

use super::bootstrap::Series;
use super::rows::Unit;

/// Metrics of a second: a numerator and a denominator for each of [`Subject::figures`].
pub(super) type Second = BTreeMap<Subject, Vec<(f64, f64)>>;

/// A subject of comparison: a metric over all its tags, or a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// Name of a group. Subjects are ordered by it first, so that groups come after metrics.
    pub(super) group: Option<Box<str>>,
    pub(super) metric: Box<str>,
    kind: MetricKind,
}

/// Returns the metrics of a second of this length.
pub(super) fn second(metrics: &Metrics, length: Duration) -> Second {
    let mut second = Second::new();
    for (name, metric) in metrics.iter() {
        let kind = metric.kind();
        if kind != MetricKind::Group {
            let total = metric.total(|_| true);
            let subject = Subject { metric: name.into(), group: None, kind };
            second.extend(total.map(|total| (subject, pairs(&total, length))));
            continue;
        }
        let mut groups: BTreeMap<Box<str>, Value> = BTreeMap::new();
        for (tags, value) in metric.series() {
            let group = tags.get("group").unwrap_or_default().into();
            groups.entry(group).and_modify(|known| known.merge(value)).or_insert_with(|| value.clone());
        }
        for (group, value) in groups {
            second.insert(Subject { metric: name.into(), group: Some(group), kind }, pairs(&value, length));
        }
    }
    second
}

/// Returns a numerator and a denominator for each figure of a value.
fn pairs(value: &Value, length: Duration) -> Vec<(f64, f64)> {
    let one = |figure: Option<f64>| figure.map_or((0.0, 0.0), |figure| (figure, 1.0));
    match value {
        Value::Counter(sum) => vec![(sum.sum(), length.as_secs_f64())],
        Value::Gauge(level) => vec![(level.last, 1.0)],
        Value::Trend(numbers) => vec![one(numbers.mean()), one(numbers.quantile(0.95))],
        Value::Rate(share) => vec![(share.part as f64, share.of as f64)],
        Value::Group(group) => {
            let quantiles = group.durations.quantiles(&[0.5, 0.95]);
            quantiles.into_iter().map(|nanos| one(nanos.map(|nanos| nanos as f64))).collect()
        }
    }
}

impl Subject {
    /// Returns the statistics that are compared, with their units.
    pub(super) fn figures(&self) -> &'static [(&'static str, Unit)] {
        match self.kind {
            MetricKind::Counter => &[("rate", Unit::PerSecond)],
            MetricKind::Gauge => &[("value", Unit::Number)],
            MetricKind::Trend => &[("avg", Unit::Number), ("p95", Unit::Number)],
            MetricKind::Rate => &[("rate", Unit::Share)],
            MetricKind::Group => &[("p50", Unit::Nanoseconds), ("p95", Unit::Nanoseconds)],
            _ => &[],
        }
    }

    /// Returns a series for each of [`Self::figures`].
    pub(super) fn series<'a>(&self, seconds: impl Iterator<Item = (&'a Second, Duration)> + Clone) -> Vec<Series> {
        let is_known = seconds.clone().any(|(second, _)| second.contains_key(self));
        // A counter that did not increase in a second has a rate of zero in it.
        let is_counter = self.kind == MetricKind::Counter && is_known;
        let missing = |length: Duration| (0.0, if is_counter { length.as_secs_f64() } else { 0.0 });
        let figure = |at: usize| {
            let pair = |(second, length): (&Second, Duration)| {
                second.get(self).and_then(|pairs| pairs.get(at)).copied().unwrap_or_else(|| missing(length))
            };
            seconds.clone().map(pair).collect()
        };
        (0..self.figures().len()).map(figure).collect()
    }
}
