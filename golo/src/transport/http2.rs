//! HTTP/2: one connection, whose streams carry requests at the same time.
//!
//! There is no task for a connection. Each request that waits for its response polls the connection too. Events of the
//! connection wake the first of these requests, the leader; when it ends, it wakes the next one.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::header::{self, CONTENT_LENGTH, HOST, HeaderName, TE};
use http::{Uri, Version};
use http_body::Body as _;
use reqwest::Body;

use crate::error::RequestErrorKind;
use crate::error::transport::{TransportError, is_lost};
use crate::support::lock::lock;
use crate::transport::clock::Phase;
use crate::transport::io::Io;
use crate::transport::message::{Broken, BrokenAt, Collected, Head, Hop, Payload, Progress};

/// Limit of streams that h2 assumes until the server's settings have arrived. No server announces this number.
const UNKNOWN: usize = usize::MAX - 1;
/// Bytes that the server may send on a stream, and on a connection, before they are read.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest headers of a response, as in browsers.
const HEADERS: u32 = 256 << 10;
/// Headers of HTTP/1.1 that must not be sent in HTTP/2 (RFC 9113, section 8.2.2).
const OF_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    HOST,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A connection that speaks HTTP/2.
pub(crate) struct Http2 {
    send: SendRequest<Bytes>,
    /// The connection, until it has ended.
    connection: Mutex<Option<Connection<Io, Bytes>>>,
    waiting: Arc<Waiting>,
    waker: Waker,
    /// Number of requests that use a stream.
    streams: AtomicUsize,
}

/// Requests that wait for the connection. The first is the leader.
#[derive(Default)]
struct Waiting(Mutex<WaitingState>);

#[derive(Default)]
struct WaitingState {
    wakers: Vec<(u64, Waker)>,
    next: u64,
    /// True while a request polls the connection.
    is_polled: bool,
    /// True if the connection was woken while it was polled.
    is_woken: bool,
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        /// Number of requests that are woken. The leader alone would do, unless the load test holds its future without
        /// polling it.
        const FEW: usize = 4;
        let woken: Vec<_> = {
            let mut state = lock(&self.0);
            if state.is_polled {
                state.is_woken = true;
                return;
            }
            state.wakers.iter().take(FEW).map(|(_, waker)| waker.clone()).collect()
        };
        woken.iter().for_each(Waker::wake_by_ref);
    }
}

/// A request among those that wait. Dropping it makes the next one the leader.
struct Place<'a> {
    waiting: &'a Waiting,
    number: u64,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a Waiting) -> Self {
        let mut state = lock(&waiting.0);
        state.next += 1;
        Self { waiting, number: state.next }
    }

    fn register(&self, waker: &Waker) {
        let mut state = lock(&self.waiting.0);
        match state.wakers.iter_mut().find(|(number, _)| *number == self.number) {
            Some((_, known)) => known.clone_from(waker),
            None => state.wakers.push((self.number, waker.clone())),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let next = {
            let mut state = lock(&self.waiting.0);
            let was_leader = state.wakers.first().is_some_and(|(number, _)| *number == self.number);
            state.wakers.retain(|(number, _)| *number != self.number);
            state.wakers.first().filter(|_| was_leader).map(|(_, waker)| waker.clone())
        };
        next.inspect(Waker::wake_by_ref);
    }
}

