//! The formats in which Prometheus fetches metrics: text (0.0.4), and protobuf, which also has native histograms.
//!
//! Sources: the Prometheus documentation of the exposition formats, and `metrics.proto` of its client model.

use std::fmt::Write as _;

use prost::Message as _;

use super::buckets::{BOUNDS, Exponential, classic};
use super::families::{Family, Kind, QUANTILES, Value, seconds};
use super::frame::RunLabels;
use super::prometheus::{Native, SCHEMA, labels, name, samples};

/// Content type of the text.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Content type of the protobuf format.
pub const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text with classic histograms.
    Text,
    /// Protobuf with classic and native histograms.
    Protobuf,
}

impl Format {
    /// Returns the format that a client prefers, from its header `Accept`.
    #[must_use]
    pub fn preferred(accept: &str) -> Self {
        let mut best = (Self::Text, 0.0);
        for entry in accept.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let parts: Vec<_> = parts.collect();
            let weight = parts.iter().find_map(|part| part.strip_prefix("q=")?.parse::<f64>().ok()).unwrap_or(1.0);
            let has = |wanted: &str| parts.iter().any(|part| part.eq_ignore_ascii_case(wanted));
            let is_protobuf = kind == "application/vnd.google.protobuf"
                && has("proto=io.prometheus.client.MetricFamily")
                && has("encoding=delimited");
            let format = match kind {
                _ if is_protobuf => Self::Protobuf,
                "text/plain" | "text/*" | "*/*" | "application/openmetrics-text" => Self::Text,
                _ => continue,
            };
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// Returns the content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT,
            Self::Protobuf => PROTOBUF,
        }
    }

    /// Writes metrics.
    #[must_use]
    pub fn write(self, run: &RunLabels, families: &[Family<'_>]) -> Vec<u8> {
        match self {
            Self::Text => text(run, families).into_bytes(),
            Self::Protobuf => {
                families.iter().flat_map(|family| protobuf(run, family).encode_length_delimited_to_vec()).collect()
            }
        }
    }
}

/// Returns the word for a kind.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
    }
}

fn text(run: &RunLabels, families: &[Family<'_>]) -> String {
    let mut text = String::new();
    for family in families {
        let name = name(family);
        // Writing to a string never fails.
        _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", family.help, kind(family.kind));
        for (series, value) in &family.series {
            let mut prefix = String::new();
            for (name, value) in labels(run, series) {
                _ = write!(prefix, "{name}=\"{}\",", escaped(value));
            }
            samples(family.kind, value, |sample| {
                _ = write!(text, "{name}{}{{{prefix}", sample.suffix);
                if let Some((name, value)) = &sample.label {
                    _ = write!(text, "{name}=\"{value}\"");
                } else {
                    // The comma after the last label.
                    text.pop();
                }
                _ = writeln!(text, "}} {}", sample.value);
            });
        }
    }
    text
}

/// Returns the value of a label between quotation marks.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn protobuf(run: &RunLabels, family: &Family<'_>) -> pb::MetricFamily {
    let metric = |(series, value): &(_, Value<'_>)| {
        let label = labels(run, series).into_iter();
        let label = label.map(|(name, value)| pb::LabelPair { name: name.to_owned(), value: value.to_owned() });
        let mut metric = pb::Metric { label: label.collect(), ..pb::Metric::default() };
        let number = match value {
            Value::Count(count) => *count as f64,
            Value::Number(number) => *number,
            Value::Summary { count, sum, quantiles } => {
                let quantile = QUANTILES.iter().zip(quantiles);
                let quantile = quantile.map(|(quantile, value)| pb::Quantile { quantile: *quantile, value: *value });
                metric.summary =
                    Some(pb::Summary { sample_count: *count, sample_sum: *sum, quantile: quantile.collect() });
                return metric;
            }
            Value::Histogram(histogram) => {
                metric.histogram = Some(native_and_classic(histogram));
                return metric;
            }
        };
        match family.kind {
            Kind::Counter => metric.counter = Some(pb::Number { value: number }),
            _ => metric.gauge = Some(pb::Number { value: number }),
        }
        metric
    };
    pb::MetricFamily {
        name: name(family),
        help: family.help.to_owned(),
        kind: match family.kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Summary => 2,
            Kind::Histogram => 4,
        },
        metric: family.series.iter().map(metric).collect(),
    }
}

