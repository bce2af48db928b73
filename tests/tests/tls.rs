//! TLS with a certificate of one's own: `set_client` is for the whole process, so these tests have their own.

#[path = "support/requests.rs"]
mod support;
#[path = "support/tls.rs"]
mod tls;


use golo::reqwest::{Certificate, ClientBuilder, Version};
use support::{failed, sent};

#[tokio::test]
async fn a_certificate_that_is_trusted_works_over_both_protocols() {
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

        let other_name = format!("https://127.0.0.1:{}/", server.address.port());
        let (_, _, reason) = failed("tls", golo::client().get(other_name)).await;
        assert!(reason.contains("not valid for name"), "{reason}");
    }
    let (_, output, _) = failed("tls", golo::client().get(untrusted.url())).await;
    assert_eq!((output.status, output.size), (0, 0));
}
