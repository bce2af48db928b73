//! HTTP/3: one QUIC connection, whose streams carry requests at the same time.
//!
//! quinn has tasks of its own for the UDP socket and for the connection. One more task reads the control stream of the
//! server, on which GOAWAY arrives. All of them end with the connection.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h3::ConnectionState as _;
use h3::client::{RequestStream, SendRequest};
use h3::error::{Code, ConnectionError, StreamError};
use h3::quic::{self, ConnectionErrorIncoming, OpenStreams as _, StreamErrorIncoming};
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode, Version};
use http_body::Body as _;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, EndpointConfig, TransportConfig, VarInt};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::error::RequestErrorKind;
use crate::error::transport::TransportError;
use crate::support::lock::lock;
use crate::transport::clock::Phase;
use crate::transport::connect;
use crate::transport::http2::{Prepared, Source};
use crate::transport::message::{Broken, BrokenAt, Collected, Head, Hop, Payload, Progress};
use crate::transport::origin::Origin;
use crate::transport::pool::Pool;
use crate::transport::settings::Settings;

/// Time in which an address must answer. UDP does not tell that nothing listens there.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes that the server may send on a stream, and on a connection, before they are read.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest headers of a response, as in browsers.
const HEADERS: u64 = 256 << 10;
/// Largest part of a request's body that is sent as one frame.
const PART: usize = 64 << 10;

type BidiStream = h3_quinn::BidiStream<Bytes>;
type SendStream = h3_quinn::SendStream<Bytes>;

/// A connection that speaks HTTP/3.
pub(crate) struct Http3 {
    send: SendRequest<Opener, Bytes>,
    connection: quinn::Connection,
    streams: Arc<Streams>,
}

/// Makes a connection to `origin` for the client that `pool` belongs to, and puts its phases on the request's clock.
pub(crate) async fn connect(
    origin: &Origin,
    settings: &Settings,
    pool: &Pool,
    progress: &mut Progress,
) -> Result<Http3, TransportError> {
    connect::in_time(settings, connect_at_any_time(origin, settings, pool, progress)).await
}

async fn connect_at_any_time(
    origin: &Origin,
    settings: &Settings,
    pool: &Pool,
    progress: &mut Progress,
) -> Result<Http3, TransportError> {
    if !origin.is_https {
        return Err(TransportError::new(RequestErrorKind::Connect, "HTTP/3 needs a URL that begins with `https://`"));
    }
    let addresses = connect::addresses(&origin.host, origin.port, settings, progress).await?;
    progress.clock.enter(Phase::TlsHandshaking);
    let config = pool.tls(settings).map_err(|error| TransportError::new(RequestErrorKind::Tls, error))?;
    let config = quic_config(config)?;
    let mut failed = None;
    for address in addresses {
        let attempt = Http3::handshake(address, settings.local_address(address), &origin.host, config.clone());
        match timeout(HANDSHAKE, attempt).await {
            Ok(Ok(made)) => return Ok(made),
            // The first failure is about the address that should have been used.
            Ok(Err(error)) => failed = failed.or(Some(error)),
            Err(_) => {
                let reason = format!("{address} did not answer over UDP within {} s", HANDSHAKE.as_secs());
                let error = io::Error::new(io::ErrorKind::TimedOut, reason);
                failed = failed.or_else(|| Some(TransportError::connect(error)));
            }
        }
    }
    Err(failed.unwrap_or_else(|| TransportError::connect(io::ErrorKind::AddrNotAvailable.into())))
}

/// Returns the settings of a QUIC connection.
fn quic_config(tls: Arc<ClientConfig>) -> Result<quinn::ClientConfig, TransportError> {
    let tls = QuicClientConfig::try_from(tls).map_err(|error| TransportError::new(RequestErrorKind::Tls, error))?;
    let mut transport = TransportConfig::default();
    transport
        // A user keeps its connection for as long as the server does.
        .max_idle_timeout(None)
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None);
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

