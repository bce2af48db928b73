//! A gRPC server to load: the health service of tonic, on a thread of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use tokio::runtime::Builder;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Starts a server on a free port of loopback, which runs as long as the process, and returns its URL.
///
/// # Panics
///
/// Panics if the system has no free port.
#[expect(clippy::expect_used, reason = "documented")]
pub(crate) fn spawn() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (_reporter, health) = tonic_health::server::health_reporter();
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            Server::builder().add_service(health).serve_with_incoming(incoming).await
        })
    });
    format!("http://{address}")
}
