//! Connections to the target: how many were opened, used and closed, and how many are open.

use crate::{ConnectionEvent, Handshake, HttpVersion};

/// Connections of golo's transport.
///
/// Connections count from the first one on, also those of `setup`, of the warm-up and of users that started or stopped.
/// Requests count only if they are measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// Connections opened for HTTP/1.1.
    pub http1: u64,
    /// Connections opened for HTTP/2.
    pub http2: u64,
    /// Connections opened for HTTP/3.
    pub http3: u64,
    /// TLS handshakes with the server's certificate.
    pub handshakes_full: u64,
    /// TLS handshakes that resumed the session of an earlier connection.
    pub handshakes_resumed: u64,
    /// Connections that carried at least one request.
    pub used: u64,
    /// Requests on a connection that had carried an earlier one.
    pub reused: u64,
    /// Connections that the server closed.
    pub closed_by_server: u64,
    /// Requests that were sent again, because the server had not processed them.
    pub resent: u64,
}

impl Connections {
    /// Counts an event. `is_measured` is false before the measured part, and while users start and stop.
    pub(super) fn count(&mut self, event: ConnectionEvent, is_measured: bool) {
        match event {
            ConnectionEvent::Opened { version, handshake } => {
                *match version {
                    HttpVersion::Http1 => &mut self.http1,
                    HttpVersion::Http2 => &mut self.http2,
                    HttpVersion::Http3 => &mut self.http3,
                } += 1;
                match handshake {
                    Some(Handshake::Full) => self.handshakes_full += 1,
                    Some(Handshake::Resumed) => self.handshakes_resumed += 1,
                    None => {}
                }
            }
            ConnectionEvent::Used => self.used += 1,
            ConnectionEvent::Reused => self.reused += u64::from(is_measured),
            ConnectionEvent::Closed { by_server } => self.closed_by_server += u64::from(by_server),
            ConnectionEvent::Resent => self.resent += u64::from(is_measured),
        }
    }

    /// Returns the number of connections that were opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.http1.saturating_add(self.http2).saturating_add(self.http3)
    }

    /// Adds the connections of others.
    pub fn merge(&mut self, other: &Self) {
        let Self { http1, http2, http3, handshakes_full, handshakes_resumed, used, reused, closed_by_server, resent } =
            *other;
        for (to, from) in [
            (&mut self.http1, http1),
            (&mut self.http2, http2),
            (&mut self.http3, http3),
            (&mut self.handshakes_full, handshakes_full),
            (&mut self.handshakes_resumed, handshakes_resumed),
            (&mut self.used, used),
            (&mut self.reused, reused),
            (&mut self.closed_by_server, closed_by_server),
            (&mut self.resent, resent),
        ] {
            *to = to.saturating_add(from);
        }
    }
}

/// Number of connections that are open, and the most at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Open {
    now: u64,
    most: u64,
}

impl Open {
    /// Counts an event. A connection that another thread opened may be closed here, so the number never falls below 0.
    pub(super) fn count(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Opened { .. } => {
                self.now += 1;
                self.most = self.most.max(self.now);
            }
            ConnectionEvent::Closed { .. } => self.now = self.now.saturating_sub(1),
            ConnectionEvent::Used | ConnectionEvent::Reused | ConnectionEvent::Resent => {}
        }
    }

    /// Returns the most connections that were open at once since the last call.
    pub(super) fn take_most(&mut self) -> u64 {
        std::mem::replace(&mut self.most, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: ConnectionEvent =
        ConnectionEvent::Opened { version: HttpVersion::Http2, handshake: Some(Handshake::Resumed) };
    const CLOSED: ConnectionEvent = ConnectionEvent::Closed { by_server: true };

    #[test]
    fn most_open_connections_are_those_of_each_period() {
        let mut open = Open::default();
        open.count(CLOSED);
        [OPENED, OPENED, CLOSED, OPENED, CLOSED].into_iter().for_each(|event| open.count(event));
        assert_eq!(open.take_most(), 2);
        assert_eq!(open.take_most(), 1, "one is still open");
        open.count(CLOSED);
        assert_eq!((open.take_most(), open.take_most()), (1, 0));
    }

    #[test]
    fn unmeasured_requests_do_not_count_and_their_connections_do() {
        let events = [OPENED, ConnectionEvent::Used, ConnectionEvent::Reused, ConnectionEvent::Resent, CLOSED];
        let (mut measured, mut not) = (Connections::default(), Connections::default());
        for event in events {
            measured.count(event, true);
            not.count(event, false);
        }
        let connections =
            Connections { http2: 1, handshakes_resumed: 1, used: 1, closed_by_server: 1, ..Connections::default() };
        assert_eq!(not, connections);
        assert_eq!(measured, Connections { reused: 1, resent: 1, ..connections });
        measured.merge(&not);
        assert_eq!((measured.opened(), measured.used, measured.reused), (2, 2, 1));
    }
}
