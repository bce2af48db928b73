//! Servers that answer before they have read the body.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::load::{Load, Summary};
use crate::software::{PLAIN, TLS, nginx};

/// Posts 60 bodies of 10 MB.
async fn posted(url: &str, flags: &str) -> Summary {
    let flags = format!("--users 6 --iterations 12 {flags}");
    let load = Load::on(url, &flags).with("METHOD", "POST").with("BODY_BYTES", "10000000").with("REQUESTS", "5");
    load.run().await
}

#[track_caller]
fn assert_all_too_large(summary: &Summary) {
    assert_eq!(summary.statuses(), [(413, 60)].into(), "{}", summary.text());
    assert_eq!((summary.requests(), summary.failed()), (60, 60));
}

#[tokio::test]
async fn status_of_a_body_that_is_too_large_for_nginx_is_reported() {
    let Some(server) = nginx("client_max_body_size 1m;", "").await else { return };
    let summary = posted(&server.url("http", PLAIN), "").await;
    let log = server.stopped().await;
    assert_all_too_large(&summary);
    summary.assert_logged(&log);
    summary.assert_statuses(&log);
}

#[tokio::test]
async fn status_of_a_body_that_is_too_large_for_nginx_is_reported_over_http_2() {
    let Some(server) = nginx("client_max_body_size 1m;", "").await else { return };
    let summary = posted(&server.url("https", TLS), "--insecure").await;
    let log = server.stopped().await;
    assert_all_too_large(&summary);
    summary.assert_logged(&log);
    summary.assert_statuses(&log);
}

#[tokio::test]
async fn status_of_a_server_that_answers_and_closes_at_once_is_reported() {
    let (address, answered) = refusing().await;
    let summary = posted(&format!("http://{address}/"), "").await;
    assert_all_too_large(&summary);
    assert_eq!(answered.load(Relaxed), 60, "nothing is sent twice");
}

/// Starts a server that reads the head of a request, answers 413, and closes the connection with the body unread, which
/// resets it. Returns its address and the number of its answers.
async fn refusing() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answered = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&answered);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                if refuse(connection).await.is_ok() {
                    count.fetch_add(1, Relaxed);
                }
            });
        }
    });
    (address, answered)
}

async fn refuse(mut connection: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let answer = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    connection.write_all(answer).await
}