fn native_and_classic(histogram: &golo::engine::histogram::Histogram) -> pb::Histogram {
    let exponential = Exponential::of(histogram, SCHEMA);
    let Native { spans, deltas } = Native::from(&exponential);
    let counts = classic(histogram).into_iter().zip(BOUNDS);
    let bucket =
        counts.map(|(count, bound)| pb::Bucket { cumulative_count: count, upper_bound: seconds(bound.into()) });
    let infinite = pb::Bucket { cumulative_count: histogram.count(), upper_bound: f64::INFINITY };
    pb::Histogram {
        sample_count: histogram.count(),
        sample_sum: seconds(histogram.sum()),
        bucket: bucket.chain([infinite]).collect(),
        schema: Some(SCHEMA.into()),
        zero_threshold: Some(0.0),
        zero_count: Some(exponential.zeros),
        positive_span: spans.into_iter().map(|(offset, length)| pb::Span { offset, length }).collect(),
        positive_delta: deltas,
    }
}

/// Messages of the protobuf format.
mod pb {
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct LabelPair {
        #[prost(string, tag = 1)]
        pub(super) name: String,
        #[prost(string, tag = 2)]
        pub(super) value: String,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Number {
        #[prost(double, tag = 1)]
        pub(super) value: f64,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Quantile {
        #[prost(double, tag = 1)]
        pub(super) quantile: f64,
        #[prost(double, tag = 2)]
        pub(super) value: f64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Summary {
        #[prost(uint64, tag = 1)]
        pub(super) sample_count: u64,
        #[prost(double, tag = 2)]
        pub(super) sample_sum: f64,
        #[prost(message, repeated, tag = 3)]
        pub(super) quantile: Vec<Quantile>,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Bucket {
        #[prost(uint64, tag = 1)]
        pub(super) cumulative_count: u64,
        #[prost(double, tag = 2)]
        pub(super) upper_bound: f64,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Span {
        #[prost(sint32, tag = 1)]
        pub(super) offset: i32,
        #[prost(uint32, tag = 2)]
        pub(super) length: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Histogram {
        #[prost(uint64, tag = 1)]
        pub(super) sample_count: u64,
        #[prost(double, tag = 2)]
        pub(super) sample_sum: f64,
        #[prost(message, repeated, tag = 3)]
        pub(super) bucket: Vec<Bucket>,
        #[prost(sint32, optional, tag = 5)]
        pub(super) schema: Option<i32>,
        #[prost(double, optional, tag = 6)]
        pub(super) zero_threshold: Option<f64>,
        #[prost(uint64, optional, tag = 7)]
        pub(super) zero_count: Option<u64>,
        #[prost(message, repeated, tag = 12)]
        pub(super) positive_span: Vec<Span>,
        #[prost(sint64, repeated, tag = 13)]
        pub(super) positive_delta: Vec<i64>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Metric {
        #[prost(message, repeated, tag = 1)]
        pub(super) label: Vec<LabelPair>,
        #[prost(message, optional, tag = 2)]
        pub(super) gauge: Option<Number>,
        #[prost(message, optional, tag = 3)]
        pub(super) counter: Option<Number>,
        #[prost(message, optional, tag = 4)]
        pub(super) summary: Option<Summary>,
        #[prost(message, optional, tag = 7)]
        pub(super) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct MetricFamily {
        #[prost(string, tag = 1)]
        pub(super) name: String,
        #[prost(string, tag = 2)]
        pub(super) help: String,
        #[prost(int32, tag = 3)]
        pub(super) kind: i32,
        #[prost(message, repeated, tag = 4)]
        pub(super) metric: Vec<Metric>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::families::Unit;

    #[test]
    fn client_gets_the_format_that_it_prefers() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let text = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7,*/*;q=0.1";
        for (accept, expected) in [
            (format!("{protobuf},{text}"), Format::Protobuf),
            (format!("{text},{protobuf};q=0.2"), Format::Text),
            (text.to_owned(), Format::Text),
            (String::new(), Format::Text),
            ("application/vnd.google.protobuf".to_owned(), Format::Text),
        ] {
            assert_eq!(Format::preferred(&accept), expected, "{accept}");
        }
    }

    #[test]
    fn text_escapes_values_and_has_suffixes() {
        let run =
            RunLabels { run: "7".to_owned(), job: "a\"b\\c\nd".to_owned(), load_test: String::new(), agent: None };
        let family = Family {
            name: "golo_http_received".into(),
            help: "Bytes.",
            unit: Unit::Bytes,
            kind: Kind::Counter,
            series: vec![(vec![("method".into(), "GET".into())], Value::Count(5))],
        };
        let expected = "# HELP golo_http_received_bytes_total Bytes.\n# TYPE golo_http_received_bytes_total counter\n\
                        golo_http_received_bytes_total{job=\"a\\\"b\\\\c\\nd\",method=\"GET\",run=\"7\"} 5\n";
        assert_eq!(text(&run, &[family]), expected);
    }
}
