//! Helpers of the tests of requests: a sink that collects outputs, and servers that send arbitrary bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use golo::{Context, IntoRequest, Loadtest, Output, OutputRef, RequestError, Sink, reqwest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Far longer than any test takes, so that a hang fails the test instead of blocking the suite.
const PATIENCE: Duration = Duration::from_secs(60);

/// A sink that stores every output. Clones share their outputs.
#[derive(Clone, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<Output>>>);

impl Collected {
    pub(crate) fn outputs(&self) -> Vec<Output> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Collected {
    fn output(&self, output: &OutputRef<'_>) {
        self.0.lock().unwrap().push(output.clone().into_owned());
    }
}

/// Runs `load_test` as one trigger. Returns its result and its recorded outputs.
pub(crate) async fn triggered<F>(load_test: F) -> (F::Output, Vec<Output>)
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let collected = Collected::default();
    let (done, result) = oneshot::channel();
    let once = Mutex::new(Some((load_test, done)));
    let loadtest = Loadtest::new(move |_, _| {
        let (load_test, done) = once.lock().unwrap().take().expect("it is triggered once");
        async move {
            let _ = done.send(load_test.await);
        }
    })
    .sink(collected.clone());
    let response = patiently(loadtest.trigger(Context::default())).await;
    assert!(!response.error, "{}", response.output);
    (result.await.expect("the load test has ended"), collected.outputs())
}

/// Sends `request` within its own trigger. It must record exactly one output.
pub(crate) async fn sent(request: golo::Request<'static>) -> (Result<reqwest::Response, RequestError>, Output) {
    let (result, mut outputs) = triggered(request.send()).await;
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    (result, outputs.remove(0))
}

/// Sends `request`, which must fail with `kind` in the error and in the output. Returns the error, the output and the
/// reason in the output.
pub(crate) async fn failed(kind: &str, request: impl IntoRequest) -> (RequestError, Output, String) {
    let (result, output) = sent(golo::request("journey", request)).await;
    let error = result.expect_err("the request fails");
    assert_eq!(kinds(&error), if kind == "other" { vec![] } else { vec![kind] }, "{error:?}");
    let text = output.error.clone().expect("the output has the error too");
    let reason = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix(": ")).unwrap_or_default().to_owned();
    assert!(!reason.is_empty(), "`{text}` is not `{kind}: reason`");
    assert!(output.is_failed());
    assert_eq!((output.sequence_id.as_str(), output.route.as_ref(), output.expected), ("journey", None, None));
    (error, output, reason)
}

/// Returns the names of the predicates of `error` that hold.
pub(crate) fn kinds(error: &RequestError) -> Vec<&'static str> {
    [
        ("build", error.is_build()),
        ("dns", error.is_dns()),
        ("connect", error.is_connect()),
        ("tls", error.is_tls()),
        ("timeout", error.is_timeout()),
        ("reset", error.is_reset()),
        ("body", error.is_body()),
        ("redirect", error.is_redirect()),
    ]
    .into_iter()
    .filter_map(|(kind, holds)| holds.then_some(kind))
    .collect()
}

pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it ends")
}

/// Accepts connections on a free port as long as the test's runtime lives, and calls `answer` for each.
pub(crate) async fn serve<A, F>(answer: A) -> SocketAddr
where
    A: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output: Send> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection));
        }
    });
    address
}

/// Answers one request of each connection with exactly these bytes, then closes it. Returns the server's URL.
pub(crate) async fn serve_bytes(answer: impl Into<Vec<u8>>) -> String {
    let answer: Arc<[u8]> = answer.into().into();
    let address = serve(move |mut connection| {
        let answer = Arc::clone(&answer);
        async move {
            read_head(&mut connection).await;
            let _ = connection.write_all(&answer).await;
            let _ = connection.shutdown().await;
        }
    });
    format!("http://{}/", address.await)
}

/// Reads the head of a request. Reads nothing after it.
pub(crate) async fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
