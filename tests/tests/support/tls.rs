//! A TLS server with a self-signed certificate.

#[path = "acceptor.rs"]
mod acceptor;

use std::net::SocketAddr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;

use self::acceptor::acceptor;
use crate::support::serve;

pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
}

impl TlsServer {
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }
}

/// Serves the sample service for `localhost` with one of `protocols` (ALPN names) as long as the test's runtime lives.
pub(crate) async fn start(protocols: &[&str]) -> TlsServer {
    let (acceptor, certificate) = acceptor(protocols);
    let address = serve(move |connection| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(connection) = acceptor.accept(connection).await {
                let service = TowerToHyperService::new(sample_service::router());
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(connection), service).await;
            }
        }
    });
    TlsServer { address: address.await, certificate: certificate.der().clone() }
}
