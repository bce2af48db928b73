//! TLS with a custom certificate. `set_client` applies to the whole process, so these tests have their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/requests.rs"]
mod support;
#[path = "support/tls.rs"]
mod tls;

use golo::reqwest::{Certificate, ClientBuilder, Version};
use support::{failed, sent, serve_bytes};

#[tokio::test]
async fn trusted_servers_are_reached_over_http_1_and_2() {
    let servers = [tls::start(&["http/1.1"]).await, tls::start(&["h2", "http/1.1"]).await];
    let untrusted = tls::start(&["h2", "http/1.1"]).await;
    let trusted: Vec<_> = servers.iter().map(|server| server.certificate.clone()).collect();
    golo::set_client(move |builder: ClientBuilder| {
        builder.tls_certs_only(trusted.iter().filter_map(|trusted| Certificate::from_der(trusted).ok())).build()
    });
    for (server, version) in servers.iter().zip([Version::HTTP_11, Version::HTTP_2]) {
        let (result, output) = sent(golo::request("journey", golo::client().get(server.url()))).await;
        let response = result.unwrap();
        assert_eq!(response.version(), version);
        assert_eq!(response.url().as_str(), server.url());
        assert_eq!(response.remote_addr(), Some(server.address));
        assert_eq!((output.url, output.status, output.size, output.error), (server.url(), 200, 12, None));
        assert_eq!(response.text().await.unwrap(), "Hello World\n");
    }
    let (_, output, _) = failed("tls", golo::client().get(untrusted.url())).await;
    assert_eq!((output.status, output.size), (0, 0));

    let answer = format!("HTTP/1.1 301 Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", servers[1].url());
    let plain = serve_bytes(answer).await;
    let (result, output) = sent(golo::request("journey", golo::client().get(&plain))).await;
    assert_eq!(result.unwrap().url().as_str(), servers[1].url());
    assert_eq!((output.url, output.status, output.size), (plain, 200, 12));
}
