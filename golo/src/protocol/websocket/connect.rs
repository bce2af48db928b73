//! Opening of a WebSocket.

use std::borrow::Cow;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, HOST, HeaderValue, UPGRADE};
use reqwest::{Method, Url};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::socket::{Names, WebSocket};
use super::{Bytes, Named, broken, step};
use crate::engine::route::template;
use crate::error::transport::TransportError;
use crate::error::{RequestErrorKind, chain};
use crate::metrics::visitor::Visitor;
use crate::metrics::{scope, trace};
use crate::support::secrets::{url_without_credentials, without_credentials, without_secrets};
use crate::transport::connect::connect_to_upgrade;
use crate::transport::message::Progress;
use crate::transport::pool::Life;
use crate::transport::settings::Settings;
use crate::transport::{client, targets};
use crate::{ConnectionEvent, HttpVersion, IntoRequest, RequestError};

/// Begins a WebSocket of the journey `id`. Await the result to connect.
///
/// `request` has the URL (`ws`, `wss`, `http` or `https`) and headers, for example for authentication or
/// `Sec-WebSocket-Protocol`. Its method and body are not used.
///
/// # Errors
///
/// Awaiting returns a [`RequestError`] if there is no WebSocket. The step's `Output` contains the reason. As for
/// requests, nothing is recorded if the request could not be built or its target is not allowed.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let journey = golo::new_sequence_id();
/// let mut news = golo::websocket::connect(&journey, golo::client().get("ws://127.0.0.1:8765/news")).await?;
/// let first = news.receive().await?;
/// # Ok(()) }
/// ```
pub fn connect(id: &str, request: impl IntoRequest) -> Connect<'_> {
    Connect { id, request: request.into_request().map(|(_, request)| request), route: None, limit: None }
}

/// A WebSocket that is not connected yet, made by [`connect`].
#[must_use = "a WebSocket is connected when this is awaited"]
pub struct Connect<'a> {
    id: &'a str,
    request: Result<reqwest::Request, reqwest::Error>,
    route: Option<Cow<'a, str>>,
    limit: Option<Duration>,
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Connect");
        text.field("id", &self.id);
        // Queries and headers have secrets.
        match &self.request {
            Ok(request) => text.field("url", &without_secrets(request.url().as_str())),
            Err(error) => text.field("error", &format_args!("{}", chain(error))),
        };
        text.field("route", &self.route).field("limit", &self.limit).finish()
    }
}

impl<'a> Connect<'a> {
    /// Names the route of the steps: the path with its variable parts replaced, as in `/rooms/{id}`. By default numbers
    /// and other IDs in the path are replaced by `{id}`.
    pub fn route(mut self, route: &'a str) -> Self {
        self.route = Some(without_credentials(route));
        self
    }

