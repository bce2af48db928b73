//! Bodies of requests on their way to a connection. Large bodies and streams are counted as they are sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::header::{HeaderValue, LOCATION, REFERER};
use reqwest::{Body, Client, Method, Request, Response, StatusCode, Url};

use crate::error::NotAllowed;
use crate::support::secrets::url_without_credentials;
use crate::transport::client::{self, SENSITIVE};
use crate::transport::targets;

/// Largest body in memory that is passed on as a whole. It is sent together with the head, so either all or none of it
/// is sent.
const SMALL: usize = 64 << 10;
/// Bytes of a large body that are passed on at a time. hyper takes 16 of these before it waits for the socket. So this
/// limits how many bytes are counted beyond those that the socket accepted if the target refuses the rest.
const PIECE: usize = 8 << 10;

/// Number of bytes that a connection has taken of a body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The way in which a request's body is sent.
#[derive(Default)]
pub(crate) struct Upload {
    /// Number of bytes that are passed on as a whole.
    pub(crate) whole: usize,
    /// Counter of the bytes that connections have taken of a body that is passed on in pieces.
    pub(crate) taken: Option<Taken>,
    /// Follows a redirect if the body is passed on in pieces.
    pub(crate) again: Option<Box<Again>>,
}

impl Upload {
    /// Prepares the body of `request`, which `client` is to send, so that it is counted if it is large or a stream.
    pub(crate) fn of(client: &Client, request: &mut Request) -> Self {
        let Some(body) = request.body() else { return Self::default() };
        match body.as_bytes().map(<[u8]>::len) {
            Some(length) if length <= SMALL || !client::is_own(client) => Self { whole: length, ..Self::default() },
            Some(_) => Self::in_pieces(client, request),
            None => {
                let (body, taken) = counted(request.body_mut().take().unwrap_or_default());
                *request.body_mut() = Some(body);
                Self { taken: Some(taken), ..Self::default() }
            }
        }
    }

    #[cold]
    fn in_pieces(client: &Client, request: &mut Request) -> Self {
        let again = request.try_clone().map(|request| Box::new(Again { client: client.clone(), request }));
        let bytes = request.body_mut().as_mut().and_then(bytes_of).unwrap_or_default();
        let (body, taken) = in_pieces(bytes);
        *request.body_mut() = Some(body);
        Self { whole: 0, taken: Some(taken), again }
    }
}

/// A request before its body was cut into pieces. reqwest cannot send such a body twice, so it does not follow a
/// redirect that needs the body again. golo follows that one redirect with the whole body, and reqwest follows later
/// ones.
pub(crate) struct Again {
    client: Client,
    request: Request,
}

impl Again {
    /// Returns the request that `response` redirects to, and the client that sends it. It is the request that reqwest
    /// would send. Returns `None` if golo need not follow.
    pub(crate) fn follow(mut self: Box<Self>, response: &Response) -> Option<Result<(Client, Request), NotAllowed>> {
        let wants_body = match response.status() {
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *self.request.method() != Method::POST,
            _ => false,
        };
        let location = response.headers().get(LOCATION).filter(|_| wants_body)?;
        let previous = response.url();
        let mut next = previous.join(std::str::from_utf8(location.as_bytes()).ok()?).ok()?;
        next.set_fragment(None);
        if let Err(reason) = targets::check(&next) {
            return Some(Err(reason));
        }
        let headers = self.request.headers_mut();
        let host =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        if host(&next) != host(previous) {
            SENSITIVE.iter().for_each(|name| _ = headers.remove(name));
        }
        if let Some(referer) = referer(&next, previous) {
            headers.insert(REFERER, referer);
        }
        *self.request.url_mut() = next;
        Some(Ok((self.client, self.request)))
    }

    /// Returns the number of bytes of the body.
    pub(crate) fn length(request: &Request) -> usize {
        request.body().and_then(Body::as_bytes).map_or(0, <[u8]>::len)
    }
}

pub(super) fn referer(next: &Url, previous: &Url) -> Option<HeaderValue> {
    if next.scheme() == "http" && previous.scheme() == "https" {
        return None;
    }
    let mut referer = url_without_credentials(previous).into_owned();
    referer.set_fragment(None);
    referer.as_str().parse().ok()
}

/// Counts the bytes of a streamed body.
fn counted(stream: Body) -> (Body, Taken) {
    let taken = Taken::default();
    (Body::wrap(Counted { body: stream, taken: taken.clone() }), taken)
}

/// Cuts a body in memory into pieces and counts their bytes.
fn in_pieces(bytes: Bytes) -> (Body, Taken) {
    let taken = Taken::default();
    (Body::wrap(Counted { body: Pieces(bytes), taken: taken.clone() }), taken)
}

/// Takes the bytes of a body in memory. Returns `None` if the body is a stream.
pub(super) fn bytes_of(body: &mut Body) -> Option<Bytes> {
    body.as_bytes()?;
    let mut context = Context::from_waker(std::task::Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

struct Counted<B> {
    body: B,
    taken: Taken,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            self.taken.0.fetch_add(bytes.len() as u64, Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The part of a body in memory that has not been sent.
struct Pieces(Bytes);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let length = self.0.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(self.0.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_body_and_are_counted() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let mut body = Body::from(content.clone());
        let bytes = bytes_of(&mut body).unwrap();
        assert_eq!(bytes, content);
        let (mut body, taken) = in_pieces(bytes);
        assert_eq!((body.size_hint().exact(), taken.bytes()), (Some(100_000), 0));
        let mut seen = Vec::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
            seen.extend_from_slice(&frame.unwrap().into_data().unwrap());
            assert_eq!(taken.bytes(), seen.len() as u64);
        }
        assert!(body.is_end_stream() && seen == content);
    }

    #[test]
    fn bytes_of_a_stream_are_not_taken() {
        let (mut body, _) = counted(Body::from("text"));
        assert_eq!(bytes_of(&mut body), None);
        assert_eq!(body.size_hint().exact(), Some(4), "its length is kept");
    }
}
