//! A WebSocket server to load, on a thread of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Result;

/// Starts a server on a free port of loopback, which runs as long as the process, and returns the URL of a room.
///
/// # Panics
///
/// Panics if the system has no free port.
#[expect(clippy::expect_used, reason = "documented")]
pub(crate) fn spawn() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((connection, _)) = listener.accept().await {
                let _ = connection.set_nodelay(true);
                tokio::spawn(chat(connection));
            }
        });
    });
    format!("ws://{address}/rooms/7")
}

/// Greets, and answers each message with the same message.
async fn chat(connection: TcpStream) -> Result<()> {
    let mut room = accept_async(connection).await?;
    room.send("welcome to room 7!".into()).await?;
    while let Some(message) = room.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            room.send(message).await?;
        }
    }
    Ok(())
}
