//! Errors of golo itself ([`Error`]) and of requests ([`RequestError`]).

mod cause;
pub(crate) mod exit;
pub(crate) mod transport;

use std::{error::Error as StdError, fmt};

use crate::error::transport::TransportError;
use crate::support::secrets::without_credentials;

#[cfg(feature = "grpc")]
pub(crate) use cause::of_channel;
pub(crate) use cause::reason;
pub use cause::{chain, explained};

/// Any error that a load test, a `setup` or a user's `start` may return. `?` converts nearly every error type into it.
///
/// ```
/// fn port(text: &str) -> Result<u16, golo::BoxError> {
///     match text.parse()? {
///         0 => Err("port 0 is none".into()),
///         port => Ok(port),
///     }
/// }
/// assert_eq!(port("80").ok(), Some(80));
/// assert!(port("eighty").is_err() && port("0").is_err());
/// ```
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Error of golo itself, for example if a load test cannot be started or served, or a line cannot be read.
///
/// [`Display`](fmt::Display) prints this error alone. The underlying cause is its [`source`](StdError::source).
///
/// ```
/// use std::error::Error as _;
///
/// let error = "no line".parse::<golo::Output>().unwrap_err();
/// assert!(error.is_output());
/// assert_eq!(error.to_string(), "not an output line");
/// assert!(error.source().is_some(), "where, and what was expected");
/// ```
pub struct Error {
    inner: Box<ErrorInner>,
}

#[derive(Debug)]
struct ErrorInner {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorKind {
    Address,
    Start,
    Teardown,
    Output,
    #[cfg(feature = "feed")]
    Feed,
    Io,
}

impl Error {
    fn new(kind: ErrorKind, message: impl Into<String>, source: impl Into<Option<BoxError>>) -> Self {
        Self { inner: Box::new(ErrorInner { kind, message: message.into(), source: source.into() }) }
    }

    pub(crate) fn address(message: impl Into<String>, source: impl Into<Option<BoxError>>) -> Self {
        Self::new(ErrorKind::Address, message, source)
    }

    pub(crate) fn start(message: impl Into<String>, source: impl Into<Option<BoxError>>) -> Self {
        Self::new(ErrorKind::Start, message, source)
    }

    pub(crate) fn teardown(message: impl Into<String>, source: impl Into<Option<BoxError>>) -> Self {
        Self::new(ErrorKind::Teardown, message, source)
    }

    pub(crate) fn io(message: impl Into<String>, source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, message, Some(source.into()))
    }

    pub(crate) fn not_an_output(source: serde_json::Error) -> Self {
        Self::new(ErrorKind::Output, "not an output line", Some(source.into()))
    }

    #[cfg(feature = "feed")]
    pub(crate) fn feed(message: impl Into<String>, source: impl Into<Option<BoxError>>) -> Self {
        Self::new(ErrorKind::Feed, message, source)
    }

