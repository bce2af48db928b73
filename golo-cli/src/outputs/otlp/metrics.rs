//! Seconds of a run as requests with OTLP metrics.

use golo::engine::histogram::Histogram;
use golo::engine::snapshot::Snapshot;
use golo::wire::unix_nanoseconds;
use prost::Message;

use super::messages::{
    AggregationTemporality, Any, AnyValue, Buckets, Data, ExponentialHistogram, Gauge, HistogramPoint, KeyValue,
    Metric, MetricsRequest, Number, NumberPoint, Quantile, Resource, ResourceMetrics, Scope, ScopeMetrics, Sum,
    Summary, SummaryPoint,
};
use super::settings::{Signal, Temporality};
use super::{semantic, units};
use crate::outputs::buckets::Exponential;
use crate::outputs::delivery::Parcel;
use crate::outputs::exports::Encoder;
use crate::outputs::families::{Extent, Family, Kind, Labels, QUANTILES, Value, seconds};
use crate::outputs::frame::{Frame, RunLabels};

/// Scale of the histograms: neighbouring bounds have the ratio 2^(1/512), so the middle of a bucket is off by at most
/// 0.068 %.
pub const SCALE: u8 = 9;
/// Largest number of data points in a request.
const POINTS: usize = 5000;
/// Largest size of a request, in bytes. Receivers of gRPC accept 4 MiB by default.
const BYTES: usize = 2_000_000;
/// Bytes of a metric without its texts and data points, at most.
const FRAME: usize = 64;

/// Encodes the metrics of each second.
#[derive(Debug, Clone, Copy)]
pub struct MetricsEncoder {
    temporality: Temporality,
}

impl MetricsEncoder {
    /// Creates an encoder of data points that tell of this time.
    #[must_use]
    pub fn new(temporality: Temporality) -> Self {
        Self { temporality }
    }
}

impl Encoder for MetricsEncoder {
    fn encode(&mut self, frame: &Frame<'_>) -> Vec<Parcel> {
        let (extent, start, snapshot) = match self.temporality {
            Temporality::Cumulative => (Extent::Totals, frame.started, frame.totals),
            Temporality::Delta => (Extent::Second, frame.since, frame.second),
        };
        let times = Times { start: unix_nanoseconds(start), end: unix_nanoseconds(frame.at) };
        let mut batches = Batches::new(self.temporality, resource(frame.labels));
        for family in frame.families(extent) {
            batches.family(family, times, snapshot);
        }
        let points = semantic::durations(snapshot).map(|(attributes, histogram)| point(attributes, times, &histogram));
        batches.histogram(&semantic::head(), points.collect());
        batches.finish()
    }
}

/// Start and end of the time of which data points tell, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
struct Times {
    start: u64,
    end: u64,
}

/// Returns an attribute with a text.
pub(super) fn text(key: impl Into<String>, value: impl Into<String>) -> KeyValue {
    attribute(key.into(), Any::StringValue(value.into()))
}

/// Returns an attribute with an integer.
pub(super) fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key.to_owned(), Any::IntValue(value))
}

fn attribute(key: String, value: Any) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Returns the attributes of a run.
pub(super) fn resource(labels: &RunLabels) -> Resource {
    let of_run = labels.pairs().map(|(name, value)| text(format!("golo.{name}"), value));
    let service = [text("service.name", &labels.load_test), text("service.instance.id", &labels.run)];
    Resource { attributes: service.into_iter().chain(of_run).collect(), ..Resource::default() }
}

/// Returns the scope of all telemetry of golo.
pub(super) fn scope() -> Scope {
    Scope { name: "golo".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Scope::default() }
}

/// Name, description and unit of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) description: &'static str,
    pub(super) unit: String,
}

/// Requests with a limited number of data points.
struct Batches {
    temporality: i32,
    resource: Resource,
    /// Metrics of the next request.
    metrics: Vec<Metric>,
    points: usize,
    bytes: usize,
    done: Vec<Parcel>,
}

impl Batches {
    fn new(temporality: Temporality, resource: Resource) -> Self {
        let temporality = match temporality {
            Temporality::Cumulative => AggregationTemporality::Cumulative,
            Temporality::Delta => AggregationTemporality::Delta,
        };
        let temporality = temporality.into();
        Self { temporality, resource, metrics: Vec::new(), points: 0, bytes: 0, done: Vec::new() }
    }

    fn family(&mut self, family: &Family<'_>, times: Times, snapshot: &Snapshot) {
        let head =
            Head { name: units::name(family), description: family.help, unit: units::of(family, &snapshot.metrics) };
        let (mut numbers, mut histograms, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
        for (labels, value) in &family.series {
            let attributes = attributes(labels);
            let number = |value| NumberPoint {
                attributes: attributes.clone(),
                // A gauge tells of a moment.
                start_time_unix_nano: if family.kind == Kind::Gauge { 0 } else { times.start },
                time_unix_nano: times.end,
                value: Some(value),
                ..NumberPoint::default()
            };
            match value {
                Value::Count(count) => {
                    numbers.push(number(Number::AsInt(i64::try_from(*count).unwrap_or(i64::MAX))));
                }
                Value::Number(value) => numbers.push(number(Number::AsDouble(*value))),
                Value::Histogram(histogram) => histograms.push(point(attributes, times, histogram)),
                Value::Summary { count, sum, quantiles } => summaries.push(SummaryPoint {
                    attributes,
                    start_time_unix_nano: times.start,
                    time_unix_nano: times.end,
                    count: *count,
                    sum: *sum,
                    quantile_values: QUANTILES
                        .iter()
                        .zip(quantiles)
                        .map(|(quantile, value)| Quantile { quantile: *quantile, value: *value })
                        .collect(),
                    ..SummaryPoint::default()
                }),
            }
        }
        let aggregation_temporality = self.temporality;
        match family.kind {
            Kind::Gauge => self.add(&head, numbers, |data_points| Data::Gauge(Gauge { data_points })),
            _ => self.add(&head, numbers, |data_points| {
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
            }),
        }
        self.histogram(&head, histograms);
        self.add(&head, summaries, |data_points| Data::Summary(Summary { data_points }));
    }

    fn histogram(&mut self, head: &Head, points: Vec<HistogramPoint>) {
        let aggregation_temporality = self.temporality;
        self.add(head, points, |data_points| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
        });
    }

