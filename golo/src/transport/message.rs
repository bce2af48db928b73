//! Messages of one hop: the request as it goes to a connection, and the response as it comes back.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version};
use reqwest::{Body, Url};

use crate::error::transport::TransportError;
use crate::transport::clock::PhaseClock;
use crate::transport::origin::Origin;

/// The head of a request, as a connection sends it.
pub(crate) struct Hop<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) origin: &'a Origin,
}

impl Hop<'_> {
    /// Returns true if sending the request twice has the same effect as sending it once (RFC 9110, section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(
            *self.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
        )
    }
}

/// The body of a request.
pub(crate) enum Payload {
    /// A body in memory, empty if there is none. It can be sent again.
    Whole(Bytes),
    /// A stream, which can be sent once.
    Stream(Body),
    /// A stream that has been sent.
    Spent,
}

impl Payload {
    /// Returns true if the body can be sent from its beginning.
    pub(crate) fn is_fresh(&self) -> bool {
        !matches!(self, Self::Spent)
    }
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// A request without a complete response.
pub(crate) struct Broken {
    pub(crate) error: TransportError,
    /// Part of the exchange in which the connection broke.
    pub(crate) at: BrokenAt,
}

/// Part of an exchange in which a connection broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokenAt {
    /// The server had taken nothing of the request.
    Unsent,
    /// The server said that it did not process the request.
    Unprocessed,
    /// The connection was lost before any byte of the response arrived.
    Unanswered,
    /// Anywhere else, or for another reason.
    Other,
}

/// State of a request, up to date whenever it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) clock: PhaseClock,
    /// Status of the response, or 0 if none has arrived.
    pub(crate) status: u16,
    /// Bytes of the response's body so far.
    pub(crate) size: u64,
    /// Bytes of the request's body that connections have taken.
    pub(crate) sent: u64,
    /// True if the bytes of the response's body are counted and dropped.
    pub(crate) discards_body: bool,
}

impl Progress {
    pub(crate) fn start(now: std::time::Instant) -> Self {
        Self { clock: PhaseClock::start(now), status: 0, size: 0, sent: 0, discards_body: false }
    }
}

/// Collects the body of a response.
#[derive(Default)]
pub(crate) struct Collected {
    /// The body, if it arrived in one piece.
    piece: Bytes,
    pieces: BytesMut,
}

impl Collected {
    /// Adds a part of the body.
    pub(crate) fn add(&mut self, data: &[u8], progress: &mut Progress) {
        progress.size += data.len() as u64;
        if !progress.discards_body {
            self.pieces.extend_from_slice(data);
        }
    }

    /// Adds a part of the body without copying it, if it is the first.
    pub(crate) fn add_bytes(&mut self, data: Bytes, progress: &mut Progress) {
        if !self.piece.is_empty() {
            self.pieces.extend_from_slice(&std::mem::take(&mut self.piece));
        }
        if self.pieces.is_empty() && !progress.discards_body {
            progress.size += data.len() as u64;
            self.piece = data;
        } else {
            self.add(&data, progress);
        }
    }

    /// Makes room for a body of this length.
    pub(crate) fn expect(&mut self, length: u64, progress: &Progress) {
        /// Room that is made before the body has arrived. A length is only an announcement.
        const MOST: u64 = 1 << 20;
        if !progress.discards_body {
            self.pieces.reserve(length.min(MOST) as usize);
        }
    }

    pub(crate) fn into_bytes(mut self) -> Bytes {
        match (self.piece.is_empty(), self.pieces.is_empty()) {
            (_, true) => self.piece,
            (true, false) => self.pieces.freeze(),
            (false, false) => {
                let mut whole = BytesMut::from(self.piece);
                whole.unsplit(std::mem::take(&mut self.pieces));
                whole.freeze()
            }
        }
    }
}
