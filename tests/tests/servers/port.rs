//! Free ports for programs that cannot choose one themselves.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use tokio::net::TcpSocket;

/// A port that no other program is given while this value lives: it is bound, but nothing listens.
///
/// A server can still listen on it, since servers set `SO_REUSEADDR`.
pub(crate) struct Port {
    pub(crate) number: u16,
    _bound: TcpSocket,
}

impl Port {
    /// Returns a port that is free for TCP and UDP.
    pub(crate) fn free() -> Self {
        loop {
            let bound = TcpSocket::new_v4().unwrap();
            bound.set_reuseaddr(true).unwrap();
            bound.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
            let number = bound.local_addr().unwrap().port();
            if UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self { number, _bound: bound };
            }
        }
    }
}
