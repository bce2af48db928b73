//! Events of connections to the target.

/// HTTP version that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1, or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

/// Kind of a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handshake {
    /// A handshake with the server's certificate.
    Full,
    /// The session of an earlier connection was resumed.
    Resumed,
}

/// Event of a connection to the target, for [`Sink::connection`](crate::Sink::connection).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A connection was opened.
    Opened {
        /// HTTP version of the connection.
        version: HttpVersion,
        /// Kind of its TLS handshake, if it uses TLS.
        handshake: Option<Handshake>,
    },
    /// A connection carries its first request.
    Used,
    /// A connection carries another request after an earlier one.
    Reused,
    /// A connection was closed, by golo or by the server.
    Closed {
        /// True if the server closed it.
        by_server: bool,
    },
    /// A request was sent again, because the server had not processed it.
    Resent,
}
