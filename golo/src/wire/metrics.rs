//! Metrics of the load test's own, and durations of groups.

use super::WireError;
use super::histogram::{read as read_histogram, write as write_histogram};
use crate::engine::metrics::{Durations, Level, Metric, Metrics, PARTS, Refusal, Share, Sum, Value};
use crate::engine::tags::Numbers;
use crate::metrics::custom::cut_unit;
use crate::metrics::tag_set::TagPairs;
use crate::pb::engine as pb;
use crate::pb::engine::metric_series::Value as Written;

/// Reasons of refusals with their counterparts in the protocol.
const REFUSALS: [(Refusal, pb::Refusal); 3] = [
    (Refusal::Value, pb::Refusal::Value),
    (Refusal::OtherKind, pb::Refusal::OtherKind),
    (Refusal::BuiltIn, pb::Refusal::BuiltIn),
];

pub(super) fn write(metrics: &Metrics) -> Vec<pb::Metric> {
    let metric = |(name, metric): (&str, &Metric)| pb::Metric {
        name: name.to_owned(),
        unit: metric.unit().unwrap_or_default().to_owned(),
        series: metric.all().map(|(tags, value)| series(tags, value)).collect(),
    };
    metrics.iter().map(metric).collect()
}

pub(super) fn write_refused(metrics: &Metrics) -> Vec<pb::RefusedValues> {
    let refused = |(name, refusal, count): (&str, Refusal, u64)| {
        let reason = REFUSALS.iter().find(|(known, _)| *known == refusal);
        pb::RefusedValues {
            name: name.to_owned(),
            reason: reason.map_or(pb::Refusal::Value, |(_, written)| *written).into(),
            count,
        }
    };
    metrics.refused().map(refused).collect()
}

fn series(tags: Option<&TagPairs>, value: &Value) -> pb::MetricSeries {
    let value = match value {
        Value::Counter(Sum { count, millionths, after_load }) => Written::Counter(pb::Sum {
            count: *count,
            whole: whole(*millionths),
            millionths: rest(*millionths),
            whole_after_load: whole(*after_load),
            millionths_after_load: rest(*after_load),
        }),
        Value::Gauge(Level { count, last, min, max, at }) => {
            Written::Gauge(pb::Level { count: *count, last: *last, min: *min, max: *max, at: *at })
        }
        Value::Trend(numbers) => {
            let [below, above] = numbers.histograms().map(write_histogram);
            Written::Trend(pb::Numbers { above, below })
        }
        Value::Rate(Share { part, of }) => Written::Rate(pb::Truths { part: *part, of: *of }),
        Value::Group(Durations { durations, failed, interrupted }) => Written::Group(pb::Durations {
            durations: write_histogram(durations),
            failed: *failed,
            interrupted: *interrupted,
        }),
    };
    pb::MetricSeries {
        tags: tags.map(super::pairs::write).unwrap_or_default(),
        is_other: tags.is_none(),
        value: Some(value),
    }
}

fn whole(millionths: u128) -> u64 {
    u64::try_from(millionths / PARTS).unwrap_or(u64::MAX)
}

fn rest(millionths: u128) -> u32 {
    u32::try_from(millionths % PARTS).unwrap_or_default()
}

pub(super) fn read(written: &[pb::Metric], refused: &[pb::RefusedValues]) -> Result<Metrics, WireError> {
    let mut metrics = Metrics::default();
    for pb::Metric { name, unit, series } in written {
        let unit = Some(cut_unit(unit)).filter(|unit| !unit.is_empty());
        let unit = unit.as_deref();
        for one in series {
            // Of a kind that a later golo has.
            let Some(written) = &one.value else { continue };
            let value = value(written)?;
            let tags = (!one.is_other).then(|| super::pairs::read(&one.tags));
            match Metrics::received_name(name, value.kind()) {
                Some(name) => metrics.add(&name, unit, tags.as_ref(), &value),
                None => metrics.refuse(name, Refusal::BuiltIn, value.count()),
            }
        }
    }
    for pb::RefusedValues { name, reason, count } in refused {
        let refusal = REFUSALS.iter().find(|(_, written)| *written as i32 == *reason);
        metrics.refuse(name, refusal.map_or(Refusal::Value, |(refusal, _)| *refusal), *count);
    }
    Ok(metrics)
}

