//! A name with several addresses.

use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::load::Load;
use crate::software::{PLAIN, nginx_at};

const ADDRESSES: [&str; 4] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

/// Returns a run of 40 users with 5 requests each on `shop.test`, which has the four addresses.
fn load(port: u16) -> Load {
    let load = Load::on(&format!("http://shop.test:{port}/"), "--users 40 --iterations 40").with("REQUESTS", "5");
    let resolve = |load: Load, address: &&str| load.flag(&format!("--resolve=shop.test:{port}:{address}"));
    ADDRESSES.iter().fold(load, resolve)
}

#[tokio::test]
async fn connections_are_spread_over_the_addresses_of_a_name() {
    let Some(server) = nginx_at(&ADDRESSES, "", "").await else { return };
    let summary = load(server.port(PLAIN)).run().await;
    let log = server.stopped().await;
    summary.assert_flawless(200, &log);
    // A user that starts late may find its trigger taken by another, which has its connection already.
    assert!((30..=40).contains(&log.connections().len()), "{} connections", log.connections().len());
    let requests = log.count(|entry| &*entry.more);
    let is_spread = requests.len() == 4 && requests.values().all(|requests| (40..=60).contains(requests));
    assert!(is_spread, "{requests:?}");
}

#[tokio::test]
async fn address_that_refuses_connections_is_passed_over() {
    let Some(server) = nginx_at(&ADDRESSES[..3], "", "").await else { return };
    let summary = load(server.port(PLAIN)).run().await;
    let log = server.stopped().await;
    summary.assert_flawless(200, &log);
    assert_eq!(log.count(|entry| &*entry.more).len(), 3);
}

#[tokio::test]
async fn address_that_does_not_answer_is_passed_over() {
    let Some(server) = nginx_at(&ADDRESSES[..3], "", "").await else { return };
    let _deaf = deaf(SocketAddr::new(ADDRESSES[3].parse::<IpAddr>().unwrap(), server.port(PLAIN))).await;
    let summary = load(server.port(PLAIN)).run().await;
    let log = server.stopped().await;
    summary.assert_flawless(200, &log);
    assert_eq!(log.count(|entry| &*entry.more).len(), 3);
}

/// Listens with a queue that is full, so that the kernel ignores further connections.
async fn deaf(address: SocketAddr) -> (TcpListener, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let waiting = TcpStream::connect(address).await.unwrap();
    (listener, waiting)
}
