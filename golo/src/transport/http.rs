//! `Http`: settings of the transport that a load test makes in its code.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::BoxError;
use crate::error::reason;
use crate::support::panic;
use crate::transport::options::{self, TlsVersion, TransportOptions, Versions};
use crate::transport::proxy::Proxy;

/// Default time limit of a request, including its body. It is below the default grace of 30 s, so that a request to a
/// target that hangs fails instead of being cut off.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(25);
/// Default number of redirects that are followed.
pub(crate) const REDIRECTS: usize = 10;

type Configure = dyn Fn(Http) -> Result<Http, BoxError> + Send + Sync;

static CONFIGURE: RwLock<Option<Arc<Configure>>> = RwLock::new(None);

thread_local! {
    static IS_CONFIGURING: Cell<bool> = const { Cell::new(false) };
}

/// Sets the function that configures golo's transport from now on, for this process. It receives golo's defaults and
/// returns an [`Http`], or a `Result` of one.
///
/// A flag of the command line overrides the setting of the same name: `--http 2` overrides [`Http::version`]. A load
/// test whose requests are sent by a client of its own ([`set_client`](crate::set_client)) cannot use this.
///
/// If the function fails or panics, or if a setting is invalid, the load test does not start.
///
/// ```
/// use std::time::Duration;
///
/// golo::set_http(|http| http.user_agent("shop-check/1.0").timeout(Duration::from_secs(5)));
/// ```
pub fn set_http<F, R>(f: F)
where
    F: Fn(Http) -> R + Send + Sync + 'static,
    R: IntoHttp,
{
    let configure = move |http| f(http).into_http();
    *CONFIGURE.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(configure));
    options::changed();
}

/// Returns true if the load test configures the transport.
pub(crate) fn is_configured() -> bool {
    CONFIGURE.read().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Calls the load test's function and returns its settings. Returns `None` if there is no such function.
pub(crate) fn configured() -> Option<Result<Http, BoxError>> {
    let configure = CONFIGURE.read().unwrap_or_else(PoisonError::into_inner).clone()?;
    Some(configured_by(&*configure))
}

fn configured_by(configure: &Configure) -> Result<Http, BoxError> {
    if IS_CONFIGURING.replace(true) {
        return Err("the function that configures HTTP uses the client itself".into());
    }
    let configured = panic::caught_now(|| configure(Http::default()));
    IS_CONFIGURING.set(false);
    let http =
        configured.unwrap_or_else(|panicked| Err(panicked.into())).map_err(|error| BoxError::from(reason(error)))?;
    http.checked()
}

/// Returns the settings of the transport: those of the load test's code, overridden by `options`.
///
/// # Errors
///
/// Returns an error if a setting is invalid, if settings contradict each other, or if a file cannot be read.
pub(crate) fn settings(options: &TransportOptions) -> Result<Http, BoxError> {
    configured().unwrap_or_else(|| Ok(Http::default()))?.with_options(options)
}

/// A value that the function passed to [`set_http`] may return: an [`Http`], or a `Result` of one.
///
/// ```
/// fn fits<R: golo::IntoHttp>() {}
///
/// fits::<golo::Http>();
/// fits::<Result<golo::Http, std::io::Error>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "a function that configures HTTP cannot return `{Self}`",
    label = "not a type that configures HTTP",
    note = "it takes a `golo::Http` and returns a `golo::Http`, or a `Result` of one with an error that converts into \
            `Box<dyn Error + Send + Sync>`"
)]
pub trait IntoHttp: sealed::Sealed {
    /// Returns the settings.
    #[doc(hidden)]
    fn into_http(self) -> Result<Http, BoxError>;
}

impl IntoHttp for Http {
    fn into_http(self) -> Result<Http, BoxError> {
        Ok(self)
    }
}