    /// Returns true if the address to serve on cannot be used, for example because it is taken or invalid.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.inner.kind == ErrorKind::Address
    }

    /// Returns true if the load test could not start, for example because its `setup` failed or its HTTP client could
    /// not be built.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.inner.kind == ErrorKind::Start
    }

    /// Returns true if the load test ran and its `teardown` failed.
    #[must_use]
    pub fn is_teardown(&self) -> bool {
        self.inner.kind == ErrorKind::Teardown
    }

    /// Returns true if a text could not be read as an [`Output`](crate::Output).
    #[must_use]
    pub fn is_output(&self) -> bool {
        self.inner.kind == ErrorKind::Output
    }

    /// Returns true if a file of rows could not be read or has no rows.
    #[cfg(feature = "feed")]
    #[must_use]
    pub fn is_feed(&self) -> bool {
        self.inner.kind == ErrorKind::Feed
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("golo::Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

/// A request that got no complete response.
///
/// [`Display`](fmt::Display) prints the request and the failure, without the URL's user and password. The underlying
/// cause is the [`source`](StdError::source). At most one of the predicates below returns true. All return false if the
/// cause is something else.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let journey = golo::new_sequence_id();
/// match golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/slow?ms=100000")).await {
///     Err(error) if error.is_timeout() => Ok(()),
///     other => other.map(drop),
/// }
/// # }
/// ```
pub struct RequestError {
    inner: Box<RequestErrorInner>,
}

#[derive(Debug)]
struct RequestErrorInner {
    kind: RequestErrorKind,
    /// Method and URL, or `None` if the request could not be built.
    request: Option<String>,
    /// A [`reqwest::Error`] if the load test's own client sent the request.
    source: BoxError,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestErrorKind {
    Build,
    Dns,
    Connect,
    Tls,
    Timeout,
    Reset,
    Body,
    Redirect,
    Other,
}

impl RequestErrorKind {
    /// Returns the word at the start of an `Output`'s error.
    fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Body => "body",
            Self::Redirect => "redirect",
            Self::Other => "other",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Build => "could not be built",
            Self::Dns => "could not look up the host",
            Self::Connect => "could not connect",
            Self::Tls => "had a TLS error",
            Self::Timeout => "timed out",
            Self::Reset => "lost its connection before the response",
            Self::Body => "could not read the whole body",
            Self::Redirect => "could not follow a redirect",
            Self::Other => "failed",
        }
    }
}

/// Kinds of requests that were sent and got no complete response. [`RequestErrorKind::Other`] is left out, because its
/// text `failed` is too common to recognize a request error by it.
const SENT: [RequestErrorKind; 7] = [
    RequestErrorKind::Dns,
    RequestErrorKind::Connect,
    RequestErrorKind::Tls,
    RequestErrorKind::Timeout,
    RequestErrorKind::Reset,
    RequestErrorKind::Body,
    RequestErrorKind::Redirect,
];

/// Returns true if a reason is, or has among its causes, the text of a [`RequestError`], as in `no cart: GET http://h/
/// timed out: …`.
pub fn is_request_error(reason: &str) -> bool {
    SENT.iter().map(|kind| kind.sentence()).any(|sentence| {
        reason.match_indices(sentence).any(|(at, _)| {
            let after = &reason[at + sentence.len()..];
            (after.is_empty() || after.starts_with(':')) && ends_with_request(&reason[..at])
        })
    })
}

/// Returns true if a text ends with a method and a URL, as in `no cart: GET http://h/ `.
fn ends_with_request(text: &str) -> bool {
    let mut words = text.strip_suffix(' ').unwrap_or_default().rsplitn(3, ' ');
    let (url, method, before) = (words.next(), words.next(), words.next());
    url.is_some_and(|url| url.contains("://"))
        && method.is_some_and(|method| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()))
        && before.is_none_or(|before| before.ends_with(':'))
}

impl RequestError {
    pub(crate) fn not_built(source: reqwest::Error) -> Self {
        let kind = RequestErrorKind::Build;
        Self { inner: Box::new(RequestErrorInner { kind, request: None, source: source.without_url().into() }) }
    }

    /// Creates the error of a request that failed. `url` has no credentials. `responded` is true if the response's head
    /// had arrived.
    pub(crate) fn new(method: &reqwest::Method, url: &reqwest::Url, source: reqwest::Error, responded: bool) -> Self {
        let kind = cause::kind(&source, url, responded);
        let request = Some(format!("{method} {url}"));
        Self { inner: Box::new(RequestErrorInner { kind, request, source: source.without_url().into() }) }
    }

    /// Creates the error of a request that golo's transport sent. `url` has no credentials.
    #[cold]
    pub(crate) fn of_transport(method: &reqwest::Method, url: &reqwest::Url, error: TransportError) -> Self {
        let TransportError { kind, source } = error;
        Self { inner: Box::new(RequestErrorInner { kind, request: Some(format!("{method} {url}")), source }) }
    }