impl Http3 {
    async fn handshake(
        address: SocketAddr,
        local: Option<IpAddr>,
        host: &str,
        config: quinn::ClientConfig,
    ) -> Result<Self, TransportError> {
        let unspecified = match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((local.unwrap_or(unspecified), 0)).map_err(TransportError::connect)?;
        let runtime = Arc::new(quinn::TokioRuntime);
        // The socket is closed once the connection has ended, because the endpoint is dropped here.
        let endpoint =
            Endpoint::new(EndpointConfig::default(), None, socket, runtime).map_err(TransportError::connect)?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let connecting = endpoint
            .connect_with(config, address, name)
            .map_err(|error| TransportError::new(RequestErrorKind::Connect, error))?;
        Self::over(connecting.await.map_err(refused)?).await
    }

    /// Begins to speak HTTP/3 on a QUIC connection.
    async fn over(connection: quinn::Connection) -> Result<Self, TransportError> {
        let streams = Arc::new(Streams::of(&connection));
        let quic = Quic { connection: h3_quinn::Connection::new(connection.clone()), streams: Arc::clone(&streams) };
        let mut builder = h3::client::builder();
        let (mut driver, send) = builder
            .max_field_section_size(HEADERS)
            .send_grease(false)
            .build(quic)
            .await
            .map_err(|error| TransportError::new(RequestErrorKind::Connect, error))?;
        tokio::spawn(async move { driver.wait_idle().await });
        Ok(Self { send, connection, streams })
    }

    /// Returns the number of requests that use a stream.
    pub(crate) fn streams(&self) -> usize {
        lock(&self.streams.0).taken
    }

    /// Takes a stream, unless as many are in use as the server accepts.
    pub(crate) fn take_stream(&self) -> bool {
        lock(&self.streams.0).take()
    }

    /// Returns a stream that was taken.
    pub(crate) fn free_stream(&self) {
        lock(&self.streams.0).taken -= 1;
    }

    /// Returns true if the connection accepts new requests, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none() && !self.send.is_closing()
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn exchange(
        &self,
        hop: &Hop<'_>,
        payload: &mut Payload,
        progress: &mut Progress,
    ) -> Result<(Head, Bytes), Broken> {
        let prepared = Prepared::of(hop, payload).map_err(|error| {
            lock(&self.streams.0).unused += 1;
            Broken { error, at: BrokenAt::Other }
        })?;
        if lock(&self.streams.0).opened.is_empty() {
            progress.clock.enter(Phase::Blocked);
        }
        let mut send = self.send.clone();
        let stream = send.send_request(prepared.request).await.map_err(|error| lost(error, false))?;
        progress.clock.enter(Phase::Sending);
        let (stream, mut receive) = stream.split();
        let sent = AtomicU64::new(0);
        let upload = upload(Upload { stream, is_finished: false }, prepared.source, &sent);
        let mut uploading = Uploading { upload: pin!(upload), is_done: false, sent: &sent, counted: 0 };
        let head = loop {
            let mut response = pin!(receive.recv_response());
            let response = poll_fn(|context| {
                uploading.poll(context, progress)?;
                if uploading.is_done {
                    progress.clock.enter(Phase::Waiting);
                }
                response.as_mut().poll(context).map_err(|error| lost(error, false))
            });
            let response = response.await?;
            if !response.status().is_informational() {
                break response.into_parts().0;
            }
        };
        progress.status = head.status.as_u16();
        progress.clock.enter(Phase::Receiving);
        let length: Option<u64> = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Collected::default();
        length.inspect(|length| body.expect(*length, progress));
        let mut received = 0;
        poll_fn(|context| {
            uploading.poll(context, progress)?;
            while let Some(mut data) = ready!(receive.poll_recv_data(context)).map_err(|error| lost(error, true))? {
                received += data.remaining() as u64;
                body.add_bytes(data.copy_to_bytes(data.remaining()), progress);
            }
            // The stream ends after the trailers.
            receive.poll_recv_trailers(context).map_err(|error| lost(error, true))
        })
        .await?;
        let has_body = *hop.method != Method::HEAD && head.status != StatusCode::NOT_MODIFIED;
        if let Some(length) = length.filter(|length| has_body && *length != received) {
            let reason = format!("the stream ended after {received} of {length} bytes of the body");
            let error = TransportError::new(RequestErrorKind::Body, reason);
            return Err(Broken { error, at: BrokenAt::Other });
        }
        Ok((Head { status: head.status, version: Version::HTTP_3, headers: head.headers }, body.into_bytes()))
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        self.connection.close(VarInt::from_u32(Code::H3_NO_ERROR.value() as u32), b"");
    }
}

