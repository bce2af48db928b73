//! Settings of the transport: the options of a run over the settings that the load test makes in its code.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use rustls::ClientConfig;

use crate::error::transport::TransportError;
use crate::error::{RequestErrorKind, chain};
use crate::metrics::visitor::Visitor;
use crate::support::lock::lock;
use crate::transport::decoding::Decodes;
use crate::transport::dns::Resolver;
use crate::transport::http::{self, IdentityOf};
use crate::transport::options::{Connections, Redirects, TransportOptions, Versions};
use crate::transport::origin::Origin;
use crate::transport::pool::Pool;
use crate::transport::tls::{TlsSettings, sessions};
use crate::user::member;
use crate::{BoxError, Error};

/// Configuration of TLS, or the reason why there is none.
pub(crate) type TlsConfig = Result<Arc<ClientConfig>, String>;

/// Largest number of origins whose state is kept.
const ORIGINS: usize = 1_000;

/// Settings of the transport of this process.
pub(crate) struct Settings {
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    /// Largest number of redirects of a request.
    pub(crate) redirects: usize,
    pub(crate) separate_redirects: bool,
    pub(crate) versions: Versions,
    pub(crate) connections: Connections,
    pub(crate) no_keep_alive: bool,
    pub(crate) resends: bool,
    pub(crate) unix_socket: Option<PathBuf>,
    pub(crate) resolver: Resolver,
    pub(crate) decodes: Decodes,
    local_addresses: Vec<IpAddr>,
    /// Number of connections that were bound to a local address.
    bound: AtomicUsize,
    tls: TlsSettings,
    tls_base: OnceLock<Result<ClientConfig, String>>,
    identity_of: Option<Arc<IdentityOf>>,
    /// Connections that all users share, if there is a number of them.
    numbered: Option<Pool>,
    origins: Mutex<Vec<Arc<Origin>>>,
}

impl Settings {
    /// Merges the options over the load test's own settings.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting of the load test is invalid, or a file of certificates cannot be used.
    pub(crate) fn new(options: &TransportOptions) -> Result<Self, Error> {
        let failed = |error: BoxError| Error::start("the HTTP transport could not be set up", Some(error));
        let http = http::settings(options).map_err(failed)?;
        http.proxy.unwrap_or_default().install();
        let has_certificates = !http.roots.is_empty() || http.identity.is_some();
        let tls = TlsSettings {
            roots: http.roots,
            identity: http.identity,
            lowest: http.tls_min,
            highest: http.tls_max,
            is_insecure: http.insecure,
        };
        let decodes = Decodes { gzip: http.gzip, brotli: http.brotli, deflate: http.deflate, zstd: http.zstd };
        let mut headers = http.headers;
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(accepted) = decodes.accepted() {
            headers.entry(ACCEPT_ENCODING).or_insert(accepted);
        }
        let connections = options.connections.unwrap_or_default();
        let numbered = match connections {
            Connections::Number(number) => {
                // A member of a fleet has its share of the whole run's connections.
                let share = member::share().count(number.get().into()).max(1);
                Some(Pool::new(usize::try_from(share).ok(), None))
            }
            _ => None,
        };
        let settings = Self {
            headers,
            timeout: http.timeout,
            connect_timeout: http.connect_timeout,
            redirects: http.redirects,
            separate_redirects: options.redirects == Redirects::Separate,
            versions: http.versions.unwrap_or_default(),
            connections,
            no_keep_alive: options.no_keep_alive,
            resends: !options.no_resend,
            unix_socket: options.unix_socket.clone(),
            resolver: Resolver::new(options.dns.clone(), options.resolve.clone()),
            decodes,
            local_addresses: options.local_addresses.clone(),
            bound: AtomicUsize::new(0),
            tls,
            tls_base: OnceLock::new(),
            identity_of: http.identity_of,
            numbered,
            origins: Mutex::default(),
        };
        if has_certificates && let Err(reason) = settings.tls_base() {
            return Err(failed(reason.clone().into()));
        }
        Ok(settings)
    }

    /// Returns the connections for a request of `visitor`. `outside` is the visitor of this worker.
    pub(crate) fn pool<'p>(&'p self, visitor: &'p Visitor, outside: &'p Visitor) -> &'p Pool {
        match (self.connections, &self.numbered) {
            (Connections::Number(_), Some(numbered)) => numbered,
            (Connections::Shared, _) => outside.connections(|| Pool::new(None, None)),
            _ => visitor.connections(|| Pool::new(None, visitor.user())),
        }
    }

    /// Returns true if a connection to `origin` may carry several requests at a time, as far as is known.
    pub(crate) fn may_share(&self, origin: &Origin) -> bool {
        match self.versions {
            Versions::Auto => origin.is_https && !origin.is_known_to_speak_http1(),
            Versions::Http1 => false,
            Versions::Http2 | Versions::Http3 => true,
        }
    }

    /// Returns the origin of a URL.
    pub(crate) fn origin(&self, url: &Url) -> Result<Arc<Origin>, TransportError> {
        let mut origins = lock(&self.origins);
        if let Some(known) = origins.iter().find(|origin| origin.is_of(url)) {
            return Ok(Arc::clone(known));
        }
        let invalid = || TransportError::new(RequestErrorKind::Other, "the URL has no host");
        let origin = Arc::new(Origin::of(url).ok_or_else(invalid)?);
        if origins.len() < ORIGINS {
            origins.push(Arc::clone(&origin));
        }
        Ok(origin)
    }

    /// Returns the address of this machine from which a connection to `target` is made. Each is used in turn.
    pub(crate) fn local_address(&self, target: SocketAddr) -> Option<IpAddr> {
        let usable = |address: &&IpAddr| address.is_ipv4() == target.is_ipv4();
        let count = self.local_addresses.iter().filter(usable).count();
        let at = if count == 0 { return None } else { self.bound.fetch_add(1, Relaxed) % count };
        self.local_addresses.iter().filter(usable).nth(at).copied()
    }

    /// Returns the TLS configuration of one client: it has its own sessions, and the certificate of its user.
    pub(crate) fn tls_of_client(&self, user: Option<u64>) -> TlsConfig {
        let mut config = match (&self.identity_of, user) {
            (Some(identity_of), Some(user)) => {
                let identity = identity_of(user).map_err(|error| chain(&*error))?;
                let tls = TlsSettings { identity: Some(identity), ..self.tls.clone() };
                tls.build().map_err(|error| chain(&*error))?
            }
            (Some(_), None) => return Err("a certificate for each user needs `--connections per-user`".to_owned()),
            (None, _) => self.tls_base()?.clone(),
        };
        let names: &[&[u8]] = match self.versions {
            Versions::Auto => &[b"h2", b"http/1.1"],
            Versions::Http1 => &[b"http/1.1"],
            Versions::Http2 => &[b"h2"],
            Versions::Http3 => &[b"h3"],
        };
        config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        config.resumption = sessions();
        Ok(Arc::new(config))
    }

    /// Returns the TLS configuration for a proxy.
    pub(crate) fn tls_of_proxy(&self) -> TlsConfig {
        self.tls_base().cloned().map(Arc::new)
    }

    fn tls_base(&self) -> Result<&ClientConfig, String> {
        let base = self.tls_base.get_or_init(|| self.tls.build().map_err(|error| chain(&*error)));
        base.as_ref().map_err(Clone::clone)
    }
}
