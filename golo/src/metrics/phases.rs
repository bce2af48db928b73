//! Phases of one request.

use std::time::Duration;

use crate::metrics::output::nanoseconds;

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

/// [`Phases`] that may be unknown, in less memory. They are exact below 4 s, and to half a billionth above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedPhases {
    /// Nanoseconds, without their lowest bits.
    times: [u32; 7],
    /// Number of the bits that are left out, or [`Self::UNKNOWN`].
    shift: u8,
}

impl PackedPhases {
    const UNKNOWN: u8 = u8::MAX;

    /// Returns the phases, if they are known.
    #[must_use]
    pub fn unpack(self) -> Option<Phases> {
        if self.shift == Self::UNKNOWN {
            return None;
        }
        let times = self.times.map(|time| Duration::from_nanos(u64::from(time) << self.shift));
        let [blocked, dns, connecting, tls_handshaking, sending, waiting, receiving] = times;
        Some(Phases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving })
    }
}

impl From<Option<Phases>> for PackedPhases {
    fn from(phases: Option<Phases>) -> Self {
        let Some(phases) = phases else { return Self { times: [0; 7], shift: Self::UNKNOWN } };
        let Phases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving } = phases;
        let times = [blocked, dns, connecting, tls_handshaking, sending, waiting, receiving].map(nanoseconds);
        let bits = u64::BITS - times.iter().fold(0, |all, time| all | time).leading_zeros();
        let shift = bits.saturating_sub(u32::BITS);
        Self { times: times.map(|time| (time >> shift) as u32), shift: shift as u8 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_phases_are_exact_unless_they_are_long() {
        let packed = |phases: Option<Phases>| PackedPhases::from(phases).unpack();
        let phases = |nanos| {
            let (dns, waiting) = (Duration::from_nanos(7), Duration::from_nanos(nanos));
            Some(Phases { dns, waiting, ..Phases::default() })
        };
        assert_eq!(packed(None), None);
        for exact in [Some(Phases::default()), phases(1), phases(u32::MAX.into())] {
            assert_eq!(packed(exact), exact);
        }
        let hour = 3_600_123_456_789;
        let long = packed(phases(hour)).unwrap();
        assert!(hour - nanoseconds(long.waiting) < 2_000, "{long:?}");
        assert_eq!(packed(Some(long)), Some(long), "packed again");
        assert_eq!(packed(phases(u64::MAX)).unwrap().waiting.as_nanos() >> 32, (1 << 32) - 1);
    }
}
