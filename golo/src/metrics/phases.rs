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
