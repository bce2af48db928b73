//! OTLP over gRPC.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use golo::cli::install_provider;
use prost::Message as _;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::check;
use super::messages::{Delay, ErrorDetails, RetryInfo};
use super::settings::{Settings, Signal};
use crate::outputs::delivery::{Courier, Parcel, SendError, Sending};
use crate::outputs::http_courier::shortened;
use crate::support::failure::Failure;

/// Longest time for connecting.
const CONNECT: Duration = Duration::from_secs(5);
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Sends requests over gRPC.
pub(super) struct GrpcCourier {
    endpoint: Endpoint,
    headers: MetadataMap,
    /// The client with its connection. None before the first request, and after one that was given up.
    client: Option<Grpc<Channel>>,
}

impl GrpcCourier {
    /// Creates a courier. It connects with the first request.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL or the certificates of this machine cannot be used.
    pub(super) fn new(settings: Settings) -> Result<Self, Failure> {
        let Settings { url, headers, .. } = settings;
        let no_client = |error| Failure::from(format!("no gRPC client: {}", golo::cli::chain(&error)));
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(no_client)?.connect_timeout(CONNECT);
        let endpoint = match url.scheme() {
            "https" => {
                install_provider();
                endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).map_err(no_client)?
            }
            _ => endpoint,
        };
        Ok(Self { endpoint, headers: MetadataMap::from_headers(headers), client: None })
    }

    async fn export(&mut self, parcel: &Parcel) -> Result<(), SendError> {
        // If the answer takes too long, this future is dropped, and with it a connection that may be dead.
        let mut client = self.client.take().unwrap_or_else(|| Grpc::new(self.endpoint.connect_lazy()));
        let mut request = Request::new(parcel.body.clone());
        *request.metadata_mut() = self.headers.clone();
        let path = PathAndQuery::from_static(if parcel.kind == Signal::Traces.name() { TRACES } else { METRICS });
        let ready = client.ready().await.map_err(|error| Status::from_error(error.into()));
        let answer = match ready {
            Ok(()) => client.unary(request, path, Raw).await,
            Err(status) => Err(status),
        };
        self.client = Some(client);
        match answer {
            Ok(answer) => check(&answer.into_inner()),
            Err(status) => Err(refusal(&status)),
        }
    }
}

impl Courier for GrpcCourier {
    fn send<'a>(&'a mut self, parcel: &'a Parcel) -> Sending<'a> {
        Box::pin(self.export(parcel))
    }
}

/// Returns the error of a failed call. The specification says which codes pass.
fn refusal(status: &Status) -> SendError {
    let said = match std::error::Error::source(status) {
        Some(cause) => golo::cli::chain(cause),
        None if status.message().is_empty() => format!("it answered {:?}", status.code()),
        None => format!("it answered {:?}: {}", status.code(), status.message()),
    };
    let (reason, after) = (shortened(&said), pause(status.details()));
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => SendError::Again(reason, after),
        // Without a pause it means that a quota is used up.
        Code::ResourceExhausted if after.is_some() => SendError::Again(reason, after),
        // The connection was lost.
        _ if std::error::Error::source(status).is_some() => SendError::Again(reason, after),
        _ => SendError::Refused(reason),
    }
}

/// Returns the pause that the details of an error ask for.
fn pause(details: &[u8]) -> Option<Duration> {
    let details = ErrorDetails::decode(details).ok()?.details;
    let detail = details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let Delay { seconds, nanos } = RetryInfo::decode(&*detail.value).ok()?.retry_delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(seconds).unwrap_or_default(), u32::try_from(nanos).unwrap_or_default());
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos.into())))
}

/// Messages that are encoded already.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::Detail;
    use super::*;

    #[test]
    fn only_passing_codes_are_tried_again() {
        let delay = RetryInfo { retry_delay: Some(Delay { seconds: 2, nanos: 500_000_000 }) };
        let detail =
            Detail { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value: delay.encode_to_vec() };
        let details = Bytes::from(ErrorDetails { message: String::new(), details: vec![detail] }.encode_to_vec());
        let busy = Status::with_details(Code::ResourceExhausted, "busy", details);
        let reason = "it answered ResourceExhausted: busy".to_owned();
        assert_eq!(refusal(&busy), SendError::Again(reason.clone(), Some(Duration::from_millis(2500))));
        assert_eq!(refusal(&Status::resource_exhausted("busy")), SendError::Refused(reason));
        let away = SendError::Again("it answered Unavailable".to_owned(), None);
        assert_eq!(refusal(&Status::unavailable("")), away);
        let refused = SendError::Refused("it answered Unauthenticated: no\u{20}token".to_owned());
        assert_eq!(refusal(&Status::unauthenticated("no token")), refused);
        assert_eq!(pause(b"junk"), None);
    }
}