/// The streams of a connection that are used by requests, or are about to be.
///
/// QUIC does not limit the number of open streams: the server allows one more each time that a stream has ended. So a
/// stream is opened when a request takes it, and h3 then receives it from here.
struct Streams(Mutex<StreamsState>);

struct StreamsState {
    opener: h3_quinn::OpenStreams,
    /// Streams that were opened for requests which have not begun.
    opened: Vec<BidiStream>,
    /// Number of streams in `opened` whose request never began.
    unused: usize,
    /// Number of requests that use a stream, or wait for one.
    taken: usize,
    /// Largest number of requests that used a stream at the same time.
    most: usize,
}

impl Streams {
    fn of(connection: &quinn::Connection) -> Self {
        let opener = quic::Connection::<Bytes>::opener(&h3_quinn::Connection::new(connection.clone()));
        Self(Mutex::new(StreamsState { opener, opened: Vec::new(), unused: 0, taken: 0, most: 0 }))
    }
}

impl StreamsState {
    fn take(&mut self) -> bool {
        if self.unused > 0 {
            self.unused -= 1;
        } else {
            match self.opener.poll_open_bidi(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(stream)) => self.opened.push(stream),
                Poll::Ready(Err(_)) => return false,
                // A stream has ended, so the server is about to allow another one. The request waits for it.
                Poll::Pending if self.taken < self.most => {}
                Poll::Pending => return false,
            }
        }
        self.taken += 1;
        self.most = self.most.max(self.taken);
        true
    }
}

/// A QUIC connection for h3, whose streams of requests come from [`Streams`].
struct Quic {
    connection: h3_quinn::Connection,
    streams: Arc<Streams>,
}

impl quic::Connection<Bytes> for Quic {
    type RecvStream = h3_quinn::RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, ConnectionErrorIncoming>> {
        quic::Connection::<Bytes>::poll_accept_recv(&mut self.connection, context)
    }

    fn poll_accept_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        quic::Connection::<Bytes>::poll_accept_bidi(&mut self.connection, context)
    }

    fn opener(&self) -> Opener {
        let opener = quic::Connection::<Bytes>::opener(&self.connection);
        Opener { opener, streams: Arc::clone(&self.streams) }
    }
}

impl quic::OpenStreams<Bytes> for Quic {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.connection.poll_open_bidi(context)
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.connection.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<Bytes>::close(&mut self.connection, code, reason);
    }
}

/// Returns the streams of requests to h3.
#[derive(Clone)]
struct Opener {
    opener: h3_quinn::OpenStreams,
    streams: Arc<Streams>,
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, context: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        match lock(&self.streams.0).opened.pop() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => self.opener.poll_open_bidi(context),
        }
    }

    fn poll_open_send(&mut self, context: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.opener.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        quic::OpenStreams::<Bytes>::close(&mut self.opener, code, reason);
    }
}

/// The sending half of a stream. It is reset if the request is dropped before its end, since the server would take the
/// end of the stream for the end of the request.
struct Upload {
    stream: RequestStream<SendStream, Bytes>,
    is_finished: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_finished {
            self.stream.stop_stream(Code::H3_REQUEST_CANCELLED);
        }
    }
}

impl Upload {
    /// Sends a part of the body. Returns false if the server does not want the rest. Its response says why.
    async fn send(&mut self, mut part: Bytes, sent: &AtomicU64) -> bool {
        while !part.is_empty() {
            let data = part.split_to(part.len().min(PART));
            let length = data.len() as u64;
            if self.stream.send_data(data).await.is_err() {
                return false;
            }
            sent.fetch_add(length, Relaxed);
        }
        true
    }
}

