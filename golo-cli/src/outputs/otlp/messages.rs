//! The messages of OTLP that golo sends and reads, as the protobuf files of OpenTelemetry number their fields.
//!
//! They are declared here because the crate `opentelemetry-proto` needs the whole OpenTelemetry SDK. The tests read what
//! golo sends with that crate.

use prost::{Message, Oneof};

/// Value of `aggregation_temporality`.
pub const DELTA: i32 = 1;
/// Value of `aggregation_temporality`.
pub const CUMULATIVE: i32 = 2;

/// Body of an export of metrics.
#[derive(Clone, PartialEq, Message)]
pub struct MetricsRequest {
    /// Metrics by resource.
    #[prost(message, repeated, tag = 1)]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// Metrics of a resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceMetrics {
    /// The resource.
    #[prost(message, optional, tag = 1)]
    pub resource: Option<Resource>,
    /// Metrics by scope.
    #[prost(message, repeated, tag = 2)]
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// Metrics of a scope.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeMetrics {
    /// The scope.
    #[prost(message, optional, tag = 1)]
    pub scope: Option<Scope>,
    /// The metrics.
    #[prost(message, repeated, tag = 2)]
    pub metrics: Vec<Metric>,
}

/// Origin of telemetry: a run.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// Names and values.
    #[prost(message, repeated, tag = 1)]
    pub attributes: Vec<KeyValue>,
}

/// Program that produces telemetry: golo.
#[derive(Clone, PartialEq, Message)]
pub struct Scope {
    /// Name of the program.
    #[prost(string, tag = 1)]
    pub name: String,
    /// Version of the program.
    #[prost(string, tag = 2)]
    pub version: String,
}

/// An attribute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct KeyValue {
    /// Name.
    #[prost(string, tag = 1)]
    pub key: String,
    /// Value.
    #[prost(message, optional, tag = 2)]
    pub value: Option<AnyValue>,
}

/// Value of an attribute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct AnyValue {
    /// The value.
    #[prost(oneof = "Any", tags = "1, 3")]
    pub value: Option<Any>,
}

/// Kinds of values of attributes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Oneof)]
pub enum Any {
    /// A text.
    #[prost(string, tag = 1)]
    Text(String),
    /// An integer.
    #[prost(int64, tag = 3)]
    Integer(i64),
}

/// A metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Name.
    #[prost(string, tag = 1)]
    pub name: String,
    /// One sentence.
    #[prost(string, tag = 2)]
    pub description: String,
    /// Unit in UCUM.
    #[prost(string, tag = 3)]
    pub unit: String,
    /// Data points.
    #[prost(oneof = "Data", tags = "5, 7, 10, 11")]
    pub data: Option<Data>,
}

/// Data points of a metric.
#[derive(Clone, PartialEq, Oneof)]
pub enum Data {
    /// Numbers that go up and down.
    #[prost(message, tag = 5)]
    Gauge(Gauge),
    /// Numbers that only grow.
    #[prost(message, tag = 7)]
    Sum(Sum),
    /// Distributions with buckets.
    #[prost(message, tag = 10)]
    Histogram(ExponentialHistogram),
    /// Distributions with quantiles.
    #[prost(message, tag = 11)]
    Summary(Summary),
}

/// Data points of a gauge.
#[derive(Clone, PartialEq, Message)]
pub struct Gauge {
    /// The points.
    #[prost(message, repeated, tag = 1)]
    pub data_points: Vec<NumberPoint>,
}

/// Data points of a sum.
#[derive(Clone, PartialEq, Message)]
pub struct Sum {
    /// The points.
    #[prost(message, repeated, tag = 1)]
    pub data_points: Vec<NumberPoint>,
    /// [`DELTA`] or [`CUMULATIVE`].
    #[prost(int32, tag = 2)]
    pub aggregation_temporality: i32,
    /// True if the sum only grows.
    #[prost(bool, tag = 3)]
    pub is_monotonic: bool,
}

/// Data points of an exponential histogram.
#[derive(Clone, PartialEq, Message)]
pub struct ExponentialHistogram {
    /// The points.
    #[prost(message, repeated, tag = 1)]
    pub data_points: Vec<HistogramPoint>,
    /// [`DELTA`] or [`CUMULATIVE`].
    #[prost(int32, tag = 2)]
    pub aggregation_temporality: i32,
}

