//! Limits of servers: requests of a connection, connections, bodies, and threads.

use crate::load::Load;
use crate::software::{PLAIN, TLS, apache, nginx};

#[tokio::test]
async fn connections_that_nginx_ends_after_100_requests_are_replaced() {
    let Some(server) = nginx("keepalive_requests 100;", "").await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--users 10 --iterations 500").with("REQUESTS", "10");
    let summary = load.run().await;
    let log = server.stopped().await;
    summary.assert_flawless(5000, &log);
    let connections = log.connections();
    assert_eq!(connections.values().max(), Some(&100));
    assert!((50..=60).contains(&connections.len()), "{} connections", connections.len());
}

#[tokio::test]
async fn connections_that_nginx_ends_after_1000_streams_are_replaced() {
    let Some(server) = nginx("keepalive_requests 1000;", "").await else { return };
    let load = Load::on(&server.url("https", TLS), "--insecure --users 3 --iterations 600").with("REQUESTS", "10");
    let summary = load.run().await;
    let log = server.stopped().await;
    summary.assert_flawless(6000, &log);
    assert!((6..=9).contains(&log.connections().len()), "{} connections", log.connections().len());
}

#[tokio::test]
async fn streams_that_a_shared_connection_no_longer_takes_move_to_another() {
    let Some(server) = nginx("keepalive_requests 1000;", "").await else { return };
    let flags = "--insecure --connections shared --users 50 --iterations 600";
    let summary = Load::on(&server.url("https", TLS), flags).with("REQUESTS", "10").run().await;
    let log = server.stopped().await;
    summary.assert_flawless(6000, &log);
    assert!(log.connections().len() <= 50, "{} connections", log.connections().len());
}

#[tokio::test]
async fn refusals_of_nginx_are_all_that_fails() {
    let limits = "limit_req_zone $server_addr zone=all:1m rate=1r/s;";
    let Some(server) =
        nginx(limits, "limit_req zone=all burst=10 nodelay; try_files /none @all; } location @all {").await
    else {
        return;
    };
    let load = Load::on(&server.url("http", PLAIN), "--users 20 --iterations 200").with("REQUESTS", "10");
    let summary = load.run().await;
    let log = server.stopped().await;
    summary.assert_logged(&log);
    summary.assert_statuses(&log);
    let refused = log.statuses().get(&503).copied().unwrap_or_default();
    assert!(refused > 0, "the limit was reached: {}", summary.text());
    assert_eq!((summary.requests(), summary.failed()), (2000, refused), "{}", summary.text());
}

#[tokio::test]
async fn idle_connections_that_a_busy_apache_sheds_are_replaced() {
    // More connections than threads: it closes those that are idle.
    let limits = "ServerLimit 2\nStartServers 2\nThreadsPerChild 10\nMaxRequestWorkers 20\nThreadLimit 10\n\
                  MinSpareThreads 5\nMaxSpareThreads 20\nAsyncRequestWorkerFactor 1\nMaxKeepAliveRequests 0";
    let Some(server) = apache(limits).await else { return };
    let load = Load::on(&server.url("http", PLAIN), "--users 60 --iterations 600").with("REQUESTS", "10");
    let summary = load.run().await;
    summary.assert_flawless(6000, &server.stopped().await);
}
