//! TLS: the configuration of a run, and the sessions and certificates of its users.

use std::io;
use std::sync::{Arc, Once};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use crate::error::transport::TransportError;
use crate::support::message::say;
use crate::transport::client::install_provider;
use crate::transport::http::{Identity, certificates};
use crate::transport::io::Io;
use crate::transport::options::TlsVersion;
use crate::{BoxError, Handshake};

/// Settings from which a [`ClientConfig`] is built.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsSettings {
    /// Certificates in PEM that are trusted in addition to those of the system.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) lowest: Option<TlsVersion>,
    pub(crate) highest: Option<TlsVersion>,
    pub(crate) is_insecure: bool,
}

impl TlsSettings {
    /// Builds a configuration without protocols and sessions.
    ///
    /// # Errors
    ///
    /// Returns an error if a certificate or key cannot be used.
    pub(crate) fn build(&self) -> Result<ClientConfig, BoxError> {
        install_provider();
        let provider = CryptoProvider::get_default().ok_or("no TLS provider is installed")?;
        let roots = self.roots()?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&self.versions())?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider, roots)?);
        Ok(match &self.identity {
            Some(identity) => {
                let (chain, key) = identity.parse()?;
                builder.with_client_auth_cert(chain, key)?
            }
            None => builder.with_no_client_auth(),
        })
    }

    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, BoxError> {
        let parsed = self.roots.iter().map(|pem| certificates(pem)).collect::<Result<Vec<_>, _>>();
        parsed.map(|roots| roots.concat())
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let is_within = |version| {
            self.lowest.is_none_or(|lowest| lowest <= version) && self.highest.is_none_or(|highest| version <= highest)
        };
        let known = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
        known.into_iter().filter(|(version, _)| is_within(*version)).map(|(_, supported)| supported).collect()
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Arc<dyn ServerCertVerifier>, BoxError> {
        if self.is_insecure {
            return Ok(Arc::new(AnyCertificate(Arc::clone(provider))));
        }
        let error = match Verifier::new_with_extra_roots(roots.iter().cloned(), Arc::clone(provider)) {
            Ok(verifier) => return Ok(Arc::new(verifier)),
            Err(error) => error,
        };
        // A machine without CA roots: plain http and certificates that the load test trusts still work.
        static WARNING: Once = Once::new();
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        if store.is_empty() {
            WARNING.call_once(|| {
                say("golo: this machine has no CA certificates, so https requests will fail");
                say("      install its package `ca-certificates`, or add a root with `--cacert`");
            });
            return Err(error.into());
        }
        let builder = rustls::client::WebPkiServerVerifier::builder_with_provider(store.into(), Arc::clone(provider));
        Ok(builder.build()?)
    }
}

impl Identity {
    fn parse(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BoxError> {
        let chain = certificates(&self.certificate)?;
        // The error names the format alone and never shows the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| format!("the client key is not a private key in PEM: {error}"))?;
        Ok((chain, key))
    }
}

/// Makes a session store for one client. It keeps the sessions of a few servers.
pub(crate) fn sessions() -> Resumption {
    /// Number of sessions. rustls keeps up to 8 for a server.
    const SESSIONS: usize = 16;
    Resumption::store(Arc::new(ClientSessionMemoryCache::new(SESSIONS)))
}

/// Makes a TLS connection over `io` to the server that `host` names.
pub(crate) async fn connect(config: Arc<ClientConfig>, host: &str, io: Io) -> Result<Io, TransportError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned()).map_err(|error| TransportError::tls(io::Error::other(error)))?;
    let stream = TlsConnector::from(config).connect(name, io).await.map_err(TransportError::tls)?;
    Ok(Io::Tls(Box::new(stream)))
}

impl Io {
    /// Returns the protocol that the server chose, if this is TLS.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
            _ => None,
        }
    }

    /// Returns the kind of the handshake, if this is TLS.
    pub(crate) fn handshake(&self) -> Option<Handshake> {
        match self {
            Self::Tls(stream) => Some(match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => Handshake::Resumed,
                _ => Handshake::Full,
            }),
            _ => None,
        }
    }
}

/// Accepts any certificate, for `--insecure`.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
