//! Requests to receivers over HTTP, and their credentials.

use std::time::Duration;

use golo::cli::install_provider;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::delivery::{Courier, Parcel, SendError, Sending};
use crate::http::client::{HttpClient, Names};
use crate::support::failure::Failure;

/// Longest time for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Parts of names of parameters that have credentials, in lower case.
const SECRETS: [&str; 8] = ["token", "pass", "pwd", "secret", "auth", "key", "credential", "jwt"];
/// Number of bytes of an answer after which the rest is not read.
const ANSWER: usize = 64 << 10;
/// Largest number of characters of a reason that a receiver sends.
const REASON: usize = 200;

/// Returns the URL of a receiver.
///
/// # Errors
///
/// Returns an error if the text is no URL of HTTP, or if it has a user, a password or a parameter with credentials.
/// `example` is a right one, and `variables` are those of the credentials.
pub fn url(kind: &str, text: &str, example: &str, variables: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::from(format!("`--out {kind}=…`: {why}; expected a URL, as {example}"));
    let secret = |what: &str| {
        wrong(&format!("other users of this machine can read {what} in it; give them by the variables {variables}"))
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is no URL with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(secret("the user and password"));
    }
    if url.query_pairs().any(|(name, _)| is_secret(&name)) {
        return Err(secret("the credentials"));
    }
    Ok(url)
}

/// Returns true if a parameter of this name has credentials.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    matches!(&*name, "u" | "p" | "user" | "username") || SECRETS.iter().any(|word| name.contains(word))
}