impl<E: Into<BoxError>> IntoHttp for Result<Http, E> {
    fn into_http(self) -> Result<Http, BoxError> {
        self.map_err(Into::into)
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Http {}

    impl<E> Sealed for Result<super::Http, E> {}
}

/// Settings of golo's transport. [`set_http`], [`Loadtest::http`](crate::Loadtest::http) and the option `http = path` of
/// [`#[golo::loadtest]`](macro@crate::loadtest) pass them to a function of the load test.
///
/// By default a request times out after 25 s, follows at most 10 redirects, requests no compression, and uses no proxy.
/// An invalid value is reported when the load test starts.
///
/// ```no_run
/// use std::time::Duration;
///
/// use golo::{BoxError, Http, TlsVersion};
///
/// fn configure(http: Http) -> Result<Http, BoxError> {
///     let http = http
///         .default_header("x-api-key", &golo::param("API_KEY").unwrap_or_default())
///         .connect_timeout(Duration::from_secs(2))
///         .root_certificate(&std::fs::read("ca.pem")?)
///         .tls_min(TlsVersion::V1_3);
///     Ok(http)
/// }
///
/// golo::set_http(configure);
/// ```
#[must_use]
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

impl Identity {
    /// Creates an identity from a certificate, followed by its chain if there is one, and its private key, which is not
    /// encrypted. Both are in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no certificate or no private key. That both belong together is checked when the load
    /// test starts.
    ///
    /// ```
    /// let error = golo::Identity::from_pem("no certificate", "no key").unwrap_err();
    /// assert_eq!(error.to_string(), "no certificate found: expected PEM");
    /// ```
    pub fn from_pem(certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Result<Self, BoxError> {
        let (certificate, key) = (certificate.into(), key.into());
        certificates(&certificate)?;
        // The error does not contain the key.
        PrivateKeyDer::from_pem_slice(&key).map_err(|_| "no private key found: expected PEM that is not encrypted")?;
        Ok(Self { certificate, key })
    }
}

/// Parses the certificates of a text in PEM.
///
/// # Errors
///
/// Returns an error if there is none, or one is malformed.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("no certificate found: expected PEM".into()),
    }
}

