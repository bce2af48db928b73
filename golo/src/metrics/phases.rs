//! Phases of one request.

use std::time::Duration;

/// Time that a request spent in each of its phases. A phase that did not happen is zero, for example connecting if the
/// connection was reused. The phases never overlap, and together they are at most the request's duration.
///
/// The definitions are those of k6, except for [`dns`](Self::dns), which k6 does not have. A request that was redirected
/// has the sums over all its hops.
///
/// ```
/// let phases = golo::Phases::default();
/// assert_eq!(phases.total(), std::time::Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phases {
    /// Time inside golo, waiting for a connection or a stream.
    pub blocked: Duration,
    /// Time to look up the host name.
    pub dns: Duration,
    /// Time to make the TCP connection, including the tunnel of a proxy.
    pub connecting: Duration,
    /// Time of the TLS handshake. For HTTP/3 this includes making the connection.
    pub tls_handshaking: Duration,
    /// Time until the last byte of the request was handed to the system.
    pub sending: Duration,
    /// Time from there to the first byte of the response.
    pub waiting: Duration,
    /// Time from there to the last byte of the response.
    pub receiving: Duration,
}

impl Phases {
    /// Returns the sum of all phases.
    #[must_use]
    pub fn total(&self) -> Duration {
        let Self { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving } = *self;
        blocked + dns + connecting + tls_handshaking + sending + waiting + receiving
    }
}

/// A phase of a request. [`Phases`] describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting inside golo, for a connection or a stream.
    Blocked,
    /// Looking up the host name.
    Dns,
    /// Making the TCP connection.
    Connecting,
    /// The TLS handshake.
    TlsHandshaking,
    /// Sending the request.
    Sending,
    /// Waiting for the first byte of the response.
    Waiting,
    /// Receiving the response.
    Receiving,
}

impl Phase {
    /// All phases, in the order in which they happen.
    pub const ALL: [Self; 7] = [
        Self::Blocked,
        Self::Dns,
        Self::Connecting,
        Self::TlsHandshaking,
        Self::Sending,
        Self::Waiting,
        Self::Receiving,
    ];

    /// Returns the name of the phase in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Connecting => "connecting",
            Self::TlsHandshaking => "tls_handshaking",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Receiving => "receiving",
        }
    }
}
