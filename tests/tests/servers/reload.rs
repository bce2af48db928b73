//! A server that is told to read its configuration again in mid-run.

use golo_tests::{Signal, until};

use crate::load::Load;
use crate::software::{PLAIN, TLS, nginx};

/// Reloads nginx three times, each after a further 1,500 requests, as `nginx -s reload` does.
async fn assert_flawless(scheme: &str, port: usize, flags: &str) {
    let Some(server) = nginx("", "").await else { return };
    let flags = format!("--users 20 --iterations 300 {flags}");
    let load = Load::on(&server.url(scheme, port), &flags).with("REQUESTS", "20");
    let run = tokio::spawn(load.run());
    for time in 1..=3 {
        until("nginx has answered some more", || run.is_finished() || server.lines() >= time * 1500).await;
        server.signal(Signal::HUP);
    }
    let summary = run.await.unwrap();
    summary.assert_flawless(6000, &server.stopped().await);
}

#[tokio::test]
async fn no_request_fails_as_nginx_reloads() {
    assert_flawless("http", PLAIN, "").await;
}

#[tokio::test]
async fn no_request_fails_as_nginx_reloads_over_http_2() {
    assert_flawless("https", TLS, "--insecure").await;
}

#[tokio::test]
async fn no_request_fails_as_nginx_reloads_under_shared_connections_of_http_2() {
    assert_flawless("https", TLS, "--insecure --connections shared").await;
}