/// Data points of a summary.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The points.
    #[prost(message, repeated, tag = 1)]
    pub data_points: Vec<SummaryPoint>,
}

/// A number at a time. Times are nanoseconds since the Unix epoch.
#[derive(Clone, PartialEq, Message)]
pub struct NumberPoint {
    /// Names and values.
    #[prost(message, repeated, tag = 7)]
    pub attributes: Vec<KeyValue>,
    /// Start of the time of which it tells.
    #[prost(fixed64, tag = 2)]
    pub start_time_unix_nano: u64,
    /// End of that time.
    #[prost(fixed64, tag = 3)]
    pub time_unix_nano: u64,
    /// The number.
    #[prost(oneof = "Number", tags = "4, 6")]
    pub value: Option<Number>,
}

/// Kinds of numbers.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Number {
    /// Any number.
    #[prost(double, tag = 4)]
    Double(f64),
    /// An integer.
    #[prost(sfixed64, tag = 6)]
    Integer(i64),
}

/// A distribution at a time. Times are nanoseconds since the Unix epoch.
#[derive(Clone, PartialEq, Message)]
pub struct HistogramPoint {
    /// Names and values.
    #[prost(message, repeated, tag = 1)]
    pub attributes: Vec<KeyValue>,
    /// Start of the time of which it tells.
    #[prost(fixed64, tag = 2)]
    pub start_time_unix_nano: u64,
    /// End of that time.
    #[prost(fixed64, tag = 3)]
    pub time_unix_nano: u64,
    /// Number of values.
    #[prost(fixed64, tag = 4)]
    pub count: u64,
    /// Sum of the values.
    #[prost(double, optional, tag = 5)]
    pub sum: Option<f64>,
    /// Neighbouring bounds have the ratio 2^(2^-scale).
    #[prost(sint32, tag = 6)]
    pub scale: i32,
    /// Number of values that are zero.
    #[prost(fixed64, tag = 7)]
    pub zero_count: u64,
    /// Buckets of values above zero.
    #[prost(message, optional, tag = 8)]
    pub positive: Option<Buckets>,
    /// Lowest value.
    #[prost(double, optional, tag = 12)]
    pub min: Option<f64>,
    /// Highest value.
    #[prost(double, optional, tag = 13)]
    pub max: Option<f64>,
}

/// Neighbouring buckets.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Buckets {
    /// Index of the first bucket.
    #[prost(sint32, tag = 1)]
    pub offset: i32,
    /// Number of values in each bucket.
    #[prost(uint64, repeated, tag = 2)]
    pub bucket_counts: Vec<u64>,
}

/// Quantiles at a time. Times are nanoseconds since the Unix epoch.
#[derive(Clone, PartialEq, Message)]
pub struct SummaryPoint {
    /// Names and values.
    #[prost(message, repeated, tag = 7)]
    pub attributes: Vec<KeyValue>,
    /// Start of the time of which it tells.
    #[prost(fixed64, tag = 2)]
    pub start_time_unix_nano: u64,
    /// End of that time.
    #[prost(fixed64, tag = 3)]
    pub time_unix_nano: u64,
    /// Number of values.
    #[prost(fixed64, tag = 4)]
    pub count: u64,
    /// Sum of the values.
    #[prost(double, tag = 5)]
    pub sum: f64,
    /// The quantiles.
    #[prost(message, repeated, tag = 6)]
    pub quantile_values: Vec<Quantile>,
}

/// A quantile.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Quantile {
    /// Share of the values, from 0 to 1.
    #[prost(double, tag = 1)]
    pub quantile: f64,
    /// The value.
    #[prost(double, tag = 2)]
    pub value: f64,
}

/// Body of an export of traces.
#[derive(Clone, PartialEq, Message)]
pub struct TracesRequest {
    /// Spans by resource.
    #[prost(message, repeated, tag = 1)]
    pub resource_spans: Vec<ResourceSpans>,
}

