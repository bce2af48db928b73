//! Limits on how much of a server one client can use. Tests the HTTP server alone, so that the limits can be short.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use golo_cli::http::server::{Bounds, Server, ServerArgs, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, raw, status};

struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// Starts a server with these limits that accepts a body.
async fn serving(bounds: Bounds) -> Serving {
    let args = ServerArgs { addr: Some("127.0.0.1:0".to_owned()), ..ServerArgs::default() };
    let options = ServerOptions { bounds, ..args.into_options("test", 0, |_| None).unwrap() };
    let large = || async { Body::from(vec![0; 64 << 20]) };
    let router = Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() }).get(large));
    let server = Server::bind(options).await.unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(server.run(router, async { _ = stopped.await }));
    Serving { address, stop, server }
}

fn short() -> Bounds {
    Bounds { head: Duration::from_millis(300), stall: Duration::from_millis(300), ..Bounds::default() }
}

const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";

async fn is_served(address: SocketAddr) {
    let answer = raw(&address.to_string(), &format!("{POST}Content-Length: 5\r\n\r\nhello")).await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n5"), "{answer}");
}

/// Returns everything received until the server closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset also closes the connection.
    _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_request_head_is_dropped_and_others_are_served() {
    let serving = serving(Bounds { connections: 3, ..short() }).await;
    let mut slow = Vec::new();
    for begun in ["", "POST / HT", "POST / HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // All connections are in use: a new client is served once the slow ones are dropped.
    is_served(serving.address).await;
    for stream in slow {
        until_closed(stream).await;
    }
}

#[tokio::test]
async fn idle_keep_alive_connection_is_closed() {
    let serving = serving(short()).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx").await.unwrap();
    let answer = until_closed(stream).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn stalled_body_is_answered_with_408() {
    let serving = serving(short()).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(format!("{POST}Content-Length: 100\r\n\r\nhalf of").as_bytes()).await.unwrap();
    let answer = until_closed(stream).await;
    assert!(status(&answer) == 408 && answer.contains("{\"error\":\"nothing more of the body came"), "{answer}");
}

#[tokio::test]
async fn slow_body_without_stalls_is_accepted() {
    let serving = serving(Bounds { stall: Duration::from_secs(2), ..short() }).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(format!("{POST}Content-Length: 30\r\n\r\n").as_bytes()).await.unwrap();
    for _ in 0..30 {
        stream.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = until_closed(stream).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn body_below_the_minimum_rate_is_answered_with_408() {
    let serving = serving(Bounds { body_time: Duration::from_millis(500), ..Bounds::default() }).await;
    let stream = TcpStream::connect(serving.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(format!("{POST}Content-Length: 1000000\r\n\r\n").as_bytes()).await.unwrap();
    // Send a byte every 20 ms until the connection is closed.
    let trickling = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    // A reset also closes the connection.
    _ = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answer)).await.expect("closed");
    let answer = String::from_utf8_lossy(&answer);
    assert!(status(&answer) == 408 && answer.contains("did not come fast enough"), "{answer}");
    trickling.abort();
}

#[tokio::test]
async fn body_above_the_minimum_rate_may_exceed_the_body_time() {
    let serving = serving(Bounds { body_time: Duration::from_millis(300), ..Bounds::default() }).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    let piece = [b'x'; 8 << 10];
    stream.write_all(format!("{POST}Content-Length: {}\r\n\r\n", 20 * piece.len()).as_bytes()).await.unwrap();
    for _ in 0..20 {
        stream.write_all(&piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = until_closed(stream).await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn full_server_drops_stalled_connections_for_new_ones() {
    // The time limits are too long to matter here: only the number of connections is exhausted.
    let long = Duration::from_secs(600);
    let bounds = Bounds { connections: 8, head: long, stall: long, body_time: long, ..Bounds::default() };
    let serving = serving(bounds).await;
    let mut slow = Vec::new();
    for number in 0..30 {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(format!("{POST}Content-Length: 100\r\n\r\nhalf of").as_bytes()).await.unwrap();
        }
        slow.push(stream);
    }
    is_served(serving.address).await;
    drop(slow);
    is_served(serving.address).await;
}

#[tokio::test]
async fn oversized_body_is_answered_with_413_and_an_error() {
    let serving = serving(Bounds::default()).await;
    let address = serving.address;
    // This client reads nothing before it has sent everything.
    let sent = tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = format!("{POST}Content-Length: {}\r\n\r\n", 32 << 20);
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..32 {
            stream.write_all(&[b'x'; 1 << 20]).unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = sent.await.unwrap();
    assert!(status(&answer) == 413 && answer.contains("{\"error\":\""), "{answer}");
}

#[tokio::test]
async fn client_that_does_not_read_is_dropped() {
    let serving = serving(Bounds { connections: 1, ..short() }).await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    is_served(serving.address).await;
    drop(stream);
}

#[tokio::test]
async fn stop_waits_for_requests_in_flight() {
    let Serving { address, stop, server } = serving(Bounds::default()).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun.write_all(format!("{POST}Content-Length: 5\r\n\r\nhel").as_bytes()).await.unwrap();
    // Requests are accepted in order: once the idle connection has its answer, the other has been accepted too.
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    is_served(address).await;
    stop.send(()).unwrap();
    begun.write_all(b"lo").await.unwrap();
    let answer = until_closed(begun).await;
    assert_eq!(status(&answer), 200, "{answer}");
    until_closed(idle).await;
    tokio::time::timeout(PATIENCE, server).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
