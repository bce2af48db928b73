//! Requests over HTTP/3. `set_http` applies to the whole process, so these tests have their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use golo::{
    ConnectionEvent, Context, HttpVersion, Loadtest, Output, OutputRef, Phases, RequestError, Sink, Versions, reqwest,
};
use h3::error::Code;
use h3::server::RequestStream;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig, TransportConfig, VarInt};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::sync::{Barrier, oneshot};

static CERTIFICATE: LazyLock<rcgen::CertifiedKey<rcgen::KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());

/// A server on loopback, as long as the test's runtime lives.
struct Server {
    address: SocketAddr,
    seen: Arc<Served>,
}

/// What the server has seen.
#[derive(Default)]
struct Served {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Requests of `/together`, answered once there are six.
    together: Option<Barrier>,
    endings: AtomicUsize,
}

impl Server {
    /// Starts a server that accepts `streams` at a time on a connection.
    fn start(streams: u32) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(CERTIFICATE.signing_key.serialize_der()).into();
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CERTIFICATE.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(VarInt::from_u32(streams));
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = endpoint.local_addr().unwrap();
        let seen = Arc::new(Served { together: Some(Barrier::new(6)), ..Served::default() });
        let served = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        served.connections.fetch_add(1, Relaxed);
                        serve(connection, served).await;
                    }
                });
            }
        });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    fn connections(&self) -> usize {
        self.seen.connections.load(Relaxed)
    }
}

async fn serve(quic: quinn::Connection, served: Arc<Served>) {
    let Ok(mut connection) = h3::server::Connection::new(h3_quinn::Connection::new(quic.clone())).await else { return };
    while let Ok(Some(resolver)) = connection.accept().await {
        let Ok((request, stream)) = resolver.resolve_request().await else { continue };
        if request.uri().path() == "/going" && served.endings.fetch_add(1, Relaxed) == 0 {
            // Requests from now on are not processed.
            answer(request, stream, &quic, &served).await;
            let _ = connection.shutdown(0).await;
            continue;
        }
        let (quic, served) = (quic.clone(), Arc::clone(&served));
        tokio::spawn(async move { answer(request, stream, &quic, &served).await });
    }
}