impl Http {
    /// Adds a header to every request that does not set it itself. A second value for the same name replaces the first.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.default_header("accept-language", "de"));
    /// ```
    pub fn default_header(mut self, name: &str, value: &str) -> Self {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => _ = self.headers.insert(name, value),
            (Err(_), _) => self.wrong(format!("default header `{name}`: expected a name of letters, digits and `-`")),
            // The value may be a secret.
            (_, Err(_)) => self.wrong(format!("default header `{name}`: expected a value without control characters")),
        }
        self
    }

    /// Sets the header `User-Agent` of every request that does not set it itself. There is none by default.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.user_agent("shop-check/1.0"));
    /// ```
    pub fn user_agent(self, user_agent: &str) -> Self {
        self.default_header(USER_AGENT.as_str(), user_agent)
    }

    /// Sets the time limit of a request, from its start to the last byte of its body. It includes redirects. The default
    /// is 25 s.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.timeout(std::time::Duration::from_secs(5)));
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            self.wrong("timeout of 0 s: expected a longer time, or `no_timeout()`");
        }
        self.timeout = Some(timeout);
        self
    }

    /// Removes the time limit of a request. A request to a target that hangs is cut off at the end of the run.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.no_timeout());
    /// ```
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }

    /// Sets the time limit for making a connection: lookup, TCP and TLS. By default only the time limit of the request
    /// applies.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.connect_timeout(std::time::Duration::from_millis(500)));
    /// ```
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        if timeout.is_zero() {
            self.wrong("connect timeout of 0 s: expected a longer time");
        }
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets the maximum number of redirects that a request follows. With 0, a redirect is the response. The default is
    /// 10.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.redirects(0));
    /// ```
    pub fn redirects(mut self, redirects: usize) -> Self {
        self.redirects = redirects;
        self
    }

    /// Trusts certificates in addition to those of the system and of earlier calls. `pem` may contain several.
    ///
    /// ```no_run
    /// golo::set_http(|http| Ok::<_, std::io::Error>(http.root_certificate(&std::fs::read("ca.pem")?)));
    /// ```
    pub fn root_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        match certificates(pem.as_ref()) {
            Ok(_) => self.roots.push(pem.as_ref().to_vec()),
            Err(error) => self.wrong(format!("root certificate: {error}")),
        }
        self
    }

    /// Presents a client certificate to servers that request one: a certificate, followed by its chain if there is one,
    /// and its private key, both in PEM.
    ///
    /// ```no_run
    /// golo::set_http(|http| {
    ///     let (certificate, key) = (std::fs::read("client.pem")?, std::fs::read("client-key.pem")?);
    ///     Ok::<_, std::io::Error>(http.identity(certificate, key))
    /// });
    /// ```
    pub fn identity(mut self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        match Identity::from_pem(certificate, key) {
            Ok(identity) => self.identity = Some(identity),
            Err(error) => self.wrong(format!("client certificate: {error}")),
        }
        self
    }

    /// Presents a client certificate of its own for each user, instead of that of [`identity`](Self::identity).
    /// `identity_of` receives the user's number, from 0. If it fails, the requests of that user fail.
    ///
    /// ```no_run
    /// golo::set_http(|http| {
    ///     http.identity_of(|user| {
    ///         let read = |what: &str| std::fs::read(format!("users/{user}-{what}.pem"));
    ///         golo::Identity::from_pem(read("certificate")?, read("key")?)
    ///     })
    /// });
    /// ```
    pub fn identity_of<F, E>(mut self, identity_of: F) -> Self
    where
        F: Fn(u64) -> Result<Identity, E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        self.identity_of = Some(Arc::new(move |user| identity_of(user).map_err(Into::into)));
        self
    }

    /// Sets the lowest TLS version. The default is TLS 1.2.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.tls_min(golo::TlsVersion::V1_3));
    /// ```
    pub fn tls_min(mut self, version: TlsVersion) -> Self {
        self.tls_min = Some(version);
        self
    }

    /// Sets the highest TLS version. The default is TLS 1.3.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.tls_max(golo::TlsVersion::V1_2));
    /// ```
    pub fn tls_max(mut self, version: TlsVersion) -> Self {
        self.tls_max = Some(version);
        self
    }

    /// Sets the HTTP version. The default is [`Versions::Auto`].
    ///
    /// ```no_run
    /// golo::set_http(|http| http.version(golo::Versions::Http1));
    /// ```
    pub fn version(mut self, version: Versions) -> Self {
        if let Err(error) = version.check_features() {
            self.wrong(format!("HTTP/3 {error}"));
        }
        self.versions = Some(version);
        self
    }

    /// Sends requests through a proxy: a URL, `env` for the proxies of the environment variables, or `none`. The default
    /// is `none`.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.proxy("http://127.0.0.1:3128"));
    /// ```
    pub fn proxy(mut self, url: &str) -> Self {
        let proxy = url.parse::<Proxy>().map_err(|error| format!("proxy {error}"));
        let supported = proxy.and_then(|proxy| proxy.check_features().map_err(Into::into).map(|()| proxy));
        match supported {
            Ok(proxy) => self.proxy = Some(proxy),
            Err(error) => self.wrong(error),
        }
        self
    }

    /// Accepts any certificate of a server if `insecure` is true.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.insecure(true));
    /// ```
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// Requests gzip-compressed responses, and decompresses them, if `gzip` is true.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.gzip(true));
    /// ```
    #[cfg(feature = "gzip")]
    #[cfg_attr(docsrs, doc(cfg(feature = "gzip")))]
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Requests Brotli-compressed responses, and decompresses them, if `brotli` is true.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.brotli(true));
    /// ```
    #[cfg(feature = "brotli")]
    #[cfg_attr(docsrs, doc(cfg(feature = "brotli")))]
    pub fn brotli(mut self, brotli: bool) -> Self {
        self.brotli = brotli;
        self
    }

    /// Requests deflate-compressed responses, and decompresses them, if `deflate` is true.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.deflate(true));
    /// ```
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    pub fn deflate(mut self, deflate: bool) -> Self {
        self.deflate = deflate;
        self
    }

    /// Requests Zstandard-compressed responses, and decompresses them, if `zstd` is true.
    ///
    /// ```no_run
    /// golo::set_http(|http| http.zstd(true));
    /// ```
    #[cfg(feature = "zstd")]
    #[cfg_attr(docsrs, doc(cfg(feature = "zstd")))]
    pub fn zstd(mut self, zstd: bool) -> Self {
        self.zstd = zstd;
        self
    }

    /// Records an invalid setting. The first one is reported.
    fn wrong(&mut self, error: impl Into<BoxError>) {
        self.error.get_or_insert_with(|| error.into());
    }

    /// Returns the settings, or the error of the first invalid one.
    fn checked(mut self) -> Result<Self, BoxError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// Overrides these settings with those of `options`, and adds the certificates of its files.
    fn with_options(self, options: &TransportOptions) -> Result<Self, BoxError> {
        let identity = options.read_identity()?;
        let http = Self {
            // The certificate of the flag is that of every user.
            identity_of: if identity.is_some() { None } else { self.identity_of },
            identity: identity.or(self.identity),
            roots: self.roots.into_iter().chain(options.read_cacert()?).collect(),
            insecure: self.insecure || options.insecure,
            tls_min: options.tls_min.or(self.tls_min),
            tls_max: options.tls_max.or(self.tls_max),
            versions: options.http.or(self.versions),
            proxy: Some(options.proxy.clone()).filter(|proxy| *proxy != Proxy::None).or(self.proxy),
            ..self
        };
        let combined = TransportOptions {
            tls_min: http.tls_min,
            tls_max: http.tls_max,
            http: http.versions,
            proxy: http.proxy.clone().unwrap_or_default(),
            ..options.clone()
        };
        combined.check().map_err(|error| format!("the load test's settings and its flags together: {error}"))?;
        Ok(http)
    }
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";

    fn error_of(configure: impl Fn(Http) -> Http + Send + Sync + 'static) -> String {
        configured_by(&move |http| configure(http).into_http()).unwrap_err().to_string()
    }

    #[test]
    fn first_invalid_setting_is_reported() {
        assert_eq!(
            error_of(|http| http.default_header("a b", "hush").timeout(Duration::ZERO)),
            "default header `a b`: expected a name of letters, digits and `-`"
        );
        assert_eq!(
            error_of(|http| http.default_header("x-key", "hush\n")),
            "default header `x-key`: expected a value without control characters"
        );
        assert_eq!(
            error_of(|http| http.timeout(Duration::ZERO)),
            "timeout of 0 s: expected a longer time, or `no_timeout()`"
        );
        assert_eq!(error_of(|http| http.root_certificate("x")), "root certificate: no certificate found: expected PEM");
        assert_eq!(
            error_of(|http| http.identity(CERTIFICATE, "hush")),
            "client certificate: no private key found: expected PEM that is not encrypted"
        );
        let error = error_of(|http| http.proxy("http://ann:hush@h/path"));
        assert!(error.starts_with("proxy `http://h/path`: expected `env`"), "{error}");
    }

    #[test]
    fn function_that_fails_or_panics_is_reported() {
        let failed = configured_by(&|_| Err::<Http, _>("no such file").into_http());
        assert_eq!(failed.unwrap_err().to_string(), "no such file");
        let panicked = configured_by(&|_| panic!("out of luck")).unwrap_err().to_string();
        assert!(panicked.contains("out of luck"), "{panicked}");
        assert!(configured_by(&|http| http.into_http()).is_ok(), "a panic does not affect the next call");
    }

    #[test]
    fn options_override_settings() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some::<PathBuf>(path)
        };
        let http = Http::default()
            .version(Versions::Http1)
            .proxy("http://127.0.0.1:1")
            .tls_min(TlsVersion::V1_2)
            .identity_of(|_| Identity::from_pem(CERTIFICATE, KEY));
        let options = TransportOptions {
            http: Some(Versions::Http2),
            proxy: "http://127.0.0.1:2".parse().unwrap(),
            tls_min: Some(TlsVersion::V1_3),
            cacert: file("ca.pem", CERTIFICATE),
            cert: file("cert.pem", CERTIFICATE),
            key: file("key.pem", KEY),
            ..TransportOptions::default()
        };
        let http = http.with_options(&options).unwrap();
        assert_eq!((http.versions, http.tls_min), (Some(Versions::Http2), Some(TlsVersion::V1_3)));
        assert_eq!(http.proxy, Some(options.proxy));
        assert!(http.roots.len() == 1 && http.identity.is_some() && http.identity_of.is_none());
        let http = Http::default().tls_max(TlsVersion::V1_2).with_options(&TransportOptions::default()).unwrap();
        assert_eq!((http.tls_max, http.proxy), (Some(TlsVersion::V1_2), None));
    }

    #[test]
    fn settings_and_options_that_contradict_each_other_are_refused() {
        let options = TransportOptions { tls_min: Some(TlsVersion::V1_3), ..TransportOptions::default() };
        let error = Http::default().tls_max(TlsVersion::V1_2).with_options(&options).unwrap_err().to_string();
        let expected = "`--tls-min 1.3` is above `--tls-max 1.2`";
        assert_eq!(error, format!("the load test's settings and its flags together: {expected}"));
        let options = TransportOptions { unix_socket: Some("s".into()), ..TransportOptions::default() };
        assert!(Http::default().proxy("http://127.0.0.1:1").with_options(&options).is_err());
    }

    #[test]
    fn files_without_certificates_are_refused() {
        let missing = TransportOptions { cacert: Some("/none/ca.pem".into()), ..TransportOptions::default() };
        let error = Http::default().with_options(&missing).unwrap_err().to_string();
        assert!(error.starts_with("`--cacert /none/ca.pem` cannot be read: "), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = TransportOptions { cacert: Some(file.path().into()), ..TransportOptions::default() };
        let error = Http::default().with_options(&empty).unwrap_err().to_string();
        assert_eq!(error, format!("`--cacert {}`: no certificate found: expected PEM", file.path().display()));
    }
}
