//! Listener of the service, and the loop that serves it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. With the usual 128, clients that connect at the same time lose a second
/// each.
const BACKLOG: u32 = 4096;

/// Opens a listener with a queue that is long enough for thousands of users that connect at once. Port 0 selects a free
/// port.
///
/// # Errors
///
/// Returns an error if the address is not available, for example because the port is in use.
///
/// # Panics
///
/// Panics outside a Tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows this would let two servers share a port.
    if cfg!(not(windows)) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves HTTP/1 and HTTP/2 (without TLS) until `stop` completes and all requests in flight have been answered.
///
/// To abandon the requests in flight, drop the future and then its runtime.
///
/// # Errors
///
/// Returns no error at present. A failed connection ends only that connection.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|connection| {
        // If this fails, the connection still works but is slower.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