/// Spans of a resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// The resource.
    #[prost(message, optional, tag = 1)]
    pub resource: Option<Resource>,
    /// Spans by scope.
    #[prost(message, repeated, tag = 2)]
    pub scope_spans: Vec<ScopeSpans>,
}

/// Spans of a scope.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The scope.
    #[prost(message, optional, tag = 1)]
    pub scope: Option<Scope>,
    /// The spans.
    #[prost(message, repeated, tag = 2)]
    pub spans: Vec<Span>,
}

/// A part of a trace. Times are nanoseconds since the Unix epoch.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// ID of the trace, in 16 bytes.
    #[prost(bytes = "vec", tag = 1)]
    pub trace_id: Vec<u8>,
    /// ID of the span, in 8 bytes.
    #[prost(bytes = "vec", tag = 2)]
    pub span_id: Vec<u8>,
    /// ID of the span that contains this one. Empty for a root.
    #[prost(bytes = "vec", tag = 4)]
    pub parent_span_id: Vec<u8>,
    /// Name.
    #[prost(string, tag = 5)]
    pub name: String,
    /// [`INTERNAL`] or [`CLIENT`].
    #[prost(int32, tag = 6)]
    pub kind: i32,
    /// Start.
    #[prost(fixed64, tag = 7)]
    pub start_time_unix_nano: u64,
    /// End.
    #[prost(fixed64, tag = 8)]
    pub end_time_unix_nano: u64,
    /// Names and values.
    #[prost(message, repeated, tag = 9)]
    pub attributes: Vec<KeyValue>,
    /// Events.
    #[prost(message, repeated, tag = 11)]
    pub events: Vec<SpanEvent>,
    /// Present if the span failed.
    #[prost(message, optional, tag = 15)]
    pub status: Option<SpanStatus>,
    /// Flags of W3C trace context.
    #[prost(fixed32, tag = 16)]
    pub flags: u32,
}

/// Value of `kind` for something within a process.
pub const INTERNAL: i32 = 1;
/// Value of `kind` for a request to another process.
pub const CLIENT: i32 = 3;

/// A moment of a span.
#[derive(Clone, PartialEq, Message)]
pub struct SpanEvent {
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = 1)]
    pub time_unix_nano: u64,
    /// Name.
    #[prost(string, tag = 2)]
    pub name: String,
    /// Names and values.
    #[prost(message, repeated, tag = 3)]
    pub attributes: Vec<KeyValue>,
}

/// Outcome of a span.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpanStatus {
    /// Reason of a failure.
    #[prost(string, tag = 2)]
    pub message: String,
    /// [`ERROR`].
    #[prost(int32, tag = 3)]
    pub code: i32,
}

/// Value of `code` for a failure.
pub const ERROR: i32 = 2;

/// Answer to an export of metrics or of traces.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ExportResponse {
    /// Present if a part was rejected, or if the receiver has a warning.
    #[prost(message, optional, tag = 1)]
    pub partial_success: Option<PartialSuccess>,
}

/// The rejected part of an export.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PartialSuccess {
    /// Number of rejected data points, or of spans.
    #[prost(int64, tag = 1)]
    pub rejected: i64,
    /// Reason.
    #[prost(string, tag = 2)]
    pub error_message: String,
}

/// Error of a receiver: the body of a refusal over HTTP, and the details of one over gRPC.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ErrorDetails {
    /// Reason.
    #[prost(string, tag = 2)]
    pub message: String,
    /// Messages of any type.
    #[prost(message, repeated, tag = 3)]
    pub details: Vec<Detail>,
}

/// A message of any type.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Detail {
    /// Name of the type after a `/`.
    #[prost(string, tag = 1)]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "vec", tag = 2)]
    pub value: Vec<u8>,
}

/// The detail by which a receiver asks to send the same again.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct RetryInfo {
    /// Shortest pause before that.
    #[prost(message, optional, tag = 1)]
    pub retry_delay: Option<Delay>,
}

/// A duration.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Delay {
    /// Whole seconds.
    #[prost(int64, tag = 1)]
    pub seconds: i64,
    /// Nanoseconds.
    #[prost(int32, tag = 2)]
    pub nanos: i32,
}