/// Returns the header `Authorization` from environment variables: `PREFIX_TOKEN`, or `PREFIX_USER` and `PREFIX_PASSWORD`.
/// `scheme` goes before the token.
///
/// # Errors
///
/// Returns an error if the values cannot be sent in a header.
pub fn authorization(
    prefix: &str,
    scheme: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<HeaderValue>, Failure> {
    let named = |name: &str| variable(&format!("{prefix}_{name}"));
    let value = match (named("TOKEN"), named("USER")) {
        (Some(token), _) => format!("{scheme} {token}"),
        (None, Some(user)) => {
            use base64::Engine as _;
            let password = named("PASSWORD").unwrap_or_default();
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
        }
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| Failure::from(format!("`{prefix}_TOKEN` has characters that a header cannot have")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Sends requests with `POST`.
pub struct HttpCourier {
    client: Client,
    /// Address for each kind of parcel.
    address: fn(&Url, &'static str) -> Url,
    url: Url,
    headers: HeaderMap,
    /// Checks the body of an accepted request.
    check: fn(&[u8]) -> Result<(), SendError>,
    /// Returns true for a status after which the same request may be accepted.
    is_passing: fn(StatusCode) -> bool,
    /// Reads the text of a refusal in a format of the protocol.
    read: fn(&[u8]) -> Option<String>,
    /// Adds advice to the reason of a refusal.
    explain: fn(StatusCode, &str) -> Option<&'static str>,
    /// Turns errors into text.
    errors: HttpClient,
}

impl HttpCourier {
    /// Creates a courier that sends these headers.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no HTTP client.
    pub fn new(url: Url, headers: HeaderMap, authorization: Option<HeaderValue>) -> Result<Self, Failure> {
        install_provider();
        let builder = Client::builder().connect_timeout(CONNECT).redirect(Policy::none()).no_proxy();
        // Reading all certificates of this machine takes milliseconds.
        let builder = if url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let client = builder.build();
        let client = client.map_err(|error| Failure::from(format!("no HTTP client: {}", golo::cli::chain(&error))))?;
        let errors = HttpClient::of(client.clone(), Names { token: "a variable", ca: "SSL_CERT_FILE" });
        let mut headers = headers;
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value);
        }
        let (address, check) = (|url: &Url, _| url.clone(), |_: &[u8]| Ok(()));
        let (read, explain) = (|_: &[u8]| None, |_, _: &str| None);
        Ok(Self { client, address, url, headers, check, is_passing, read, explain, errors })
    }

    /// Sends each kind of parcel to its own address.
    #[must_use]
    pub fn addressed(self, address: fn(&Url, &'static str) -> Url) -> Self {
        Self { address, ..self }
    }

    /// Checks the bodies of accepted requests.
    #[must_use]
    pub fn checked(self, check: fn(&[u8]) -> Result<(), SendError>) -> Self {
        Self { check, ..self }
    }

    /// Sends requests again only after these statuses.
    #[must_use]
    pub fn passing(self, is_passing: fn(StatusCode) -> bool) -> Self {
        Self { is_passing, ..self }
    }

    /// Reads the texts of refusals in a format of the protocol. Others are text, or JSON.
    #[must_use]
    pub fn reading(self, read: fn(&[u8]) -> Option<String>) -> Self {
        Self { read, ..self }
    }

    /// Adds advice to the reasons of refusals, if there is some for a status and a reason.
    #[must_use]
    pub fn explained(self, explain: fn(StatusCode, &str) -> Option<&'static str>) -> Self {
        Self { explain, ..self }
    }

    /// Changes a header of later requests.
    pub fn set_header(&mut self, name: &'static str, value: &'static str) {
        self.headers.insert(name, HeaderValue::from_static(value));
    }

    /// Sends a body and returns the headers of the response if it was accepted.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response, or one that says that the request was not accepted.
    pub async fn post(&self, parcel: &Parcel) -> Result<HeaderMap, SendError> {
        let url = (self.address)(&self.url, parcel.kind);
        let request = self.client.post(url).headers(self.headers.clone()).body(parcel.body.clone());
        let away = |error: &reqwest::Error| SendError::Again(self.errors.away(error).to_string(), None);
        let mut response = request.send().await.map_err(|error| away(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while body.len() < ANSWER
            && let Some(chunk) = response.chunk().await.map_err(|error| away(&error))?
        {
            body.extend_from_slice(&chunk);
        }
        match status.is_success() {
            true => (self.check)(&body).map(|()| headers),
            false => Err(self.refusal(status, &headers, &body)),
        }
    }

    /// Returns the error of a response that is no success.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> SendError {
        let text = shortened(&(self.read)(body).unwrap_or_else(|| message(body)));
        let mut reason =
            if text.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {text}") };
        if let Some(advice) = (self.explain)(status, &text) {
            reason = format!("{reason}; {advice}");
        }
        if !(self.is_passing)(status) {
            return SendError::Refused(reason);
        }
        let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.trim().parse().ok());
        SendError::Again(reason, after.map(Duration::from_secs))
    }
}

impl Courier for HttpCourier {
    fn send<'a>(&'a mut self, parcel: &'a Parcel) -> Sending<'a> {
        Box::pin(async move { self.post(parcel).await.map(drop) })
    }
}

/// Returns true for overload and failures of a server. Other refusals do not pass.
fn is_passing(status: StatusCode) -> bool {
    let is_of_server = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    is_of_server
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
}

/// Returns the reason that a receiver gave, on one line, short and without secrets.
pub(super) fn shortened(text: &str) -> String {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(REASON).collect();
    golo::cli::without_secrets(&text).into_owned()
}

/// Returns the text of a response: `error` or `message` of a JSON object, else all of it.
fn message(body: &[u8]) -> String {
    let read = serde_json::from_slice::<serde_json::Value>(body).ok();
    let named = |name: &str| Some(read.as_ref()?.get(name)?.as_str()?.to_owned());
    named("error").or_else(|| named("message")).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_with_a_password_is_refused_without_showing_it() {
        for (text, said) in [
            ("http://me:hush@a", "other users of this machine"),
            ("hush", "relative URL without a base"),
            ("ftp://a", "it is no URL with http:// or https://"),
        ] {
            let error = url("influxdb", text, "http://a:1", "A").unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
            assert!(error.starts_with("`--out influxdb=…`: ") && error.ends_with("expected a URL, as http://a:1"));
        }
        assert_eq!(url("influxdb", "https://a:1/db?x=y", "", "A").unwrap().as_str(), "https://a:1/db?x=y");
        for name in ["u", "p", "P", "token", "password", "api_key", "access_token", "Authorization"] {
            let error = url("otlp", &format!("http://a/write?db=x&{name}=hush"), "", "A").unwrap_err().to_string();
            assert!(error.contains("can read the credentials in it") && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn credentials_come_from_variables_and_are_not_shown() {
        let value = |set: &[(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            authorization("A", "Bearer", variable).unwrap()
        };
        assert_eq!(value(&[]), None);
        assert_eq!(value(&[("A_TOKEN", "hush")]).unwrap(), "Bearer hush");
        assert_eq!(value(&[("A_USER", "me"), ("A_PASSWORD", "hush")]).unwrap(), "Basic bWU6aHVzaA==");
        assert!(!format!("{:?}", value(&[("A_TOKEN", "hush")])).contains("hush"));
        assert!(authorization("A", "Bearer", |_| Some("a\nb".to_owned())).is_err());
    }

    #[test]
    fn only_passing_failures_are_tried_again() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
        let again =
            SendError::Again("it answered 503 Service Unavailable: busy".to_owned(), Some(Duration::from_secs(3)));
        let courier = HttpCourier::new(Url::parse("http://a").unwrap(), HeaderMap::new(), None).unwrap();
        let courier = courier.explained(|status, _| (status == StatusCode::FORBIDDEN).then_some("ask somebody"));
        let refusal = |status, headers: &HeaderMap, body: &[u8]| courier.refusal(status, headers, body);
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, &headers, b" busy\n"), again);
        let refused = |text: &str| SendError::Refused(text.to_owned());
        assert_eq!(
            refusal(StatusCode::FORBIDDEN, &headers, br#"{"code": 7, "message": "go away"}"#),
            refused("it answered 403 Forbidden: go away; ask somebody")
        );
        assert_eq!(
            refusal(StatusCode::NOT_FOUND, &headers, br#"{"error": "no such place"}"#),
            refused("it answered 404 Not Found: no such place")
        );
        assert_eq!(
            refusal(StatusCode::BAD_REQUEST, &HeaderMap::new(), b"out of order sample"),
            SendError::Refused("it answered 400 Bad Request: out of order sample".to_owned())
        );
        assert_eq!(
            refusal(StatusCode::UNAUTHORIZED, &HeaderMap::new(), b""),
            SendError::Refused("it answered 401 Unauthorized".to_owned())
        );
    }
}
