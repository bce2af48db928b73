//! Errors of golo's transport.

use std::io;

use super::{BoxError, RequestErrorKind};

/// Reason why there is no complete response.
#[derive(Debug)]
pub(crate) struct TransportError {
    pub(crate) kind: RequestErrorKind,
    pub(crate) source: BoxError,
}

impl TransportError {
    pub(crate) fn new(kind: RequestErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: source.into() }
    }

    /// Creates the error of a request that took too long.
    #[cold]
    pub(crate) fn timeout() -> Self {
        Self::new(RequestErrorKind::Timeout, "operation timed out")
    }

    /// Creates the error of a connection that could not be made.
    #[cold]
    pub(crate) fn connect(error: io::Error) -> Self {
        Self::new(RequestErrorKind::Connect, error)
    }

    /// Creates the error of a TLS handshake that failed.
    #[cold]
    pub(crate) fn tls(error: io::Error) -> Self {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        Self::new(if is_tls { RequestErrorKind::Tls } else { RequestErrorKind::Connect }, error)
    }

    /// Creates the error of a connection that was lost, or whose peer does not speak HTTP.
    #[cold]
    pub(crate) fn exchange(error: io::Error, has_responded: bool) -> Self {
        let kind = match has_responded {
            true => RequestErrorKind::Body,
            false if is_lost(&error) => RequestErrorKind::Reset,
            false if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => RequestErrorKind::Tls,
            false => RequestErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Returns true if an error means that the connection is gone.
pub(crate) fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}
