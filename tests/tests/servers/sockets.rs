//! The number of connections that servers see.

use crate::load::Load;
use crate::log::Log;
use crate::software::{H2C, PLAIN, TLS, node};

/// Ten streams a connection, and 100 ms for each answer.
const TEN_STREAMS: &str = r#"{"delay":100,"streams":10}"#;

/// Returns the most connections that node had open at once.
fn most_open(log: &Log) -> u64 {
    log.0.iter().filter_map(|entry| entry.more.parse().ok()).max().unwrap_or_default()
}

#[tokio::test]
async fn each_user_keeps_its_connection_during_long_pauses() {
    let Some(server) = node("{}").await else { return };
    // The first triggers are spread over the pace, so that few of the users have a request at the same time.
    let summary = Load::on(&server.url("http", PLAIN), "--users 500 --pace 3s --iterations 1000").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(1000, &log);
    assert_eq!((most_open(&log), log.connections().len()), (500, 500));
}

#[tokio::test]
async fn each_user_keeps_its_connection_between_triggers() {
    let Some(server) = node(r#"{"delay":20}"#).await else { return };
    let summary = Load::on(&server.url("http", PLAIN), "--users 50 --iterations 1000").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(1000, &log);
    assert_eq!((most_open(&log), log.connections().len()), (50, 50));
}

#[tokio::test]
async fn each_trigger_has_its_own_connection_if_asked_for() {
    let Some(server) = node("{}").await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--connections per-trigger --users 10 --iterations 200");
    let summary = load.with("REQUESTS", "5").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(1000, &log);
    assert_eq!(log.connections().len(), 200);
    assert!(most_open(&log) <= 20, "closed once the trigger has ended: {}", most_open(&log));
}

#[tokio::test]
async fn users_share_as_many_connections_as_asked_for() {
    let Some(server) = node(r#"{"delay":5}"#).await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--connections 7 --users 50 --iterations 200");
    let summary = load.with("REQUESTS", "10").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(2000, &log);
    assert_eq!((most_open(&log), log.connections().len()), (7, 7));
}

#[tokio::test]
async fn each_user_has_its_own_connection_of_http_2() {
    for (scheme, port, flags) in [("https", TLS, "--insecure"), ("http", H2C, "--http 2")] {
        let Some(server) = node(TEN_STREAMS).await else { return };
        let load = Load::on(&server.url(scheme, port), &format!("--users 100 --iterations 100 {flags}"));
        let summary = load.with("REQUESTS", "10").run().await;
        let log = server.stopped().await;
        summary.assert_flawless(1000, &log);
        assert_eq!((summary.resent(), most_open(&log), log.connections().len()), (0, 100, 100), "{}", summary.text());
    }
}

#[tokio::test]
async fn ten_connections_of_ten_streams_serve_a_hundred_users() {
    let Some(server) = node(TEN_STREAMS).await else { return };
    let flags = "--insecure --connections 10 --users 100 --iterations 100";
    let summary = Load::on(&server.url("https", TLS), flags).with("REQUESTS", "10").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(1000, &log);
    assert_eq!((summary.resent(), log.connections().len()), (0, 10), "{}", summary.text());
}

#[tokio::test]
async fn shared_connections_become_more_as_streams_run_out() {
    let Some(server) = node(TEN_STREAMS).await else { return };
    let flags = "--insecure --connections shared --users 100 --iterations 100";
    let summary = Load::on(&server.url("https", TLS), flags).with("REQUESTS", "10").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(1000, &log);
    let connections = log.connections().len();
    assert!(summary.resent() == 0 && (10..=100).contains(&connections), "{connections}: {}", summary.text());
}
