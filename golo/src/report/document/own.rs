//! Metrics of the load test's own, groups, and tags of requests.

use serde::Serialize;

use super::Distribution;
use crate::engine::metrics::Value;
use crate::engine::series::TagPairs;
use crate::engine::snapshot::Snapshot;
use crate::report::RateTime;
use crate::report::own::{self, figures, word};

pub(super) fn metrics(totals: &Snapshot, rates: RateTime) -> impl Serialize {
    let metric = |own: own::Own<'_>| {
        let known = totals.metrics.get(own.name);
        let series = known.into_iter().flat_map(|metric| metric.all()).map(|(tags, value)| {
            object! {
                tags: tags.map(pairs).unwrap_or_default(),
                other: tags.is_none(),
                #[serde(flatten)]
                values: values(value, rates),
            }
        });
        object! {
            name: own.name.to_owned(),
            kind: own.kind.name(),
            unit: own.unit.map(str::to_owned),
            total: values(&own.total, rates),
            series: series.collect::<Vec<_>>(),
        }
    };
    let refused = totals.metrics.refused();
    object! {
        metrics: own::metrics(totals).into_iter().map(metric).collect::<Vec<_>>(),
        refused: refused
            .map(|(name, refusal, count)| object! { name: name.to_owned(), reason: word(refusal), count: count })
            .collect::<Vec<_>>(),
    }
}

fn pairs(tags: &TagPairs) -> Vec<impl Serialize + use<>> {
    tags.iter().map(|(key, value)| object! { key: key.to_owned(), value: value.to_owned() }).collect()
}

/// Returns the figures of a value. Those of other kinds of metrics are null.
fn values(value: &Value, rates: RateTime) -> impl Serialize + use<> {
    let (mut sum, mut rate, mut last, mut share) = (None, None, None, None);
    let mut spread = [None; 8];
    match value {
        Value::Counter(of) => {
            let rated = if rates.counts_after_load { of.sum() } else { of.sum() - of.after_load() };
            (sum, rate) = (Some(of.sum()), Some(rates.number_per_second(rated)));
        }
        Value::Gauge(level) => {
            last = Some(level.last);
            (spread[1], spread[7]) = (Some(level.min), Some(level.max));
        }
        Value::Trend(numbers) => {
            sum = Some(numbers.sum());
            spread = figures(numbers);
        }
        Value::Rate(of) => {
            sum = Some(of.part as f64);
            share = (of.of > 0).then(|| of.part as f64 / of.of as f64);
        }
        Value::Group(_) => {}
    }
    let [mean, min, p50, p90, p95, p99, p999, max] = spread;
    object! {
        count: value.count(),
        sum: sum,
        rate: rate,
        last: last,
        share: share,
        mean: mean,
        min: min,
        p50: p50,
        p90: p90,
        p95: p95,
        p99: p99,
        p999: p999,
        max: max,
    }
}

pub(super) fn groups(totals: &Snapshot) -> impl Serialize {
    let groups = own::groups(totals).into_iter().map(|(name, group)| {
        object! {
            name: name,
            failed: group.failed,
            interrupted: group.interrupted,
            duration: Distribution::from(&group.durations),
        }
    });
    groups.collect::<Vec<_>>()
}

pub(super) fn request_tags(totals: &Snapshot) -> impl Serialize {
    let values = own::request_tags(totals).into_iter().map(|((key, value), requests)| {
        // The buckets of all values would make up most of the file.
        let duration = Distribution { buckets: Vec::new(), ..Distribution::from(&requests.all.durations) };
        object! {
            key: key.to_owned(),
            value: value.to_owned(),
            failed: requests.failed(),
            interrupted: requests.interrupted,
            duration: duration,
        }
    });
    object! { values: values.collect::<Vec<_>>(), beyond: totals.tags_beyond }
}