    /// Creates the error of a request that was not sent because its target is not allowed. `url` has no credentials.
    #[cold]
    pub(crate) fn not_allowed(method: &reqwest::Method, url: &reqwest::Url, source: NotAllowed) -> Self {
        let (kind, request) = (RequestErrorKind::Other, Some(format!("{method} {url}")));
        Self { inner: Box::new(RequestErrorInner { kind, request, source: source.into() }) }
    }

    /// Creates the error of a request that was redirected to a target that is not allowed. `url` has no credentials.
    #[cold]
    pub(crate) fn not_followed(method: &reqwest::Method, url: &reqwest::Url, source: NotAllowed) -> Self {
        let (kind, request) = (RequestErrorKind::Redirect, Some(format!("{method} {url}")));
        Self { inner: Box::new(RequestErrorInner { kind, request, source: source.into() }) }
    }

    /// Returns the error text of an `Output`: the kind and the innermost cause.
    pub(crate) fn for_output(&self) -> String {
        format!("{}: {}", self.inner.kind.word(), without_credentials(&cause::innermost(&*self.inner.source)))
    }

    /// Returns true if the request could not be built, for example because its URL is invalid. It was not sent, and no
    /// `Output` was recorded.
    #[must_use]
    pub fn is_build(&self) -> bool {
        self.inner.kind == RequestErrorKind::Build
    }

    /// Returns true if the host name could not be resolved.
    #[must_use]
    pub fn is_dns(&self) -> bool {
        self.inner.kind == RequestErrorKind::Dns
    }

    /// Returns true if no connection could be made.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.inner.kind == RequestErrorKind::Connect
    }

    /// Returns true if TLS failed, for example because a certificate is not trusted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.inner.kind == RequestErrorKind::Tls
    }

    /// Returns true if a timeout of the client or the request expired.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.inner.kind == RequestErrorKind::Timeout
    }

    /// Returns true if the connection was lost before the response's head arrived.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.inner.kind == RequestErrorKind::Reset
    }

    /// Returns true if the body was cut short or could not be decompressed.
    #[must_use]
    pub fn is_body(&self) -> bool {
        self.inner.kind == RequestErrorKind::Body
    }

    /// Returns true if a redirect could not be followed, for example because there were too many.
    #[must_use]
    pub fn is_redirect(&self) -> bool {
        self.inner.kind == RequestErrorKind::Redirect
    }
}

impl fmt::Debug for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("golo::RequestError")
            .field("kind", &self.inner.kind)
            .field("request", &self.inner.request)
            .field("source", &format_args!("{}", without_credentials(&format!("{:?}", self.inner.source))))
            .finish()
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.inner.request.as_deref().unwrap_or("request");
        write!(f, "{request} {}", self.inner.kind.sentence())
    }
}

impl StdError for RequestError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.inner.source)
    }
}

/// Reason why a target is not among the allowed targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAllowed {
    pub(crate) message: String,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NotAllowed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_size_of_a_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<RequestError>(), size_of::<usize>());
    }

    #[test]
    fn is_request_error_finds_the_error_of_a_request_among_causes() {
        for reason in [
            "GET http://h/ timed out",
            "no cart: GET http://h/x?… could not connect: Connection refused",
            "POST http://h/ lost its connection before the response: a: b",
        ] {
            assert!(is_request_error(reason), "{reason}");
        }
        for reason in [
            "timed out",
            "the shop timed out: no luck",
            "GET http://h/ failed: 503",
            "so GET http://h/ timed out",
            "GET /x timed out",
            "GET http://h/ timed out twice",
            "",
        ] {
            assert!(!is_request_error(reason), "{reason}");
        }
    }

    #[test]
    fn request_error_displays_without_its_source() {
        let source = crate::client().get("http://").build().unwrap_err();
        let error = RequestError::not_built(source);
        assert_eq!(error.to_string(), "request could not be built");
        assert!(error.is_build() && !error.is_connect());
        assert_eq!(chain(&error), "request could not be built: builder error: empty host");
    }
}
