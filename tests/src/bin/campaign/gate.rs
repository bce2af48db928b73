//! A gate: connections pass through it until it is stalled or cut.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// State of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    Open,
    /// No byte passes.
    Stalled,
    /// Connections are closed, also new ones.
    Cut,
}

/// A running gate.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Its `HOST:PORT`.
    pub(crate) address: SocketAddr,
    passage: watch::Sender<Passage>,
}

impl Gate {
    /// Starts a gate to `target` on a free port of `host`.
    pub(crate) async fn start(host: IpAddr, target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((host, 0)).await.with_context(|| format!("{host} has no free port"))?;
        let (passage, mut state) = watch::channel(Passage::Open);
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        tokio::spawn(pass(stream, target, state.clone()));
                    }
                    changed = state.changed() => if changed.is_err() { return }
                }
            }
        });
        Ok(Self { address, passage })
    }

    /// Changes the state of the gate.
    pub(crate) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

/// Connects a client to the target until either side ends, or the gate is cut.
async fn pass(client: TcpStream, target: SocketAddr, state: watch::Receiver<Passage>) {
    let mut cut = state.clone();
    let passing = async {
        let Ok(server) = TcpStream::connect(target).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(copy(from_client, to_server, state.clone()), copy(from_server, to_client, state));
    };
    tokio::select! {
        () = passing => {}
        // Also if the gate is gone.
        _ = cut.wait_for(|passage| *passage == Passage::Cut) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut state: watch::Receiver<Passage>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if state.wait_for(|passage| *passage == Passage::Open).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
    _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Starts a gate and a connection through it. Returns them with the target's end of the connection.
    async fn connected() -> (Gate, TcpStream, TcpStream) {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = target.local_addr().unwrap();
        let gate = Gate::start(address.ip(), address).await.unwrap();
        let client = TcpStream::connect(gate.address).await.unwrap();
        (gate, client, target.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn stalled_bytes_pass_once_the_gate_is_open() {
        let (gate, mut client, mut server) = connected().await;
        gate.set(Passage::Stalled);
        client.write_all(b"x").await.unwrap();
        let early = timeout(Duration::from_millis(50), server.read_u8()).await;
        assert!(early.is_err(), "{early:?}");
        gate.set(Passage::Open);
        assert_eq!(golo_tests::within("the byte", server.read_u8()).await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn cut_gate_closes_old_and_new_connections() {
        let (gate, mut client, _server) = connected().await;
        gate.set(Passage::Cut);
        golo_tests::within("the end", client.read_u8()).await.unwrap_err();
        let mut new = TcpStream::connect(gate.address).await.unwrap();
        golo_tests::within("the end", new.read_u8()).await.unwrap_err();
    }
}
