//! A TLS server with a self-signed certificate.

use std::{net::SocketAddr, sync::Arc};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

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
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
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
    TlsServer { address: address.await, certificate }
}