async fn answer(
    request: http::Request<()>,
    mut stream: RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>,
    quic: &quinn::Connection,
    served: &Served,
) {
    let number = served.requests.fetch_add(1, Relaxed);
    let mut response = http::Response::new(());
    let mut body = BytesMut::new();
    match request.uri().path() {
        "/early" => {
            *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
            stream.send_response(response).await.unwrap();
            stream.stop_sending(Code::H3_NO_ERROR);
            stream.finish().await.unwrap();
            return;
        }
        "/closed" if served.endings.fetch_add(1, Relaxed) == 0 => {
            quic.close(VarInt::from_u32(Code::H3_NO_ERROR.value() as u32), b"");
            return;
        }
        "/rejected" if served.endings.fetch_add(1, Relaxed) == 0 => {
            stream.stop_sending(Code::H3_REQUEST_REJECTED);
            stream.stop_stream(Code::H3_REQUEST_REJECTED);
            return;
        }
        "/short" => {
            response.headers_mut().insert("content-length", 100.into());
            body.extend_from_slice(b"short");
        }
        "/together" => {
            served.together.as_ref().unwrap().wait().await;
        }
        "/slow" => tokio::time::sleep(Duration::from_millis(20)).await,
        _ => {}
    }
    while let Ok(Some(mut data)) = stream.recv_data().await {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    response.headers_mut().insert("number", number.into());
    // Fails if the client has gone.
    let _ = stream.send_response(response).await;
    let _ = stream.send_data(body.freeze()).await;
    let _ = stream.finish().await;
}

/// A sink that stores what it receives.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Events>>);

/// Outputs with their phases, and events of connections.
type Events = (Vec<(Output, Phases)>, Vec<ConnectionEvent>);

impl Sink for Seen {
    fn output(&self, output: &OutputRef<'_>) {
        let phases = output.phases.expect("golo sent the request");
        self.0.lock().unwrap().0.push((output.clone().into_owned(), phases));
    }

    fn connection(&self, event: ConnectionEvent) {
        self.0.lock().unwrap().1.push(event);
    }
}

impl Seen {
    fn outputs(&self) -> Vec<Output> {
        self.0.lock().unwrap().0.iter().map(|(output, _)| output.clone()).collect()
    }

    /// Returns the phases of the requests, which together are at most their durations.
    fn phases(&self) -> Vec<Phases> {
        let seen = self.0.lock().unwrap();
        for (output, phases) in &seen.0 {
            assert!(phases.total() <= output.duration, "{output:?} {phases:?}");
        }
        seen.0.iter().map(|(_, phases)| *phases).collect()
    }

    fn count(&self, is_counted: impl Fn(&ConnectionEvent) -> bool) -> usize {
        self.0.lock().unwrap().1.iter().filter(|event| is_counted(event)).count()
    }

    fn opened(&self) -> usize {
        self.count(|event| matches!(event, ConnectionEvent::Opened { version: HttpVersion::Http3, .. }))
    }

    fn resent(&self) -> usize {
        self.count(|event| *event == ConnectionEvent::Resent)
    }
}

/// Runs `load_test` as one trigger over HTTP/3. Returns its result and what its sink received.
async fn triggered<F>(load_test: F) -> (F::Output, Seen)
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    golo::set_http(|http| http.version(Versions::Http3).root_certificate(CERTIFICATE.cert.pem()));
    let seen = Seen::default();
    let (done, result) = oneshot::channel();
    let once = Mutex::new(Some((load_test, done)));
    let loadtest = Loadtest::new(move |_, _| {
        let (load_test, done) = once.lock().unwrap().take().expect("it is triggered once");
        async move {
            let _ = done.send(load_test.await);
        }
    })
    .sink(seen.clone());
    let patience = Duration::from_secs(60);
    let response = tokio::time::timeout(patience, loadtest.trigger(Context::default())).await.expect("it ends");
    assert!(!response.error, "{}", response.output);
    (result.await.expect("the load test has ended"), seen)
}

async fn get(url: String) -> Result<reqwest::Response, RequestError> {
    golo::do_request("journey", golo::client().get(url)).await
}

#[tokio::test]
async fn requests_share_a_connection_and_have_their_phases() {
    let server = Server::start(100);
    let (url, big) = (server.url("/?a=b"), vec![b'x'; 1 << 20]);
    let sent = big.clone();
    let (bodies, seen) = triggered(async move {
        let first = get(url.clone()).await.unwrap();
        assert_eq!(first.version(), reqwest::Version::HTTP_3);
        assert_eq!(first.url().as_str(), url);
        let posted = golo::do_request("journey", golo::client().post(url).body(sent)).await.unwrap();
        (first.bytes().await.unwrap(), posted.bytes().await.unwrap())
    })
    .await;
    assert_eq!(bodies, (Bytes::new(), Bytes::from(big)));
    assert_eq!((seen.opened(), server.connections()), (1, 1));
    assert_eq!(seen.count(|event| *event == ConnectionEvent::Reused), 1);
    let [first, posted] = &seen.outputs()[..] else { panic!("two outputs") };
    assert_eq!((first.status, first.size, posted.status, posted.size), (200, 0, 200, 1 << 20));
    let [first, posted] = seen.phases()[..] else { panic!("two outputs") };
    for phases in [first, posted] {
        assert!(!phases.waiting.is_zero() && phases.connecting.is_zero(), "{phases:?}");
    }
    assert!(!first.tls_handshaking.is_zero() && posted.tls_handshaking.is_zero(), "{first:?} {posted:?}");
    assert!(!posted.sending.is_zero(), "{posted:?}");
}

