//! Calls of tonic clients, measured by `golo::grpc_layer`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/requests.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use golo::pb::Context;
use golo::{GrpcService, Output};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use self::support::{serve, triggered};

type Message = Context;
type Codec = ProstCodec<Message, Message>;

fn message(text: &str) -> Message {
    Message { job_name: text.to_owned(), ..Message::default() }
}

/// Answers by the text of the message.
async fn unary(request: Request<Message>) -> Result<Response<Message>, Status> {
    match &*request.into_inner().job_name {
        "missing" => Err(Status::not_found("no `missing`")),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Err(Status::internal("nobody waits that long"))
        }
        text => Ok(Response::new(message(text))),
    }
}

type Messages = ReceiverStream<Result<Message, Status>>;

/// Sends three messages, and then the status that the request names.
async fn stream(request: Request<Message>) -> Result<Response<Messages>, Status> {
    let (sender, messages) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for number in 1..=3 {
            let _ = sender.send(Ok(message(&number.to_string()))).await;
        }
        if request.into_inner().job_name == "fail" {
            let _ = sender.send(Err(Status::aborted("after three"))).await;
        }
    });
    Ok(Response::new(ReceiverStream::new(messages)))
}

async fn route(request: http::Request<hyper::body::Incoming>) -> Result<http::Response<tonic::body::Body>, Infallible> {
    let mut server = tonic::server::Grpc::new(Codec::default());
    Ok(match request.uri().path() {
        "/test.Echo/Unary" => server.unary(tower::service_fn(unary), request).await,
        "/test.Echo/Stream" => server.server_streaming(tower::service_fn(stream), request).await,
        "/test.Echo/Bare" => http::Response::new(tonic::body::Body::empty()),
        "/test.Echo/Busy" => {
            let mut busy = http::Response::new(tonic::body::Body::empty());
            *busy.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            busy
        }
        "/test.Echo/Proxy" => page(http::StatusCode::SERVICE_UNAVAILABLE, "<html>no server</html>"),
        "/test.Echo/Page" => page(http::StatusCode::OK, "<html>hello</html>"),
        "/test.Echo/Garbage" => page(http::StatusCode::OK, "\0\0\0\0\u{3}\u{7}\u{7}\u{7}"),
        _ => Status::unimplemented("no such method").into_http(),
    })
}

/// A response with a body that no method of gRPC sends.
fn page(status: http::StatusCode, text: &'static str) -> http::Response<tonic::body::Body> {
    let mut response = http::Response::new(tonic::body::Body::new(text.to_owned()));
    *response.status_mut() = status;
    response
}

async fn server() -> SocketAddr {
    let served = serve(|connection| async move {
        let service = TowerToHyperService::new(tower::service_fn(route));
        let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(connection), service).await;
    });
    served.await
}

type Client = Grpc<GrpcService<Channel>>;

/// Connects to a server, and calls it with the layer as one trigger. Returns the result and the only output.
async fn called<T, F>(call: impl FnOnce(Client) -> F + Send + 'static) -> (T, Output)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let address = server().await;
    let url = format!("http://{address}");
    let channel = Endpoint::try_from(url.clone()).unwrap().connect().await.unwrap();
    let origin = url.clone();
    let (result, mut outputs) = triggered(async move {
        let mut client = Grpc::new(golo::grpc_layer("journey").origin(&origin).wrap(channel));
        client.ready().await.unwrap();
        call(client).await
    })
    .await;
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    let output = outputs.remove(0);
    let route = output.route.clone().unwrap();
    assert_eq!((&*output.sequence_id, &*output.method), ("journey", "POST"));
    assert_eq!(output.url, url + &route);
    (result, output)
}

async fn call(mut client: Client, path: &'static str, text: &str) -> Result<Response<Message>, Status> {
    let path = http::uri::PathAndQuery::from_static(path);
    client.unary(Request::new(message(text)), path, Codec::default()).await
}

async fn open(mut client: Client, text: &str) -> tonic::Streaming<Message> {
    let path = http::uri::PathAndQuery::from_static("/test.Echo/Stream");
    client.server_streaming(Request::new(message(text)), path, Codec::default()).await.unwrap().into_inner()
}

/// Bytes of a message: its prefix, the field's head, and the text.
fn bytes(text: &str) -> u64 {
    5 + 2 + text.len() as u64
}

#[tokio::test]
async fn unary_call_is_recorded_with_its_bytes() {
    let (answer, output) = called(|client| call(client, "/test.Echo/Unary", "hello")).await;
    assert_eq!(answer.unwrap().into_inner().job_name, "hello");
    assert_eq!((output.status, output.error.as_deref()), (200, None));
    assert_eq!((output.sent, output.size), (bytes("hello"), bytes("hello") as i64));
    assert_eq!(output.route.as_deref(), Some("/test.Echo/Unary"));
}

#[tokio::test]
async fn calls_have_the_tags_of_the_code_that_makes_them() {
    let (_, output) = called(|client| async move {
        golo::tag("tenant", "blue");
        golo::group("greet", call(client, "/test.Echo/Unary", "hello")).await
    })
    .await;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(output.tags.to_vec(), [pair("group", "greet"), pair("tenant", "blue")]);

    let (_, output) = called(|client| async move {
        let mut messages = golo::group("open", open(client, "")).await;
        golo::tag("tenant", "red");
        while let Ok(Some(_)) = messages.message().await {}
    })
    .await;
    assert_eq!(output.tags.to_vec(), [pair("group", "open")], "the stream ends outside of the group");
}

