//! Calls of agents and collectors over HTTP: who is called, with which token, and what became of it in words.

use std::{error::Error as _, fmt, path::Path, time::Duration};

use golo::cli::{chain, install_provider};
use reqwest::{
    Certificate, Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url, redirect::Policy,
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::{
    http::server::{Secret, Token},
    support::failure::Failure,
};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Most characters of a reason that others give.
const REASON: usize = 500;
/// What is said of one that is there, and silent.
const SILENT: &str = "it does not answer";

/// Where an agent or a collector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
}

impl Address {
    /// Reads `HOST:PORT` or a URL; without a port and a scheme it is at `port`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str, port: u16) -> Result<Self, Failure> {
        let right = format!("expected HOST:PORT or a URL, as 127.0.0.1:{port} or https://load1.example:{port}");
        let has_scheme = text.contains("://");
        let whole = if has_scheme { text.to_owned() } else { format!("http://{text}") };
        // What cannot be read may have a password in it.
        let mut url = Url::parse(&whole).map_err(|error| match text.contains('@') {
            true => format!("an address cannot be read: {error}; {right}"),
            false => format!("`{text}` cannot be read: {error}; {right}"),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address has a user or a password, where a token is what is asked for".into());
        }
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}`: {right}").into());
        }
        if !has_scheme && !has_port(text) {
            url.set_port(Some(port)).map_err(|()| right)?;
        }
        Ok(Self { url })
    }

    /// `HOST:PORT`: what it is called.
    #[must_use]
    pub fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or_default())
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A place there.
    fn at<'s>(&self, path: impl IntoIterator<Item = &'s str>) -> Url {
        let mut url = self.url.clone();
        // One with a host has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// Whether an address without a scheme says which port.
fn has_port(text: &str) -> bool {
    let authority = text.split('/').next().unwrap_or_default();
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_host.contains(':')
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// There was no answer, or not all of one.
    Away(String),
    /// It was answered, and not carried out.
    Refused(StatusCode, String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(reason) | Self::Refused(_, reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for CallError {}

/// What a client was given its token and certificates by, for what is said of them.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The variable or flag of the token, between backticks.
    pub token: &'static str,
    /// The flag of the file of certificates.
    pub ca: &'static str,
}

/// What makes calls.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
    token: Option<Secret>,
    names: Names,
}

impl HttpClient {
    /// One that says `token` to everybody it calls, and trusts whom `ca` names, in PEM, beside those that this machine
    /// trusts. It goes through no proxy.
    ///
    /// # Errors
    ///
    /// Where the token can be in no header, or the file cannot be read.
    pub fn new(token: Option<Secret>, ca: Option<&Path>, names: Names) -> Result<Self, Failure> {
        if let Some(token) = &token {
            Token::new(token).map_err(|error| format!("the token {error}"))?;
        }
        let mut certificates = Vec::new();
        if let Some(path) = ca {
            let wrong = |error: &dyn fmt::Display| {
                format!("`{} {}`: {error}; expected a file in PEM", names.ca, path.display())
            };
            let text = std::fs::read(path).map_err(|error| wrong(&error))?;
            certificates = Certificate::from_pem_bundle(&text).map_err(|error| wrong(&chain(&error)))?;
            if certificates.is_empty() {
                return Err(wrong(&"there is no certificate in it").into());
            }
        }
        install_provider();
        let builder = || ClientBuilder::new().connect_timeout(CONNECT).redirect(Policy::none()).no_proxy();
        let built = match certificates.is_empty() {
            false => builder().tls_certs_merge(certificates.clone()).build(),
            true => builder().build(),
        };
        // A machine without any root can use plain HTTP still, and trust those whom it was given.
        let built = built.or_else(|_| builder().tls_certs_only(certificates).build());
        let client = built.map_err(|error| format!("no HTTP client: {}", chain(&error)))?;
        Ok(Self { client, token, names })
    }

    /// A call that is to be [sent](Self::send).
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

    /// Sends it, and gives the answer of one that was carried out.
    ///
    /// # Errors
    ///
    /// Why it was not.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        self.send_for(request, |status| status.is_success()).await
    }

    /// Sends it, and gives an answer with a status that `is_wanted`.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn send_for(
        &self,
        request: RequestBuilder,
        is_wanted: impl Fn(StatusCode) -> bool,
    ) -> Result<Response, CallError> {
        let response = request.send().await.map_err(|error| self.away(&error))?;
        let status = response.status();
        if is_wanted(status) {
            return Ok(response);
        }
        let said = response.text().await.unwrap_or_default();
        Err(CallError::Refused(status, self.refusal(status, &said)))
    }

    /// Sends it, and gives all of the answer of one that was carried out, however long that is, for as long as something
    /// comes within `silence`.
    ///
    /// # Errors
    ///
    /// Why it was not, or why there is not all of it.
    pub async fn load(&self, request: RequestBuilder, silence: Duration) -> Result<Vec<u8>, CallError> {
        let silent = |_| CallError::Away(SILENT.to_owned());
        let mut response = timeout(silence, self.send(request)).await.map_err(silent)??;
        let mut body = Vec::new();
        loop {
            let chunk = timeout(silence, response.chunk()).await.map_err(silent)?;
            match chunk.map_err(|error| self.away(&error))? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => return Ok(body),
            }
        }
    }

    pub(crate) fn refusal(&self, status: StatusCode, said: &str) -> String {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        if status == StatusCode::UNAUTHORIZED {
            return match self.token {
                Some(_) => format!("it has another token than the one given by {}", self.names.token),
                None => format!("it wants a token: give it by {}", self.names.token),
            };
        }
        match serde_json::from_str(said) {
            Ok(Refusal { error }) => error.chars().filter(|c| !c.is_control()).take(REASON).collect(),
            Err(_) => format!("it answers {status}, as no golo does"),
        }
    }

    /// What became of a call that was not answered, or not to its end.
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

/// A reason as the end of a sentence.
fn lower(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    match (rest.next(), rest.clone().next()) {
        // Not of an abbreviation.
        (Some(first), Some(second)) if second.is_lowercase() => format!("{}{}", first.to_lowercase(), rest.as_str()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        Address::parse(text, 8081).map_or_else(Into::into, |address| address.name())
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
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
    fn what_is_no_address_is_said_without_a_password() {
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
    fn reasons_are_the_end_of_a_sentence() {
        assert_eq!(lower("Connection refused (os error 111)"), "connection refused");
        assert_eq!([lower("UnknownIssuer"), lower("TLS failed"), lower("")], ["unknownIssuer", "TLS failed", ""]);
    }
}