impl Http2 {
    /// Begins to speak HTTP/2, and waits until the server has said how many streams it accepts.
    pub(crate) async fn handshake(io: Io) -> Result<Self, TransportError> {
        let mut builder = Builder::new();
        builder
            .initial_max_send_streams(UNKNOWN)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADERS)
            .enable_push(false);
        let failed = |error: h2::Error| {
            TransportError::new(RequestErrorKind::Connect, format!("the server does not speak HTTP/2: {error}"))
        };
        let (send, mut connection) = builder.handshake::<Io, Bytes>(io).await.map_err(failed)?;
        let settled = poll_fn(|context| {
            let ended = Pin::new(&mut connection).poll(context);
            if send.current_max_send_streams() != UNKNOWN {
                return Poll::Ready(Ok(()));
            }
            match ready!(ended) {
                Ok(()) => Poll::Ready(Err(TransportError::connect(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection was closed during the HTTP/2 handshake",
                )))),
                Err(error) => Poll::Ready(Err(failed(error))),
            }
        });
        settled.await?;
        let waiting = Arc::<Waiting>::default();
        let waker = Waker::from(Arc::clone(&waiting));
        Ok(Self { send, connection: Mutex::new(Some(connection)), waiting, waker, streams: AtomicUsize::new(0) })
    }

    /// Returns the number of requests that use a stream.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Relaxed)
    }

    /// Takes a stream, unless as many are in use as the server accepts.
    pub(crate) fn take_stream(&self) -> bool {
        let most = self.send.current_max_send_streams();
        self.streams.fetch_update(Relaxed, Relaxed, |streams| (streams < most).then_some(streams + 1)).is_ok()
    }

    /// Returns a stream that was taken.
    pub(crate) fn free_stream(&self) {
        self.streams.fetch_sub(1, Relaxed);
    }

    /// Returns true if the connection accepts new requests, as far as is known. Reads what the server has sent if no
    /// request does.
    pub(crate) fn is_open(&self) -> bool {
        if self.streams() == 0 {
            self.poll_connection();
        }
        let mut context = Context::from_waker(Waker::noop());
        lock(&self.connection).is_some() && !matches!(self.send.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Polls the connection as long as there is something to do.
    fn poll_connection(&self) {
        /// Largest number of rounds. A connection that is still busy then is polled again when its leader is.
        const ROUNDS: usize = 16;
        let mut connection = lock(&self.connection);
        let Some(open) = connection.as_mut() else { return };
        lock(&self.waiting.0).is_polled = true;
        let mut context = Context::from_waker(&self.waker);
        for round in 0..ROUNDS {
            if Pin::new(&mut *open).poll(&mut context).is_ready() {
                *connection = None;
                lock(&self.waiting.0).is_polled = false;
                return;
            }
            let mut waiting = lock(&self.waiting.0);
            if !std::mem::take(&mut waiting.is_woken) {
                waiting.is_polled = false;
                return;
            }
            if round + 1 == ROUNDS {
                waiting.is_polled = false;
            }
        }
        self.waker.wake_by_ref();
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn exchange(
        &self,
        hop: &Hop<'_>,
        payload: &mut Payload,
        progress: &mut Progress,
    ) -> Result<(Head, Bytes), Broken> {
        let broken = |error: TransportError| Broken { error, at: BrokenAt::Other };
        let place = Place::take(&self.waiting);
        let mut send = self.send.clone();
        let prepared = Prepared::of(hop, payload).map_err(broken)?;
        poll_fn(|context| {
            // Usually ready, since the pool has looked at the connection.
            let ready = send.poll_ready(context);
            if ready.is_ready() {
                return ready;
            }
            place.register(context.waker());
            self.poll_connection();
            send.poll_ready(context)
        })
        .await
        .map_err(|error| lost(error, false))?;
        let is_last = prepared.source.is_none();
        let (response, stream) = send.send_request(prepared.request, is_last).map_err(|error| lost(error, false))?;
        let mut exchange = Exchange {
            response: Some(response),
            upload: prepared.source.map(|source| Upload { stream, source, part: Bytes::new() }),
            download: None,
            head: None,
            body: Collected::default(),
        };
        poll_fn(|context| {
            place.register(context.waker());
            exchange.poll(self, context, progress)
        })
        .await?;
        let head = exchange.head.ok_or_else(|| broken(TransportError::new(RequestErrorKind::Other, "no head")))?;
        Ok((head, exchange.body.into_bytes()))
    }
}

/// A request as h2 and h3 send it.
pub(super) struct Prepared {
    pub(super) request: http::Request<()>,
    pub(super) source: Option<Source>,
}

/// The rest of a request's body.
pub(super) enum Source {
    Whole(Bytes),
    Stream(Body),
}

impl Prepared {
    pub(super) fn of(hop: &Hop<'_>, payload: &mut Payload) -> Result<Self, TransportError> {
        let other = |error: http::Error| TransportError::new(RequestErrorKind::Other, error);
        let query = hop.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let uri = Uri::builder()
            .scheme(hop.url.scheme())
            .authority(hop.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(&hop.origin.authority))
            .path_and_query(format!("{}{query}", hop.url.path()))
            .build()
            .map_err(other)?;
        let mut headers = hop.headers.clone();
        OF_CONNECTION.iter().for_each(|name| _ = headers.remove(name));
        if headers.get(TE).is_some_and(|value| value != "trailers") {
            headers.remove(TE);
        }
        let source = match payload {
            Payload::Whole(bytes) => (!bytes.is_empty()).then(|| Source::Whole(bytes.clone())),
            Payload::Stream(body) if body.is_end_stream() => None,
            Payload::Stream(_) => match std::mem::replace(payload, Payload::Spent) {
                Payload::Stream(body) => Some(Source::Stream(body)),
                _ => None,
            },
            Payload::Spent => {
                let error = "the body of the request has been sent already";
                return Err(TransportError::new(RequestErrorKind::Other, error));
            }
        };
        let length = match &source {
            None => None,
            Some(Source::Whole(bytes)) => Some(bytes.len() as u64),
            Some(Source::Stream(body)) => body.size_hint().exact(),
        };
        if let Some(length) = length {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        let mut request = http::Request::new(());
        *request.method_mut() = hop.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = headers;
        Ok(Self { request, source })
    }
}

struct Exchange {
    response: Option<ResponseFuture>,
    upload: Option<Upload>,
    download: Option<RecvStream>,
    head: Option<Head>,
    body: Collected,
}

struct Upload {
    stream: SendStream<Bytes>,
    source: Source,
    /// The part of the body that waits for room.
    part: Bytes,
}

impl Exchange {
    fn poll(
        &mut self,
        connection: &Http2,
        context: &mut Context<'_>,
        progress: &mut Progress,
    ) -> Poll<Result<(), Broken>> {
        let uploaded = self.poll_upload(context, progress);
        connection.poll_connection();
        match uploaded {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken { error, at: BrokenAt::Other })),
            Poll::Ready(Ok(())) if self.head.is_none() => progress.clock.enter(Phase::Waiting),
            _ => {}
        }
        self.poll_download(context, progress)
    }

    /// Sends as much of the body as the server accepts. Ready once all of it is sent, or is not wanted any more.
    fn poll_upload(&mut self, context: &mut Context<'_>, progress: &mut Progress) -> Poll<Result<(), TransportError>> {
        while let Some(Upload { stream, source, part }) = &mut self.upload {
            if part.is_empty() {
                let next = match source {
                    Source::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
                    Source::Stream(body) => match ready!(Pin::new(body).poll_frame(context)) {
                        None => None,
                        Some(Ok(frame)) => Some(frame.into_data().unwrap_or_default()),
                        Some(Err(error)) => {
                            stream.send_reset(Reason::CANCEL);
                            let error = TransportError::new(RequestErrorKind::Other, error.without_url());
                            return Poll::Ready(Err(error));
                        }
                    },
                };
                let Some(next) = next else {
                    // An error also reaches the response.
                    let _ = stream.send_data(Bytes::new(), true);
                    self.upload = None;
                    break;
                };
                *part = next;
                continue;
            }
            stream.reserve_capacity(part.len());
            let room = match ready!(stream.poll_capacity(context)) {
                Some(Ok(room)) if room > 0 => room.min(part.len()),
                Some(Ok(_)) => continue,
                // The server does not want the rest, and its response says why.
                Some(Err(_)) | None => {
                    self.upload = None;
                    break;
                }
            };
            let data = part.split_to(room);
            progress.sent += data.len() as u64;
            let is_last = part.is_empty() && matches!(source, Source::Whole(rest) if rest.is_empty());
            if stream.send_data(data, is_last).is_err() || is_last {
                self.upload = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_download(&mut self, context: &mut Context<'_>, progress: &mut Progress) -> Poll<Result<(), Broken>> {
        if let Some(response) = &mut self.response {
            let response = ready!(Pin::new(response).poll(context)).map_err(|error| lost(error, false))?;
            self.response = None;
            let (parts, body) = response.into_parts();
            progress.status = parts.status.as_u16();
            if let Some(length) = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
            {
                self.body.expect(length, progress);
            }
            self.head = Some(Head { status: parts.status, version: Version::HTTP_2, headers: parts.headers });
            self.download = Some(body);
        }
        let Some(download) = &mut self.download else { return Poll::Ready(Ok(())) };
        while !download.is_end_stream() {
            match download.poll_data(context) {
                Poll::Pending => {
                    progress.clock.enter(Phase::Receiving);
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(data))) => {
                    // Fails only if more is released than arrived.
                    let _ = download.flow_control().release_capacity(data.len());
                    self.body.add_bytes(data, progress);
                }
                // The server has said all and wants no more of the request (RFC 9113, section 8.1).
                Poll::Ready(Some(Err(error))) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => break,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(lost(error, true))),
                Poll::Ready(None) => {
                    ready!(download.poll_trailers(context)).map_err(|error| lost(error, true))?;
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Returns the failure of a request whose stream or connection ended with `error`.
#[cold]
fn lost(error: h2::Error, has_responded: bool) -> Broken {
    let is_lost = error.get_io().is_some_and(is_lost) || error.is_remote() && (error.is_reset() || error.is_go_away());
    let at = if has_responded {
        BrokenAt::Other
    } else if error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)) {
        // The streams after the last one of a GOAWAY, and refused ones, were not processed (RFC 9113, section 8.7).
        BrokenAt::Unprocessed
    } else if error.is_io() && is_lost {
        BrokenAt::Unanswered
    } else {
        BrokenAt::Other
    };
    let kind = match (has_responded, is_lost) {
        (true, _) => RequestErrorKind::Body,
        (false, true) => RequestErrorKind::Reset,
        (false, false) => RequestErrorKind::Other,
    };
    Broken { error: TransportError::new(kind, error), at }
}