/// Sends a body and ends the request. Fails only if the load test's own stream does.
async fn upload(mut upload: Upload, source: Option<Source>, sent: &AtomicU64) -> Result<(), TransportError> {
    match source {
        None => {}
        Some(Source::Whole(bytes)) => {
            let is_wanted = upload.send(bytes, sent).await;
            if !is_wanted {
                return Ok(());
            }
        }
        Some(Source::Stream(mut body)) => {
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                let frame = frame.map_err(|error| TransportError::new(RequestErrorKind::Other, error.without_url()))?;
                if !upload.send(frame.into_data().unwrap_or_default(), sent).await {
                    return Ok(());
                }
            }
        }
    }
    // An error also reaches the response.
    upload.is_finished = upload.stream.finish().await.is_ok();
    Ok(())
}

/// An upload, and the bytes of it that are on the request's account.
struct Uploading<'a, F> {
    upload: Pin<&'a mut F>,
    is_done: bool,
    sent: &'a AtomicU64,
    counted: u64,
}

impl<F: Future<Output = Result<(), TransportError>>> Uploading<'_, F> {
    fn poll(&mut self, context: &mut Context<'_>, progress: &mut Progress) -> Result<(), Broken> {
        if self.is_done {
            return Ok(());
        }
        let polled = self.upload.as_mut().poll(context);
        let sent = self.sent.load(Relaxed);
        progress.sent += sent - self.counted;
        self.counted = sent;
        self.is_done = polled.is_ready();
        match polled {
            Poll::Ready(result) => result.map_err(|error| Broken { error, at: BrokenAt::Other }),
            Poll::Pending => Ok(()),
        }
    }
}

/// Returns the failure of a QUIC handshake.
#[cold]
fn refused(error: quinn::ConnectionError) -> TransportError {
    /// Codes of TLS alerts begin here (RFC 9001, section 4.8).
    const ALERTS: u64 = 0x100;
    let code = match &error {
        quinn::ConnectionError::TransportError(error) => u64::from(error.code),
        quinn::ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => 0,
    };
    let is_tls = (ALERTS..ALERTS + 0x100).contains(&code);
    TransportError::new(if is_tls { RequestErrorKind::Tls } else { RequestErrorKind::Connect }, error)
}

/// Returns the failure of a request whose stream or connection ended with `error`.
#[cold]
fn lost(error: StreamError, has_responded: bool) -> Broken {
    let (is_lost, at) = match &error {
        StreamError::RemoteTerminate { code, .. } if *code == Code::H3_REQUEST_REJECTED => {
            (true, BrokenAt::Unprocessed)
        }
        StreamError::RemoteClosing => (true, BrokenAt::Unprocessed),
        StreamError::RemoteTerminate { .. } => (true, BrokenAt::Other),
        StreamError::ConnectionError(ConnectionError::Remote(..) | ConnectionError::Timeout) => {
            (true, BrokenAt::Unanswered)
        }
        _ => (false, BrokenAt::Other),
    };
    let (kind, at) = match (has_responded, is_lost) {
        (true, _) => (RequestErrorKind::Body, BrokenAt::Other),
        (false, true) => (RequestErrorKind::Reset, at),
        (false, false) => (RequestErrorKind::Other, at),
    };
    Broken { error: TransportError::new(kind, error), at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_tell_whether_the_request_was_processed() {
        let terminated = |code| StreamError::RemoteTerminate { code };
        let closed = || {
            let error_code = Code::H3_NO_ERROR.value();
            StreamError::ConnectionError(ConnectionError::Remote(ConnectionErrorIncoming::ApplicationClose {
                error_code,
            }))
        };
        for (error, has_responded, kind, at) in [
            (terminated(Code::H3_REQUEST_REJECTED), false, RequestErrorKind::Reset, BrokenAt::Unprocessed),
            (StreamError::RemoteClosing, false, RequestErrorKind::Reset, BrokenAt::Unprocessed),
            (terminated(Code::H3_INTERNAL_ERROR), false, RequestErrorKind::Reset, BrokenAt::Other),
            (closed(), false, RequestErrorKind::Reset, BrokenAt::Unanswered),
            (closed(), true, RequestErrorKind::Body, BrokenAt::Other),
            (terminated(Code::H3_REQUEST_REJECTED), true, RequestErrorKind::Body, BrokenAt::Other),
        ] {
            let text = error.to_string();
            let broken = lost(error, has_responded);
            assert_eq!((broken.error.kind, broken.at), (kind, at), "{text}");
        }
    }
}