#[tokio::test]
async fn status_of_an_error_fails_the_call() {
    let (answer, output) = called(|client| call(client, "/test.Echo/Unary", "missing")).await;
    assert_eq!(answer.unwrap_err().code(), Code::NotFound);
    assert!(output.is_failed());
    assert_eq!((output.status, output.size), (200, 0));
    assert_eq!(output.error.as_deref(), Some("content: grpc status 5 not found: no `missing`"));
}

#[tokio::test]
async fn status_in_the_headers_alone_is_read() {
    let (answer, output) = called(|client| call(client, "/test.Echo/Unknown", "hello")).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
    assert_eq!(output.error.as_deref(), Some("content: grpc status 12 unimplemented: no such method"));
}

#[tokio::test]
async fn response_without_a_grpc_status_fails_the_call() {
    let (answer, output) = called(|client| call(client, "/test.Echo/Bare", "hello")).await;
    assert!(answer.is_err());
    assert_eq!(output.error.as_deref(), Some("body: the response ended without a gRPC status"));

    let (answer, output) = called(|client| call(client, "/test.Echo/Busy", "hello")).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    assert_eq!((output.status, output.error.as_deref(), output.is_failed()), (503, None, true));
}

#[tokio::test]
async fn page_of_a_proxy_is_no_cancelled_call() {
    let (answer, output) = called(|client| call(client, "/test.Echo/Proxy", "hello")).await;
    assert!(answer.is_err());
    assert_eq!((output.status, output.error.as_deref(), output.is_failed()), (503, None, true));
    let (answer, output) = called(|client| call(client, "/test.Echo/Page", "hello")).await;
    assert!(answer.is_err());
    assert_eq!((output.status, output.error.as_deref()), (200, Some("body: the response is not gRPC")));
}

#[tokio::test]
async fn message_that_the_client_does_not_accept_is_described() {
    let stopped = |place: &str, bytes: usize, why: &str| {
        Some(format!("body: the client stopped {place} a message of {bytes} bytes, which {why}"))
    };
    let (answer, output) = called(|client| call(client, "/test.Echo/Garbage", "hello")).await;
    assert_eq!(answer.unwrap_err().code(), Code::Internal);
    assert_eq!(output.error, stopped("after", 3, "it may not accept"));

    let long = "x".repeat(1 << 20);
    let (answer, output) =
        called(
            move |client| async move { call(client.max_decoding_message_size(1000), "/test.Echo/Unary", &long).await },
        )
        .await;
    assert_eq!(answer.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(output.error, stopped("within", (1 << 20) + 4, "may be over its limit"));
}

#[tokio::test]
async fn stream_of_the_server_is_one_call_until_its_end() {
    for (text, error) in [("", None), ("fail", Some("content: grpc status 10 aborted: after three"))] {
        let (count, output) = called(move |client| async move {
            let mut messages = open(client, text).await;
            let mut count = 0;
            while let Ok(Some(_)) = messages.message().await {
                count += 1;
            }
            count
        })
        .await;
        assert_eq!((count, output.status, output.error.as_deref()), (3, 200, error));
        assert_eq!(output.size, 3 * bytes("1") as i64);
    }
}

#[tokio::test]
async fn call_that_is_dropped_early_is_cancelled() {
    let ((), output) = called(|client| async move {
        let mut messages = open(client, "").await;
        messages.message().await.unwrap().unwrap();
    })
    .await;
    assert_eq!((output.status, output.error.as_deref()), (200, Some("cancelled")));

    let (dropped, output) = called(|client| async move {
        let call = call(client, "/test.Echo/Unary", "slow");
        tokio::time::timeout(Duration::from_millis(50), call).await.is_err()
    })
    .await;
    assert!(dropped);
    assert_eq!((output.status, output.error.as_deref()), (0, Some("cancelled")));
}

#[tokio::test]
async fn call_without_a_response_has_the_kind_of_its_failure() {
    let free = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let nobody = Endpoint::try_from(format!("http://{}", free.local_addr().unwrap())).unwrap().connect_lazy();
    drop(free);
    let reset = serve(|connection| async move { drop(connection) }).await;
    let reset = Endpoint::try_from(format!("http://{reset}")).unwrap().connect_lazy();
    let slow = Endpoint::try_from(format!("http://{}", server().await)).unwrap();
    let slow = slow.timeout(Duration::from_millis(50)).connect_lazy();
    for (kind, channel) in [("connect", nobody), ("reset", reset), ("timeout", slow)] {
        let (answer, outputs) = triggered(async move {
            let mut client = Grpc::new(golo::grpc_layer("journey").wrap(channel));
            client.ready().await.unwrap();
            call(client, "/test.Echo/Unary", "slow").await
        })
        .await;
        assert!(answer.is_err());
        let [Output { url, status: 0, error: Some(error), .. }] = &outputs[..] else { panic!("{outputs:?}") };
        assert!(error.starts_with(&format!("{kind}: ")), "{kind}: {error}");
        assert_eq!(url, "/test.Echo/Unary", "the origin is unknown");
    }
}
