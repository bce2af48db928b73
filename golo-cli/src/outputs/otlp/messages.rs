//! The messages of OTLP, from the crate `opentelemetry-proto`, under the names that golo uses, and those of `google.rpc`
//! with which a receiver over gRPC says when to try again.

use prost::Message;

pub use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess as PartialSuccess;
pub use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as MetricsRequest;
pub use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse as ExportResponse;
pub use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as TracesRequest;
pub use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
pub use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope as Scope, KeyValue};
pub use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
pub use opentelemetry_proto::tonic::metrics::v1::metric::Data;
pub use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
pub use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile as Quantile;
pub use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint as HistogramPoint, Gauge, Metric,
    NumberDataPoint as NumberPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint as SummaryPoint,
};
pub use opentelemetry_proto::tonic::resource::v1::Resource;
pub use opentelemetry_proto::tonic::trace::v1::span::{Event as SpanEvent, SpanKind};
pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
pub use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status as SpanStatus};

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