    /// Sets the longest time that connecting, and each later step, may take. By default it is that of requests, see
    /// [`Http::timeout`](crate::Http::timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    async fn open(self) -> Result<WebSocket, RequestError> {
        let Self { id, request, route, limit } = self;
        let mut request = request.map_err(RequestError::not_built)?;
        // Errors name it as they name a request.
        let method = Method::from_bytes(b"WS").unwrap_or_default();
        let named = Named { method, url: url_without_credentials(request.url()).into_owned() };
        let other = |reason: String| named.error(TransportError::new(RequestErrorKind::Other, reason));
        let (settings, outside) = client::transport().map_err(|error| other(chain(&error)))?;
        let Some(url) = of_http(request.url()) else {
            let reason = "the scheme of the URL is not `ws`, `wss`, `http` or `https`";
            return Err(named.error(TransportError::new(RequestErrorKind::Build, reason)));
        };
        targets::check(&url).map_err(|reason| RequestError::not_allowed(&named.method, &named.url, reason))?;
        let limit = limit.or_else(|| request.timeout().copied()).or(settings.timeout);
        let names = Names::of(&route.unwrap_or_else(|| template(url.path())));
        let scope = scope::current();
        let visitor = scope.as_ref().map_or(&outside, |scope| &scope.visitor);
        let sink = scope::sink_of(scope.as_deref());
        let trace = trace::add(request.headers_mut(), id, scope.as_deref());
        let headers = std::mem::take(request.headers_mut());
        let opened = step(id, &names.connect, &named, limit, trace, async {
            let origin = settings.origin(&url)?;
            let pool = settings.pool(visitor, &outside);
            let started = Instant::now();
            let io = connect_to_upgrade(&origin, &settings, pool, &mut Progress::start(started)).await?;
            sink.connected(started.elapsed());
            let life = Life::begin(&sink, HttpVersion::Http1, io.handshake());
            sink.connection(ConnectionEvent::Used);
            let request = upgrade(&url, &origin.authority, headers, &settings, visitor)?;
            let (stream, response) = client_async_with_config(request, io, None).await.map_err(broken)?;
            set_cookies(response.headers(), &url, visitor);
            Ok(((stream, life), Bytes::default()))
        });
        let (stream, life) = opened.await?;
        Ok(WebSocket::new(id, names, named, limit, stream, life))
    }
}

impl<'a> IntoFuture for Connect<'a> {
    type Output = Result<WebSocket, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// Returns the URL with the scheme of HTTP, if it is one of a WebSocket.
fn of_http(url: &Url) -> Option<Url> {
    let scheme = match url.scheme() {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => return None,
    };
    let mut url = url_without_credentials(url).into_owned();
    url.set_fragment(None);
    url.set_scheme(scheme).is_ok().then_some(url)
}

/// Makes the request that begins a WebSocket.
fn upgrade(
    url: &Url,
    authority: &str,
    headers: http::HeaderMap,
    settings: &Settings,
    visitor: &Visitor,
) -> Result<http::Request<()>, TransportError> {
    let invalid = |error: http::Error| TransportError::new(RequestErrorKind::Other, error);
    // The crate accepts only its own schemes.
    let uri = url.as_str().replacen("http", "ws", 1);
    let mut request = http::Request::builder().uri(uri).body(()).map_err(invalid)?;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    for (name, value) in &settings.headers {
        // Meant for responses with a body.
        let is_of_body = *name == ACCEPT || *name == ACCEPT_ENCODING;
        if !is_of_body && !headers.contains_key(name) {
            headers.append(name, value.clone());
        }
    }
    add_cookies(headers, url, visitor);
    let text = |text: &str| HeaderValue::from_str(text).map_err(|error| invalid(error.into()));
    if !headers.contains_key(HOST) {
        headers.insert(HOST, text(authority)?);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
    headers.insert("sec-websocket-key", text(&generate_key())?);
    Ok(request)
}

#[cfg(feature = "cookies")]
fn add_cookies(headers: &mut http::HeaderMap, url: &Url, visitor: &Visitor) {
    use reqwest::cookie::CookieStore as _;
    use reqwest::header::COOKIE;

    if !headers.contains_key(COOKIE)
        && let Some(cookies) = visitor.cookies().and_then(|jar| jar.cookies(url))
    {
        headers.insert(COOKIE, cookies);
    }
}

#[cfg(not(feature = "cookies"))]
fn add_cookies(_: &mut http::HeaderMap, _: &Url, _: &Visitor) {}

#[cfg(feature = "cookies")]
fn set_cookies(headers: &http::HeaderMap, url: &Url, visitor: &Visitor) {
    use reqwest::cookie::CookieStore as _;
    use reqwest::header::SET_COOKIE;

    if headers.contains_key(SET_COOKIE) {
        visitor.set_cookies().set_cookies(&mut headers.get_all(SET_COOKIE).iter(), url);
    }
}

#[cfg(not(feature = "cookies"))]
fn set_cookies(_: &http::HeaderMap, _: &Url, _: &Visitor) {}