    /// Adds data points of a metric. A metric that does not fit into a request is divided.
    fn add<P: Message>(&mut self, head: &Head, points: Vec<P>, data: impl Fn(Vec<P>) -> Data) {
        let mut points = points.into_iter().peekable();
        while points.peek().is_some() {
            self.bytes += FRAME + head.name.len() + head.description.len() + head.unit.len();
            let part: Vec<P> =
                std::iter::from_fn(|| points.next_if(|point| self.has_room(point.encoded_len()))).collect();
            if !part.is_empty() {
                let Head { name, description, unit } = head.clone();
                let (description, data) = (description.to_owned(), Some(data(part)));
                self.metrics.push(Metric { name, description, unit, data, ..Metric::default() });
            }
            if points.peek().is_some() {
                self.end_request();
            }
        }
    }

    /// Takes room for a data point, if there is enough. The first always fits.
    fn has_room(&mut self, bytes: usize) -> bool {
        let has_room = self.points == 0 || (self.points < POINTS && self.bytes + bytes + FRAME <= BYTES);
        if has_room {
            self.points += 1;
            self.bytes += bytes;
        }
        has_room
    }

    fn end_request(&mut self) {
        let metrics = std::mem::take(&mut self.metrics);
        (self.points, self.bytes) = (0, 0);
        if metrics.is_empty() {
            return;
        }
        let resource = Some(self.resource.clone());
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
        let of_run = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
        let request = MetricsRequest { resource_metrics: vec![of_run] };
        self.done.push(Parcel { kind: Signal::Metrics.name(), body: request.encode_to_vec().into() });
    }

    fn finish(mut self) -> Vec<Parcel> {
        self.end_request();
        self.done
    }
}

fn attributes(labels: &Labels<'_>) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(&**name, &**value)).collect()
}

/// Returns durations as a data point, in seconds.
fn point(attributes: Vec<KeyValue>, times: Times, histogram: &Histogram) -> HistogramPoint {
    let exponential = Exponential::of(histogram, SCALE);
    let positive = exponential.indices().map(|indices| {
        let offset = *indices.start();
        let mut bucket_counts = vec![0; indices.count()];
        for (index, count) in &exponential.buckets {
            bucket_counts[(index - offset) as usize] = *count;
        }
        Buckets { offset, bucket_counts }
    });
    HistogramPoint {
        attributes,
        start_time_unix_nano: times.start,
        time_unix_nano: times.end,
        count: histogram.count(),
        sum: Some(seconds(histogram.sum())),
        scale: SCALE.into(),
        zero_count: exponential.zeros,
        positive,
        min: histogram.min().map(|min| seconds(min.into())),
        max: histogram.max().map(|max| seconds(max.into())),
        ..HistogramPoint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(points: usize, length: usize) -> Vec<MetricsRequest> {
        let head = Head { name: "a".to_owned(), description: "", unit: String::new() };
        let mut batches = Batches::new(Temporality::Delta, Resource::default());
        for _ in 0..3 {
            let point = NumberPoint { attributes: vec![text("key", "x".repeat(length))], ..NumberPoint::default() };
            batches.add(&head, vec![point; points], |data_points| Data::Gauge(Gauge { data_points }));
        }
        batches.finish().iter().map(|parcel| MetricsRequest::decode(&*parcel.body).unwrap()).collect()
    }

    fn points(request: &MetricsRequest) -> usize {
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        metrics
            .iter()
            .map(|metric| match &metric.data {
                Some(Data::Gauge(gauge)) => gauge.data_points.len(),
                _ => 0,
            })
            .sum()
    }

    #[test]
    fn requests_are_limited_and_lose_no_data_point() {
        let numbers = |requests: &[MetricsRequest]| requests.iter().map(points).collect::<Vec<_>>();
        assert_eq!(numbers(&batches(10, 1)), [30]);
        assert_eq!(numbers(&batches(4000, 1)), [5000, 5000, 2000]);
        let long = batches(60, 30_000);
        assert_eq!(numbers(&long).iter().sum::<usize>(), 180);
        assert!(long.iter().all(|request| request.encoded_len() <= BYTES), "{:?}", numbers(&long));
        assert_eq!(numbers(&batches(1, 3_000_000)), [1, 1, 1]);
    }

    #[test]
    fn histogram_keeps_count_sum_extremes_and_zeros() {
        let mut histogram = Histogram::new();
        for nanoseconds in [0, 1_000_000, 1_000_000, 2_000_000_000] {
            histogram.record(nanoseconds);
        }
        let point = point(Vec::new(), Times { start: 1, end: 2 }, &histogram);
        assert_eq!((point.count, point.zero_count, point.scale), (4, 1, 9));
        assert_eq!((point.sum, point.min, point.max), (Some(2.002), Some(0.0), Some(2.0)));
        let buckets = point.positive.unwrap();
        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), 3);
        assert_eq!((buckets.bucket_counts.first(), buckets.bucket_counts.last()), (Some(&2), Some(&1)));
        let bound = |index: i32| (f64::from(index) / 512.0).exp2();
        assert!(bound(buckets.offset) < 0.001 && 0.001 <= bound(buckets.offset + 1));
    }
}
