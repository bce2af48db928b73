//! As many requests as the server answers: none fails, and the report has as many as the log.

use crate::load::Load;
use crate::server::Server;
use crate::software::{H2C, PLAIN, TLS, apache, caddy, gunicorn, haproxy, nginx, node, uvicorn};

const HTTP_1: &str = "HTTP/1.1";
const HTTP_2: &str = "HTTP/2.0";

/// Sends this number of triggers with 10 requests each from 50 users. The log must have them, in this version of HTTP.
async fn assert_counted(server: Option<Server>, scheme: &str, port: usize, version: &str, flags: &str, triggers: u64) {
    let Some(server) = server else { return };
    let flags = format!("--users 50 --iterations {triggers} {flags}");
    let summary = Load::on(&server.url(scheme, port), &flags).with("REQUESTS", "10").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(10 * triggers, &log);
    summary.assert_statuses(&log);
    assert_eq!(log.versions().into_keys().collect::<Vec<_>>(), [version], "{}", summary.text());
}

#[tokio::test]
async fn nginx_logs_what_is_reported() {
    assert_counted(nginx("", "").await, "http", PLAIN, HTTP_1, "", 500).await;
}

#[tokio::test]
async fn nginx_logs_what_is_reported_over_http_2() {
    assert_counted(nginx("", "").await, "https", TLS, HTTP_2, "--insecure", 400).await;
}

#[tokio::test]
async fn nginx_logs_what_is_reported_over_http_2_without_tls() {
    assert_counted(nginx("", "").await, "http", H2C, HTTP_2, "--http 2", 400).await;
}

#[tokio::test]
async fn nginx_logs_what_is_reported_over_http_1_if_it_is_asked_for() {
    assert_counted(nginx("", "").await, "https", TLS, HTTP_1, "--insecure --http 1.1", 300).await;
}

#[tokio::test]
async fn nginx_is_trusted_by_its_own_certificate() {
    let Some(server) = nginx("", "").await else { return };
    let certificate = server.file("certificate.pem").display().to_string();
    let flags = format!("--cacert {certificate}");
    assert_counted(Some(server), "https", TLS, HTTP_2, &flags, 100).await;
}

#[tokio::test]
async fn nginx_logs_redirects_as_well() {
    let Some(server) = nginx("", "").await else { return };
    let url = format!("{}moved", server.url("http", PLAIN));
    let summary = Load::on(&url, "--users 20 --iterations 200").with("REQUESTS", "10").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(2000, &log);
    assert_eq!(summary.redirects(), 2000);
    assert_eq!(log.statuses(), [(200, 2000), (302, 2000)].into());
}

#[tokio::test]
async fn apache_logs_what_is_reported() {
    assert_counted(apache("MaxKeepAliveRequests 0").await, "http", PLAIN, HTTP_1, "", 500).await;
}

#[tokio::test]
async fn haproxy_and_the_server_behind_it_log_what_is_reported() {
    let Some(behind) = nginx("", "").await else { return };
    let Some(front) = haproxy(behind.port(PLAIN), "").await else { return };
    let summary = Load::on(&front.url("http", PLAIN), "--users 50 --iterations 500").with("REQUESTS", "10");
    let summary = summary.run().await;
    let logs = [front.stopped().await, behind.stopped().await];
    for log in &logs {
        summary.assert_flawless(5000, log);
        summary.assert_statuses(log);
    }
}

#[tokio::test]
async fn haproxy_logs_what_is_reported_over_http_2() {
    let Some(behind) = nginx("", "").await else { return };
    assert_counted(haproxy(behind.port(PLAIN), "").await, "https", TLS, HTTP_2, "--insecure", 400).await;
    behind.stopped().await;
}

#[tokio::test]
async fn caddy_logs_what_is_reported() {
    assert_counted(caddy("").await, "http", PLAIN, HTTP_1, "", 500).await;
}

#[tokio::test]
async fn caddy_logs_what_is_reported_over_http_2() {
    assert_counted(caddy("").await, "https", TLS, HTTP_2, "--insecure", 400).await;
}

#[tokio::test]
async fn caddy_logs_what_is_reported_over_http_3() {
    assert_counted(caddy("").await, "https", TLS, "HTTP/3.0", "--insecure --http 3", 300).await;
}

#[tokio::test]
async fn node_logs_what_is_reported() {
    assert_counted(node("{}").await, "http", PLAIN, HTTP_1, "", 500).await;
}

#[tokio::test]
async fn node_logs_what_is_reported_over_http_2() {
    assert_counted(node("{}").await, "https", TLS, HTTP_2, "--insecure", 400).await;
}

#[tokio::test]
async fn node_logs_what_is_reported_over_http_2_without_tls() {
    assert_counted(node("{}").await, "http", H2C, HTTP_2, "--http 2", 300).await;
}

#[tokio::test]
async fn uvicorn_logs_what_is_reported() {
    assert_counted(uvicorn("").await, "http", PLAIN, HTTP_1, "", 150).await;
}

#[tokio::test]
async fn gunicorn_with_a_connection_for_each_request_logs_what_is_reported() {
    let Some(server) = gunicorn().await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--users 20 --iterations 200").with("REQUESTS", "10");
    let summary = load.run().await;
    let log = server.stopped().await;
    summary.assert_flawless(2000, &log);
    // A port of the client can come up again, since it is free after its connection.
    assert!(log.connections().len() > 1500, "{} connections", log.connections().len());
    assert!(log.connections().into_values().all(|requests| requests < 8));
}
