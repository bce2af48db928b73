//! TLS of a server, from the files of its certificate and key.

use std::{fmt::Display, path::Path, sync::Arc};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ServerFlags;
use crate::support::failure::Failure;

/// Returns the TLS settings of a server with this certificate.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or if certificate and key do not belong together.
pub(super) fn config(flags: ServerFlags, certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Failure> {
    let wrong = |flag: &str, path: &Path, error: &dyn Display| {
        Failure::from(format!("`{flag}` is `{}`: {error}; expected a file in PEM", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| wrong(flags.tls_cert, certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(flags.tls_cert, certificate, &"it has no certificate"));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(flags.tls_key, key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| {
            Failure::from(format!("`{}` and `{}` make no server: {error}", certificate.display(), key.display()))
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
