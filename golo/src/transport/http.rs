//! `Http`: settings of the transport that a load test makes in its code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use crate::BoxError;
use crate::transport::options::{TlsVersion, Versions};
use crate::transport::proxy::Proxy;

/// Default time limit of a request, including its body. It is below the default grace of 30 s, so that a request to a
/// target that hangs fails instead of being cut off.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(25);
/// Default number of redirects that are followed.
pub(crate) const REDIRECTS: usize = 10;

/// Settings of golo's transport, which [`set_http`](crate::set_http) passes to the load test's function.
pub struct Http {
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) redirects: usize,
    /// Trusted certificates in PEM, in addition to those of the system.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) identity_of: Option<Arc<IdentityOf>>,
    pub(crate) insecure: bool,
    pub(crate) tls_min: Option<TlsVersion>,
    pub(crate) tls_max: Option<TlsVersion>,
    pub(crate) versions: Option<Versions>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) gzip: bool,
    pub(crate) brotli: bool,
    pub(crate) deflate: bool,
    pub(crate) zstd: bool,
    /// The first setting that was invalid.
    pub(crate) error: Option<BoxError>,
}

/// Returns the certificate of a user.
pub(crate) type IdentityOf = dyn Fn(u64) -> Result<Identity, BoxError> + Send + Sync;

/// A client's certificate with its chain, and its private key, both in PEM.
#[derive(Clone)]
pub struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            timeout: Some(TIMEOUT),
            connect_timeout: None,
            redirects: REDIRECTS,
            roots: Vec::new(),
            identity: None,
            identity_of: None,
            insecure: false,
            tls_min: None,
            tls_max: None,
            versions: None,
            proxy: None,
            gzip: false,
            brotli: false,
            deflate: false,
            zstd: false,
            error: None,
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}
