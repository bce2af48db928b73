//! A receiver of OTLP over HTTP and gRPC on one port. It can be killed and started again, and misbehaves on request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use tonic::Status;

/// Behaviour of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Stores everything.
    Accept,
    /// Stores everything after this time.
    Slow(Duration),
    /// Answers 400.
    Refuse,
    /// Answers 503 and asks for a pause of one second, this many times.
    Busy(u32),
    /// Stores everything, and says that three values were rejected.
    Partly,
    /// Never answers.
    Hang,
}

/// What a receiver got and stored.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
    pub(crate) traces: Vec<ExportTraceServiceRequest>,
    /// Headers, or metadata, of all requests.
    pub(crate) headers: Vec<HeaderMap>,
}

#[derive(Clone)]
struct Shared {
    answer: Arc<Mutex<Answer>>,
    received: Arc<Mutex<Received>>,
}

/// A running receiver. Dropping it stops it.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Shared,
    runtime: Option<Runtime>,
}

impl Receiver {
    pub(crate) fn start(answer: Answer) -> Self {
        let shared = Shared { answer: Arc::new(Mutex::new(answer)), received: Arc::default() };
        let mut receiver = Self { address: "127.0.0.1:0".parse().unwrap(), shared, runtime: None };
        receiver.start_again();
        receiver
    }

    /// Listens, on the same port as before.
    pub(crate) fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = {
            let _guard = runtime.enter();
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(self.address).unwrap();
            socket.listen(64).unwrap()
        };
        self.address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/v1/metrics", post(metrics))
            .route("/v1/traces", post(traces))
            .route_service(
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                MetricsServiceServer::new(self.shared.clone()),
            )
            .route_service(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                TraceServiceServer::new(self.shared.clone()),
            )
            .layer(axum::extract::DefaultBodyLimit::max(4 << 20))
            .with_state(self.shared.clone());
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        self.runtime = Some(runtime);
    }

    /// Closes the port and all connections at once.
    pub(crate) fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn received(&self) -> MutexGuard<'_, Received> {
        self.shared.received.lock().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.runtime.is_some() {
            self.kill();
        }
    }
}

impl Shared {
    /// Decides on a request, and stores it if it is accepted. Returns true if it is to be answered with a partial success.
    async fn take(&self, headers: HeaderMap, store: impl FnOnce(&mut Received)) -> Result<bool, Answer> {
        self.received.lock().unwrap().headers.push(headers);
        let answer = *self.answer.lock().unwrap();
        match answer {
            Answer::Accept | Answer::Partly => {}
            Answer::Slow(pause) => tokio::time::sleep(pause).await,
            Answer::Hang => std::future::pending().await,
            Answer::Busy(times) => {
                let next = if times > 1 { Answer::Busy(times - 1) } else { Answer::Accept };
                *self.answer.lock().unwrap() = next;
                return Err(answer);
            }
            Answer::Refuse => return Err(answer),
        }
        store(&mut self.received.lock().unwrap());
        Ok(answer == Answer::Partly)
    }
}

/// `google.rpc.Status`, as OTLP has it in the bodies of refusals.
#[derive(Clone, PartialEq, Message)]
struct Refusal {
    #[prost(int32, tag = 1)]
    code: i32,
    #[prost(string, tag = 2)]
    message: String,
}

fn of_metrics(is_partly: bool) -> ExportMetricsServiceResponse {
    let rejected = ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "too many labels".to_owned() };
    ExportMetricsServiceResponse { partial_success: is_partly.then_some(rejected) }
}

fn over_http(taken: Result<impl Message, Answer>) -> Response {
    match taken {
        Ok(answer) => ([("content-type", "application/x-protobuf")], answer.encode_to_vec()).into_response(),
        Err(Answer::Busy(_)) => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], "busy").into_response(),
        Err(_) => {
            let status = Refusal { code: 3, message: "unknown metric".to_owned() };
            let body = ([("content-type", "application/x-protobuf")], status.encode_to_vec());
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}

fn over_grpc<T>(taken: Result<T, Answer>) -> Result<tonic::Response<T>, Status> {
    taken.map(tonic::Response::new).map_err(|answer| match answer {
        Answer::Busy(_) => Status::unavailable("busy"),
        _ => Status::invalid_argument("unknown metric"),
    })
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else { return over_http(Err::<(), _>(Answer::Refuse)) };
    over_http(shared.take(headers, |received| received.metrics.push(request)).await.map(of_metrics))
}

async fn traces(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return over_http(Err::<(), _>(Answer::Refuse)) };
    let taken = shared.take(headers, |received| received.traces.push(request)).await;
    over_http(taken.map(|_| ExportTraceServiceResponse::default()))
}

#[tonic::async_trait]
impl MetricsService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let taken = self.take(metadata.into_headers(), |received| received.metrics.push(request)).await;
        over_grpc(taken.map(of_metrics))
    }
}

#[tonic::async_trait]
impl TraceService for Shared {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let taken = self.take(metadata.into_headers(), |received| received.traces.push(request)).await;
        over_grpc(taken.map(|_| ExportTraceServiceResponse::default()))
    }
}
