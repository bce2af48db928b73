use proptest::prelude::*;

use super::*;
use crate::engine::tags::Numbers;

fn tags(value: u64) -> TagPairs {
    [("n", value.to_string())].into_iter().collect()
}

fn counter(millionths: u128) -> Value {
    Value::Counter(Sum { count: 1, millionths, after_load: 0 })
}

fn sum(metric: &Metric) -> u128 {
    match metric.total(|_| true) {
        Some(Value::Counter(sum)) => sum.millionths,
        _ => 0,
    }
}

#[test]
fn series_past_the_limit_stay_in_the_sum_of_their_metric() {
    let mut metrics = Metrics::default();
    for n in 0..1500 {
        metrics.add("many", None, Some(&tags(n)), &counter(2));
    }
    metrics.add("late", None, Some(&tags(1)), &counter(3));
    let many = metrics.get("many").unwrap();
    assert_eq!((many.series().len(), many.other().map(Value::count), sum(many)), (SERIES, Some(500), 3000));
    let late = metrics.get("late").unwrap();
    assert_eq!((late.other(), sum(late)), (None, 3), "the first series of a metric has room");
    let mut merged = metrics.clone();
    merged.merge(&metrics);
    assert_eq!((sum(merged.get("many").unwrap()), merged.get("many").unwrap().series().len()), (6000, SERIES));
}

#[test]
fn names_past_the_limit_are_one_metric_of_each_kind() {
    let mut metrics = Metrics::default();
    for n in 0..2000 {
        metrics.add(&format!("m{n}"), None, Some(&TagPairs::default()), &counter(1));
    }
    assert_eq!(metrics.iter().count(), NAMES + 1);
    assert_eq!(sum(metrics.get("other_counters").unwrap()), 2000 - NAMES as u128);
}

#[test]
fn other_kind_of_a_known_name_is_refused_and_counted() {
    let mut metrics = Metrics::default();
    let empty = TagPairs::default();
    metrics.add("x", Some("EUR"), Some(&empty), &counter(1));
    metrics.add("x", None, Some(&empty), &Value::Rate(Share { part: 1, of: 7 }));
    let x = metrics.get("x").unwrap();
    assert_eq!((x.kind(), x.unit(), x.all().count()), (MetricKind::Counter, Some("EUR"), 1));
    assert_eq!(metrics.refused().collect::<Vec<_>>(), [("x", Refusal::OtherKind, 7)]);
}

#[test]
fn kind_that_is_kept_does_not_depend_on_the_order_of_merging() {
    let empty = TagPairs::default();
    let (mut counters, mut rates) = (Metrics::default(), Metrics::default());
    counters.add("x", None, Some(&empty), &counter(5));
    counters.add("y", None, Some(&empty), &counter(5));
    for n in 0..3 {
        rates.add("x", None, Some(&tags(n)), &Value::Rate(Share { part: 1, of: 7 }));
    }
    let mut merged = rates.clone();
    merged.merge(&counters);
    counters.merge(&rates);
    assert_eq!(counters, merged);
    assert_eq!((merged.get("x").unwrap().kind(), merged.series), (MetricKind::Counter, 2));
    assert_eq!(merged.refused().collect::<Vec<_>>(), [("x", Refusal::OtherKind, 21)]);
}

fn values() -> impl Strategy<Value = Vec<(u8, u8, f64, u64)>> {
    prop::collection::vec((0u8..3, 0u8..4, -1e4..1e4, 0u64..3), 0..60)
}

/// Records values of gauges, trends and counters with up to four sets of tags.
fn recorded(values: &[(u8, u8, f64, u64)]) -> Metrics {
    let mut metrics = Metrics::default();
    for &(kind, tag, number, at) in values {
        let (name, value) = match kind {
            0 => ("gauge", Value::Gauge(value::Level::of(number, at))),
            1 => {
                let mut numbers = Numbers::default();
                assert!(numbers.record_number(number));
                ("trend", Value::Trend(numbers))
            }
            _ => ("counter", counter(number.abs().to_bits().into())),
        };
        metrics.add(name, None, Some(&tags(tag.into())), &value);
    }
    metrics
}

proptest! {
    #[test]
    fn merging_does_not_depend_on_order_or_split(values in values(), at in any::<prop::sample::Index>()) {
        let whole = recorded(&values);
        let (one, other) = values.split_at(at.index(values.len() + 1));
        let (one, other) = (recorded(one), recorded(other));
        let mut forwards = one.clone();
        forwards.merge(&other);
        let mut backwards = other;
        backwards.merge(&one);
        prop_assert_eq!(&forwards, &backwards);
        prop_assert_eq!(forwards, whole);
    }
}
