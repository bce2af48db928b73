//! HTTP calls of agents and collectors, with errors that people understand.

use std::{error::Error as _, fmt::Display, path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use golo::cli::{chain, explained, install_provider};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::{error::Elapsed, timeout};

use crate::http::server::{Secret, Token};
use crate::support::failure::Failure;

/// Longest time for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read, unless a call has a limit of its own: 16 MiB. Other servers than golo's may
/// send without end.
pub const ANSWER: usize = 16 << 20;
/// Most bytes of the answer of a refusal that are read.
const REFUSAL: usize = 64 << 10;
/// Most characters of a reason that a server sends.
const REASON: usize = 500;
/// Reason if a server accepts the connection and does not answer.
pub(crate) const SILENT: &str = "it does not answer";

/// Address of an agent or a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

impl Address {
    /// Reads `HOST:PORT` or a URL. `port` is used if the text has neither a port nor a scheme.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not an address, or has a user or a password.
    pub fn parse(text: &str, port: u16) -> Result<Self, Failure> {
        let right = format!("expected HOST:PORT or a URL, as 127.0.0.1:{port} or https://load1.example:{port}");
        let has_scheme = text.contains("://");
        let whole = if has_scheme { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&whole).map_err(|error| {
            // A text with `@` may contain a password.
            let address = if text.contains('@') { "an address" } else { &format!("`{text}`") };
            Failure::from(format!("{address} cannot be read: {error}; {right}"))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            let wrong = "an address has a user or a password, where a token is what is asked for";
            return Err(Failure::from(wrong.to_owned()));
        }
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(Failure::from(format!("`{text}`: {right}")));
        }
        if !has_scheme && !has_port(text) {
            url.set_port(Some(port)).map_err(|()| Failure::from(right))?;
        }
        Ok(Self { url })
    }

    /// Returns its name, `HOST:PORT`.
    #[must_use]
    pub fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or_default())
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the URL of a path there.
    fn at<'s>(&self, path: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.url.clone();
        // A URL with a host always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// True if an address without a scheme has a port.
fn has_port(text: &str) -> bool {
    let authority = text.split('/').next().unwrap_or_default();
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_host.contains(':')
}

/// Error of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There was no response, or not all of one.
    #[error("{0}")]
    Away(String),
    /// The server refused the call.
    #[error("{1}")]
    Refused(StatusCode, String),
    /// The call failed on this machine, so that it is useless to repeat it.
    #[error("{0}")]
    Local(String),
}

/// Names of the settings of a client, for its messages.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Variable or flag of the token, in backticks.
    pub token: &'static str,
    /// Flag of the file of certificates.
    pub ca: &'static str,
}

/// Calls agents and collectors.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
    token: Option<Secret>,
    names: Names,
}

impl HttpClient {
    /// Returns a client that sends `token` with every call, and that trusts the certificates in the file `ca`, in PEM, besides
    /// those that this machine trusts. It uses no proxy.
    ///
    /// # Errors
    ///
    /// Returns an error if the token cannot be sent in a header, or the file cannot be read.
    pub fn new(token: Option<Secret>, ca: Option<&Path>, names: Names) -> Result<Self, Failure> {
        if let Some(token) = &token {
            Token::new(token).map_err(|error| Failure::from(format!("the token {error}")))?;
        }
        let mut certificates = Vec::new();
        if let Some(path) = ca {
            let wrong = |error: &dyn Display| {
                Failure::from(format!("`{} {}`: {error}; expected a file in PEM", names.ca, path.display()))
            };
            let text = std::fs::read(path).map_err(|error| wrong(&error))?;
            certificates = Certificate::from_pem_bundle(&text).map_err(|error| wrong(&chain(&error)))?;
            if certificates.is_empty() {
                return Err(wrong(&"there is no certificate in it"));
            }
        }
        install_provider();
        let builder = || ClientBuilder::new().connect_timeout(CONNECT).redirect(Policy::none()).no_proxy();
        let built = match certificates.is_empty() {
            false => builder().tls_certs_merge(certificates.clone()).build(),
            true => builder().build(),
        };
        // A machine without any root can still use plain HTTP, and trust the given certificates.
        let built = built.or_else(|_| builder().tls_certs_only(certificates).build());
        let client = built.map_err(|error| Failure::from(format!("no HTTP client: {}", chain(&error))))?;
        Ok(Self { client, token, names })
    }

    /// Returns a client that makes its calls with `client`, without a token.
    #[must_use]
    pub fn of(client: Client, names: Names) -> Self {
        Self { client, token: None, names }
    }