#[tokio::test]
async fn parallel_requests_share_a_connection() {
    let server = Server::start(100);
    let url = server.url("/together");
    let ((), seen) = triggered(async move {
        let get = || get(url.clone());
        let all = tokio::join!(get(), get(), get(), get(), get(), get());
        for response in <[_; 6]>::from(all) {
            assert_eq!(response.unwrap().status(), 200);
        }
    })
    .await;
    assert_eq!((seen.opened(), server.connections()), (1, 1));
}

#[tokio::test]
async fn requests_over_the_stream_limit_have_further_connections() {
    let server = Server::start(2);
    let url = server.url("/together");
    let ((), seen) = triggered(async move {
        let get = || get(url.clone());
        let all = tokio::join!(get(), get(), get(), get(), get(), get());
        for response in <[_; 6]>::from(all) {
            assert_eq!(response.unwrap().status(), 200);
        }
    })
    .await;
    assert_eq!((seen.opened(), server.connections()), (3, 3));
}

#[tokio::test]
async fn streams_that_ended_allow_further_requests() {
    let server = Server::start(1);
    let url = server.url("/slow");
    let ((), seen) = triggered(async move {
        for _ in 0..20 {
            get(url.clone()).await.unwrap();
        }
    })
    .await;
    assert_eq!((seen.opened(), server.connections()), (1, 1));
}

#[tokio::test]
async fn unprocessed_requests_are_sent_again() {
    for path in ["/closed", "/rejected", "/going"] {
        let server = Server::start(100);
        let (first, url) = (server.url("/"), server.url(path));
        let ((), seen) = triggered(async move {
            get(first).await.unwrap();
            assert_eq!(get(url.clone()).await.unwrap().status(), 200);
            assert_eq!(get(url).await.unwrap().status(), 200);
        })
        .await;
        assert_eq!(server.connections(), 2, "{path}");
        assert!(seen.outputs().iter().all(|output| output.status == 200), "{path}");
        if path != "/going" {
            assert_eq!(seen.resent(), 1, "{path}");
        }
    }
}

#[tokio::test]
async fn requests_on_a_closed_connection_fail_if_they_are_not_idempotent() {
    let server = Server::start(100);
    let (first, url) = (server.url("/"), server.url("/closed"));
    let (error, seen) = triggered(async move {
        get(first).await.unwrap();
        golo::do_request("journey", golo::client().post(url).body("x")).await.unwrap_err()
    })
    .await;
    assert!(error.is_reset(), "{error:?}");
    assert_eq!(seen.outputs()[1].error.as_deref(), Some("reset: the server closed an idle connection"));
    assert_eq!(seen.count(|event| *event == ConnectionEvent::Closed { by_server: true }), 1);
}

#[tokio::test]
async fn early_answers_end_the_request() {
    let server = Server::start(100);
    let url = server.url("/early");
    let (status, seen) = triggered(async move {
        let request = golo::client().post(url).body(vec![0; 64 << 20]);
        golo::do_request("journey", request).await.unwrap().status()
    })
    .await;
    assert_eq!(status, 413);
    assert_eq!(seen.phases().len(), 1);
}

#[tokio::test]
async fn failures_have_their_kinds() {
    let server = Server::start(100);
    let short = server.url("/short");
    let plain = short.replace("https:", "http:");
    let wrong = short.replace("localhost", "127.0.0.1");
    let ([short, plain, wrong], seen) =
        triggered(async move { [get(short).await, get(plain).await, get(wrong).await].map(Result::unwrap_err) }).await;
    assert!(short.is_body() && plain.is_connect() && wrong.is_tls(), "{short:?} {plain:?} {wrong:?}");
    let errors: Vec<_> = seen.outputs().into_iter().map(|output| output.error.unwrap()).collect();
    assert_eq!(errors[0], "body: the stream ended after 5 of 100 bytes of the body");
    assert_eq!(errors[1], "connect: HTTP/3 needs a URL that begins with `https://`");
}
