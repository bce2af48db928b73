//! Pauses about as long as the server keeps an idle connection: it closes connections on which requests are on their way.

use crate::load::Load;
use crate::server::Server;
use crate::software::{PLAIN, TLS, apache, caddy, haproxy, nginx, node, uvicorn};

/// Lets 100 users pause for 0.9 to 1.1 s after each of 3 requests.
async fn assert_flawless(server: Option<Server>, scheme: &str, port: usize, flags: &str) {
    let Some(server) = server else { return };
    let flags = format!("--users 100 --iterations 100 {flags}");
    let load = Load::on(&server.url(scheme, port), &flags).with("REQUESTS", "3").with("PAUSE", "900-1100");
    let summary = load.run().await;
    summary.assert_flawless(300, &server.stopped().await);
}

#[tokio::test]
async fn no_request_fails_as_servers_close_idle_connections() {
    let behind = nginx("", "").await;
    let haproxy = match &behind {
        Some(behind) => haproxy(behind.port(PLAIN), "timeout http-keep-alive 1s").await,
        None => None,
    };
    tokio::join!(
        assert_flawless(nginx("keepalive_timeout 1s;", "").await, "http", PLAIN, ""),
        assert_flawless(apache("KeepAliveTimeout 1").await, "http", PLAIN, ""),
        assert_flawless(haproxy, "http", PLAIN, ""),
        assert_flawless(caddy("idle 1s").await, "http", PLAIN, ""),
        assert_flawless(node(r#"{"keepAlive":1000}"#).await, "http", PLAIN, ""),
        assert_flawless(uvicorn("--timeout-keep-alive 1").await, "http", PLAIN, ""),
    );
}

#[tokio::test]
async fn no_request_fails_as_servers_close_idle_connections_of_http_2() {
    tokio::join!(
        assert_flawless(nginx("keepalive_timeout 1s;", "").await, "https", TLS, "--insecure"),
        assert_flawless(caddy("idle 1s").await, "https", TLS, "--insecure"),
    );
}

#[tokio::test]
async fn posts_are_not_sent_twice() {
    let Some(server) = nginx("keepalive_timeout 1s;", "").await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--users 100 --iterations 100");
    let load = load.with("METHOD", "POST").with("BODY_BYTES", "10").with("REQUESTS", "3").with("PAUSE", "900-1100");
    let summary = load.run().await;
    let log = server.stopped().await;
    assert_eq!((summary.requests(), summary.resent()), (300, 0), "{}", summary.text());
    summary.assert_logged(&log);
}

#[tokio::test]
async fn nothing_is_sent_twice_with_no_resend() {
    let Some(server) = nginx("keepalive_timeout 1s;", "").await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--users 100 --iterations 100 --no-resend");
    let summary = load.with("REQUESTS", "3").with("PAUSE", "900-1100").run().await;
    let log = server.stopped().await;
    assert_eq!((summary.requests(), summary.resent()), (300, 0), "{}", summary.text());
    summary.assert_logged(&log);
}