fn value(written: &Written) -> Result<Value, WireError> {
    let sum = |whole: u64, millionths: u32| u128::from(whole) * PARTS + u128::from(millionths);
    Ok(match written {
        Written::Counter(written) => {
            let millionths = sum(written.whole, written.millionths);
            let after_load = sum(written.whole_after_load, written.millionths_after_load);
            Value::Counter(Sum { count: written.count, millionths, after_load })
        }
        Written::Gauge(pb::Level { count, last, min, max, at }) => {
            if ![last, min, max].into_iter().all(|number| number.is_finite()) {
                return Err(WireError::new(format!("a gauge of {last} between {min} and {max}")));
            }
            Value::Gauge(Level { count: *count, last: *last, min: *min, max: *max, at: *at })
        }
        Written::Trend(pb::Numbers { above, below }) => {
            Value::Trend(Numbers::of(read_histogram(below.as_ref())?, read_histogram(above.as_ref())?))
        }
        Written::Rate(pb::Truths { part, of }) => Value::Rate(Share { part: (*part).min(*of), of: *of }),
        Written::Group(pb::Durations { durations, failed, interrupted }) => {
            let durations = read_histogram(durations.as_ref())?;
            Value::Group(Durations { durations, failed: *failed, interrupted: *interrupted })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::MetricKind;

    #[test]
    fn metrics_survive_the_wire() {
        let mut metrics = Metrics::default();
        let tags: TagPairs = [("shop", "north")].into_iter().collect();
        let mut numbers = Numbers::default();
        [-2.5, 0.0, 19.99].iter().for_each(|number| assert!(numbers.record_number(*number)));
        let mut durations = Durations { failed: 1, interrupted: 2, ..Durations::default() };
        durations.durations.record(5_000_000);
        for (name, value) in [
            ("orders", Value::Counter(Sum { count: 2, millionths: 7_500_001, after_load: 1 })),
            ("queue", Value::Gauge(Level { count: 3, last: 1.5, min: -1.0, max: 9.0, at: 17 })),
            ("cart", Value::Trend(numbers)),
            ("hits", Value::Rate(Share { part: 2, of: 3 })),
            ("group_duration", Value::Group(durations)),
        ] {
            metrics.add(name, Some("EUR"), Some(&tags), &value);
            metrics.add(name, None, None, &value);
        }
        metrics.refuse("cart", Refusal::OtherKind, 4);
        assert_eq!(read(&write(&metrics), &write_refused(&metrics)), Ok(metrics));
    }

    #[test]
    fn unit_is_cut() {
        let value = Some(Written::Rate(pb::Truths { part: 1, of: 1 }));
        let series = vec![pb::MetricSeries { value, ..pb::MetricSeries::default() }];
        let metrics = read(&[pb::Metric { name: "hits".to_owned(), unit: "é".repeat(9000), series }], &[]).unwrap();
        assert_eq!(metrics.get("hits").unwrap().unit(), Some(("é".repeat(31) + "…").as_str()));
    }

    #[test]
    fn invalid_metrics_are_refused() {
        let series = |value| vec![pb::MetricSeries { value: Some(value), ..pb::MetricSeries::default() }];
        let metric =
            |name: &str, value| pb::Metric { name: name.to_owned(), series: series(value), ..pb::Metric::default() };
        let level = pb::Level { last: f64::NAN, ..pb::Level::default() };
        assert!(read(&[metric("queue", Written::Gauge(level))], &[]).is_err());
        let truths = || Written::Rate(pb::Truths { part: 9, of: 3 });
        let read = read(&[metric("http_reqs", truths()), metric("a b", truths())], &[]).unwrap();
        assert_eq!(read.refused().collect::<Vec<_>>(), [("http_reqs", Refusal::BuiltIn, 3)]);
        assert_eq!(read.get("a_b").map(Metric::kind), Some(MetricKind::Rate));
    }
}
