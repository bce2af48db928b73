//! Data points as a backend would store and query them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, SummaryDataPoint, metric::Data, number_data_point,
};

pub(crate) type Attributes = BTreeMap<String, String>;

/// A data point.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) resource: Attributes,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) attributes: Attributes,
    /// Nanoseconds since the Unix epoch.
    pub(crate) start: u64,
    pub(crate) at: u64,
    /// None for gauges and summaries.
    pub(crate) temporality: Option<AggregationTemporality>,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Number(f64),
    Histogram(ExponentialHistogramDataPoint),
    Summary(SummaryDataPoint),
}

impl Value {
    /// Returns the number, or the number of values.
    fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Histogram(point) => point.count as f64,
            Self::Summary(point) => point.count as f64,
        }
    }
}

pub(crate) fn attributes(all: &[KeyValue]) -> Attributes {
    let attributes = all.iter().map(|KeyValue { key, value, .. }| {
        let value = match value.as_ref().and_then(|value| value.value.clone()) {
            Some(any_value::Value::StringValue(text)) => text,
            Some(any_value::Value::IntValue(number)) => number.to_string(),
            other => panic!("{key} is {other:?}"),
        };
        (key.clone(), value)
    });
    let attributes: Attributes = attributes.collect();
    assert_eq!(attributes.len(), all.len(), "an attribute occurs twice: {all:?}");
    attributes
}

/// All data points of some requests, in the order of their arrival.
#[derive(Debug, Clone)]
pub(crate) struct Points(pub(crate) Vec<Point>);

impl Points {
    pub(crate) fn of(requests: &[ExportMetricsServiceRequest]) -> Self {
        let mut points = Vec::new();
        for resource in requests.iter().flat_map(|request| &request.resource_metrics) {
            let of_resource = attributes(&resource.resource.as_ref().unwrap().attributes);
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                assert!(!metric.description.is_empty(), "{}", metric.name);
                let mut add = |all: &[KeyValue], (start, at), temporality: Option<i32>, value| {
                    points.push(Point {
                        resource: of_resource.clone(),
                        name: metric.name.clone(),
                        unit: metric.unit.clone(),
                        attributes: attributes(all),
                        start,
                        at,
                        temporality: temporality.map(|number| AggregationTemporality::try_from(number).unwrap()),
                        value,
                    });
                };
                let mut numbers = |points: &[opentelemetry_proto::tonic::metrics::v1::NumberDataPoint], temporality| {
                    for point in points {
                        let number = match point.value.unwrap() {
                            number_data_point::Value::AsDouble(number) => number,
                            number_data_point::Value::AsInt(number) => number as f64,
                        };
                        let times = (point.start_time_unix_nano, point.time_unix_nano);
                        add(&point.attributes, times, temporality, Value::Number(number));
                    }
                };
                match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => numbers(&gauge.data_points, None),
                    Data::Sum(sum) => {
                        assert!(sum.is_monotonic);
                        numbers(&sum.data_points, Some(sum.aggregation_temporality));
                    }
                    Data::ExponentialHistogram(histogram) => {
                        for point in &histogram.data_points {
                            let times = (point.start_time_unix_nano, point.time_unix_nano);
                            let value = Value::Histogram(point.clone());
                            add(&point.attributes, times, Some(histogram.aggregation_temporality), value);
                        }
                    }
                    Data::Summary(summary) => {
                        for point in &summary.data_points {
                            let times = (point.start_time_unix_nano, point.time_unix_nano);
                            add(&point.attributes, times, None, Value::Summary(point.clone()));
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        Self(points)
    }

    /// Returns the points of a metric that have all these attributes.
    pub(crate) fn select(&self, name: &str, wanted: &[(&str, &str)]) -> Self {
        let is_wanted = |point: &&Point| {
            point.name == name
                && wanted.iter().all(|(key, value)| point.attributes.get(*key).is_some_and(|v| v == value))
        };
        Self(self.0.iter().filter(is_wanted).cloned().collect())
    }

    /// Returns the points of each series.
    pub(crate) fn series(&self) -> Vec<Vec<&Point>> {
        let mut series: BTreeMap<_, Vec<&Point>> = BTreeMap::new();
        for point in &self.0 {
            series.entry((&point.resource, &point.name, &point.attributes)).or_default().push(point);
        }
        series.into_values().collect()
    }

    /// Returns the values that count at the end: the last of each cumulative series, and all of a delta series.
    fn whole(&self) -> Vec<&Value> {
        let mut whole = Vec::new();
        for points in self.series() {
            let is_delta = points[0].temporality == Some(AggregationTemporality::Delta);
            let first = if is_delta { 0 } else { points.len() - 1 };
            whole.extend(points[first..].iter().map(|point| &point.value));
        }
        whole
    }

    /// Returns the sum over all series at the end: of numbers, or of counts of distributions.
    pub(crate) fn total(&self) -> f64 {
        self.whole().iter().map(|value| value.number()).sum()
    }

    /// Returns the sum of the sums of histograms at the end, in seconds.
    pub(crate) fn time(&self) -> f64 {
        let sums = self.whole().into_iter().map(|value| match value {
            Value::Histogram(point) => point.sum.unwrap(),
            other => panic!("{other:?}"),
        });
        sums.sum()
    }

    /// Returns a quantile of durations at the end by nearest rank, in seconds: the middle of its bucket.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let (mut buckets, mut zeros) = (BTreeMap::<i32, u64>::new(), 0);
        for value in self.whole() {
            let Value::Histogram(point) = value else { panic!("{value:?}") };
            assert_eq!(point.scale, 9);
            zeros += point.zero_count;
            let Some(positive) = &point.positive else { continue };
            for (index, count) in (positive.offset..).zip(&positive.bucket_counts) {
                *buckets.entry(index).or_default() += count;
            }
        }
        let count = zeros + buckets.values().sum::<u64>();
        let rank = ((count as f64 * quantile).ceil() as u64).max(1);
        let mut reached = zeros;
        for (index, count) in buckets {
            reached += count;
            if reached >= rank {
                let bound = |index: i32| (f64::from(index) / 512.0).exp2();
                return (bound(index) + bound(index + 1)) / 2.0;
            }
        }
        0.0
    }

    /// Asserts what a backend takes for granted: the points of a series go forward in time and never overlap, and what
    /// only grows never shrinks.
    pub(crate) fn assert_consistent(&self) {
        assert!(!self.0.is_empty());
        for series in self.series() {
            for pair in series.windows(2) {
                let (before, after) = (pair[0], pair[1]);
                assert!(before.at < after.at, "a point would be overwritten: {before:?} {after:?}");
                match after.temporality {
                    Some(AggregationTemporality::Delta) => assert!(before.at <= after.start, "{before:?} {after:?}"),
                    Some(_) => {
                        assert_eq!(before.start, after.start);
                        assert!(before.value.number() <= after.value.number(), "{before:?} {after:?}");
                    }
                    None => {}
                }
            }
            for point in series.iter().filter(|point| point.temporality.is_some()) {
                assert!(0 < point.start && point.start < point.at, "{point:?}");
            }
        }
    }
}
