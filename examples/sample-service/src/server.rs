//! The socket: how it is opened and served.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. The usual 128 makes clients that come all at once lose a second each.
const BACKLOG: u32 = 4096;

/// Opens a socket with a queue that holds when thousands of users connect at once. Port 0 is a free one.
///
/// # Errors
///
/// When the address cannot be had, such as when its port is taken.
///
/// # Panics
///
/// Outside a Tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows this would let two servers share a port.
    if cfg!(not(windows)) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves HTTP/1 and HTTP/2 (without TLS) until `stop` completes and what is in flight has been answered.
///
/// To give up on what is in flight, drop the future and then its runtime.
///
/// # Errors
///
/// None at present: a connection that fails is that connection's matter.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = listener.tap_io(|connection| {
        // Without it the connection works all the same, only later.
        let _ = connection.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
