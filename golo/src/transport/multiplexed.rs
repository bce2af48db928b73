//! Connections whose streams carry requests at the same time: HTTP/2, and HTTP/3 with its feature.

use bytes::Bytes;

use crate::transport::http2::Http2;
#[cfg(feature = "http3")]
use crate::transport::http3::Http3;
use crate::transport::message::{Broken, Head, Hop, Payload, Progress};

/// A connection that carries several requests at a time.
pub(crate) enum Multiplexed {
    Http2(Box<Http2>),
    #[cfg(feature = "http3")]
    Http3(Box<Http3>),
}

macro_rules! each {
    ($multiplexed:expr, $connection:ident => $call:expr) => {
        match $multiplexed {
            Self::Http2($connection) => $call,
            #[cfg(feature = "http3")]
            Self::Http3($connection) => $call,
        }
    };
}

impl Multiplexed {
    /// Returns the number of requests that use a stream.
    pub(crate) fn streams(&self) -> usize {
        each!(self, connection => connection.streams())
    }

    /// Takes a stream, unless as many are in use as the server accepts.
    pub(crate) fn take_stream(&self) -> bool {
        each!(self, connection => connection.take_stream())
    }

    /// Returns a stream that was taken.
    pub(crate) fn free_stream(&self) {
        each!(self, connection => connection.free_stream());
    }

    /// Returns true if the connection accepts new requests, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        each!(self, connection => connection.is_open())
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn exchange(
        &self,
        hop: &Hop<'_>,
        payload: &mut Payload,
        progress: &mut Progress,
    ) -> Result<(Head, Bytes), Broken> {
        match self {
            Self::Http2(http2) => http2.exchange(hop, payload, progress).await,
            // Boxed, because otherwise each request over HTTP/2 would have room for it.
            #[cfg(feature = "http3")]
            Self::Http3(http3) => Box::pin(http3.exchange(hop, payload, progress)).await,
        }
    }
}