    /// Returns a call, to be [sent](Self::send).
    pub fn request<'s>(
        &self,
        method: Method,
        address: &Address,
        path: impl IntoIterator<Item = &'s str>,
        query: Option<&str>,
    ) -> RequestBuilder {
        let mut url = address.at(path);
        url.set_query(query);
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    /// Sends a call, and returns the response if its status is a success.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response, or another status.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        self.send_for(request, |status| status.is_success()).await
    }

    /// Sends a call, and returns the response if its status `is_wanted`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response, or another status.
    pub async fn send_for(
        &self,
        request: RequestBuilder,
        is_wanted: impl Fn(StatusCode) -> bool,
    ) -> Result<Response, CallError> {
        let mut response = request.send().await.map_err(|error| self.away(&error))?;
        let status = response.status();
        if is_wanted(status) {
            return Ok(response);
        }
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await
            && said.len() < REFUSAL
        {
            said.extend_from_slice(&chunk);
        }
        Err(CallError::Refused(status, self.refusal(status, &said)))
    }

    /// Returns the whole body of a response that has at most `most` bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not complete or larger.
    pub async fn body(&self, response: Response, most: usize) -> Result<Bytes, CallError> {
        // The timeout of the whole call applies.
        self.read(response, Duration::MAX, most).await
    }

    /// Sends a call, and returns the whole body of the response, which has at most `most` bytes. `silence` is the longest
    /// pause while it is received.
    ///
    /// # Errors
    ///
    /// Returns an error if the status is not a success, or if the body is not complete or larger.
    pub async fn load(&self, request: RequestBuilder, silence: Duration, most: usize) -> Result<Bytes, CallError> {
        let response = timeout(silence, self.send(request)).await.map_err(silent)??;
        self.read(response, silence, most).await
    }

    async fn read(&self, mut response: Response, silence: Duration, most: usize) -> Result<Bytes, CallError> {
        let mut body = BytesMut::new();
        loop {
            let chunk = timeout(silence, response.chunk()).await.map_err(silent)?;
            let Some(chunk) = chunk.map_err(|error| self.away(&error))? else { return Ok(body.freeze()) };
            if body.len() + chunk.len() > most {
                let reason = format!("its answer is larger than {} MiB, as no golo's is", most >> 20);
                return Err(CallError::Refused(response.status(), reason));
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Returns the reason of a refusal.
    pub(crate) fn refusal(&self, status: StatusCode, said: &[u8]) -> String {
        if status == StatusCode::UNAUTHORIZED {
            return match self.token {
                Some(_) => format!("it has another token than the one given by {}", self.names.token),
                None => format!("it wants a token: give it by {}", self.names.token),
            };
        }
        refusal(status, said)
    }

    /// Returns the error of a call that was not answered, or not completely.
    #[must_use]
    pub fn away(&self, error: &reqwest::Error) -> CallError {
        let texts: Vec<String> =
            std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect();
        let why = lower(texts.last().map_or("", String::as_str));
        let has = |word: &str| texts.iter().any(|text| text.contains(word));
        CallError::Away(if error.is_timeout() && error.is_connect() {
            format!("it cannot be reached: no connection within {} s", CONNECT.as_secs())
        } else if error.is_timeout() {
            SILENT.to_owned()
        } else if explained(&why) != why {
            explained(&why).into_owned()
        } else if has("certificate") || has("Certificate") {
            format!("its certificate is not trusted: {why}; `{} FILE` names who vouches for it", self.names.ca)
        } else if has("dns error") {
            format!("its name cannot be looked up: {why}")
        } else if has("corrupt message") {
            "it does not speak TLS; if that is meant, write http:// before its address".to_owned()
        } else if error.is_connect() {
            format!("it cannot be reached: {why}")
        } else if has("invalid HTTP") {
            "it does not speak HTTP; if it speaks TLS, write https:// before its address".to_owned()
        } else if why.is_empty() {
            "its connection was lost".to_owned()
        } else {
            format!("its connection was lost: {why}")
        })
    }
}

/// Returns the reason that the body of a refusal has.
pub(crate) fn refusal(status: StatusCode, said: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    match serde_json::from_slice(said) {
        Ok(Refusal { error }) => error.chars().filter(|c| !c.is_control()).take(REASON).collect(),
        Err(_) => format!("it answers {status}, as no golo does"),
    }
}

fn silent(_: Elapsed) -> CallError {
    CallError::Away(SILENT.to_owned())
}

/// Returns a reason as the end of a sentence.
fn lower(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    match (rest.next(), rest.clone().next()) {
        // An abbreviation stays as it is.
        (Some(first), Some(second)) if second.is_lowercase() => format!("{}{}", first.to_lowercase(), rest.as_str()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        Address::parse(text, 8081).map_or_else(|error| error.to_string(), |address| address.name())
    }

    #[test]
    fn address_has_a_host_and_a_port() {
        assert_eq!(name("load1.example:9000"), "load1.example:9000");
        assert_eq!([name("load1.example"), name("[::1]")], ["load1.example:8081", "[::1]:8081"]);
        assert_eq!(
            [name("http://load1.example"), name("https://load1.example/golo/")],
            ["load1.example:80", "load1.example:443"]
        );
        assert_eq!(name("load1.example:80"), "load1.example:80");
        let address = Address::parse("https://load1.example:1/golo/", 8081).unwrap();
        assert_eq!(address.at(["jobs", "a/b"]).as_str(), "https://load1.example:1/golo/jobs/a%2Fb");
        assert_eq!(Address::parse("h:1", 1).unwrap().at(["clock"]).as_str(), "http://h:1/clock");
    }

    #[test]
    fn error_never_shows_a_password() {
        for (text, said) in [
            ("", "`` cannot be read: empty host; expected HOST:PORT or a URL, as 127.0.0.1:8081"),
            ("a:b", "`a:b` cannot be read: invalid port number; expected HOST:PORT"),
            ("ftp://a", "`ftp://a`: expected HOST:PORT"),
            ("a:1?b", "`a:1?b`: expected HOST:PORT"),
            ("http://me:hush@a:1", "an address has a user or a password"),
            ("http://me:hush@a:port", "an address cannot be read: invalid port number"),
        ] {
            let error = name(text);
            assert!(error.starts_with(said) && !error.contains("hush"), "{text}: {error}");
        }
    }

    #[test]
    fn reason_starts_in_lower_case() {
        assert_eq!(lower("Connection refused (os error 111)"), "connection refused");
        assert_eq!([lower("UnknownIssuer"), lower("TLS failed"), lower("")], ["unknownIssuer", "TLS failed", ""]);
    }
}
