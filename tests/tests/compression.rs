//! Compressed bodies. `set_client` applies to the whole process, so these tests have their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/requests.rs"]
mod support;

use std::{io::Write as _, sync::Once};

use flate2::{Compression, write::GzEncoder};
use golo::reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use golo::reqwest::{Client, ClientBuilder};
use support::{failed, patiently, read_head, sent, serve, serve_bytes};
use tokio::io::AsyncWriteExt as _;

fn client() -> Client {
    static ASK: Once = Once::new();
    ASK.call_once(|| golo::set_client(|builder: ClientBuilder| builder.gzip(true).build()));
    golo::client()
}

fn compressed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn client_asks_for_gzip() {
    let address = serve(async |mut connection| {
        let head = read_head(&mut connection).await;
        let _ = connection.write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{head}").as_bytes()).await;
    });
    let url = format!("http://{}/", address.await);
    let response = patiently(golo::do_request("journey", client().get(url))).await.unwrap();
    let head = response.text().await.unwrap().to_lowercase();
    assert!(head.contains("\r\naccept-encoding: gzip\r\n"), "{head}");
}

#[tokio::test]
async fn size_is_that_of_the_decompressed_body() {
    let text = "Hello World\n".repeat(10_000);
    let body = compressed(text.as_bytes());
    assert!(body.len() < text.len() / 10);
    let url = serve_bytes(answer(&body)).await;
    let (result, output) = sent(golo::request("journey", client().get(url))).await;
    let response = result.unwrap();
    assert_eq!((output.status, output.size, output.error), (200, text.len() as i64, None));
    assert_eq!(response.content_length(), Some(text.len() as u64));
    assert!(!response.headers().contains_key(CONTENT_ENCODING) && !response.headers().contains_key(CONTENT_LENGTH));
    assert_eq!(response.text().await.unwrap(), text);
}

#[tokio::test]
async fn uncompressed_body_is_unchanged() {
    let url = serve_bytes("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nHello World\n").await;
    let (result, output) = sent(golo::request("journey", client().get(url))).await;
    assert_eq!(output.size, 12);
    assert_eq!(result.unwrap().text().await.unwrap(), "Hello World\n");
}

#[tokio::test]
async fn invalid_gzip_body_fails() {
    let url = serve_bytes(answer(b"Hello World\n")).await;
    let (error, output, _) = failed("body", client().get(&url)).await;
    assert_eq!(error.to_string(), format!("GET {url} could not read the whole body"));
    assert_eq!((output.status, output.size), (200, 0));
}

#[tokio::test]
async fn damaged_or_truncated_gzip_body_fails() {
    let whole = compressed("Hello World\n".repeat(10_000).as_bytes());
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    for body in [&damaged[..], &whole[..whole.len() / 2]] {
        let (_, output, _) = failed("body", client().get(serve_bytes(answer(body)).await)).await;
        assert_eq!(output.status, 200);
    }
}
