//! WebSockets over TLS and through a proxy, as the load test's settings have it. These settings hold for a whole process,
//! so this is a process of its own with one test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/acceptor.rs"]
mod acceptor;
#[path = "support/requests.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use golo::{RequestError, websocket};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async;

use self::acceptor::acceptor;
use self::support::{read_head, serve, triggered};

/// Serves WebSockets over TLS for `localhost`. Each gets the protocol that its handshake chose as a message. Returns the
/// certificate in PEM.
async fn secure_rooms() -> (SocketAddr, String) {
    let (acceptor, certificate) = acceptor(&["h2", "http/1.1"]);
    let address = serve(move |connection| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(connection) = acceptor.accept(connection).await else { return };
            let protocol = connection.get_ref().1.alpn_protocol().map(<[u8]>::to_vec).unwrap_or_default();
            let mut room = accept_async(connection).await.unwrap();
            room.send(protocol.into()).await.unwrap();
            while room.next().await.is_some() {}
        }
    });
    (address.await, certificate.pem())
}

/// Serves a proxy that makes tunnels to `target`, whatever host they are for, and nothing else.
async fn proxy(target: SocketAddr) -> SocketAddr {
    let proxy = serve(move |mut connection| async move {
        if read_head(&mut connection).await.starts_with("CONNECT shop.invalid:80 ") {
            let mut target = TcpStream::connect(target).await.unwrap();
            connection.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut connection, &mut target).await;
        }
    });
    proxy.await
}

async fn first_message(url: String) -> Result<Vec<u8>, RequestError> {
    let opened = async move {
        let mut room = websocket::connect("journey", golo::client().get(url)).await?;
        Ok(room.receive().await?.into_data().to_vec())
    };
    triggered(opened).await.0
}

#[tokio::test]
async fn settings_of_the_transport_apply() {
    let (secure, certificate) = secure_rooms().await;
    let url = format!("wss://localhost:{}/", secure.port());
    assert!(first_message(url.clone()).await.unwrap_err().is_tls(), "the certificate is not trusted");
    golo::set_http(move |http| http.root_certificate(certificate.as_bytes()));
    assert_eq!(first_message(url).await.unwrap(), b"http/1.1");

    let plain = serve(|connection| async move {
        let mut room = accept_async(connection).await.unwrap();
        room.send("through the proxy".into()).await.unwrap();
        while room.next().await.is_some() {}
    })
    .await;
    let proxy = proxy(plain).await;
    golo::set_http(move |http| http.proxy(&format!("http://{proxy}")));
    assert_eq!(first_message("ws://shop.invalid/".to_owned()).await.unwrap(), b"through the proxy");
}
