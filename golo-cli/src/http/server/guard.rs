//! Refuses callers without the token, and web pages.
//!
//! A page can make a browser send requests to every server that its user reaches, also on loopback. Three headers reveal
//! such a request: an `Origin` that is not the server's own, a `Sec-Fetch-Site` that is not `same-origin`, and a `Host` that
//! is not a name of the server, if the page has pointed a name of its own at this machine.
//!
//! A server that has [`Pages`] of its own also lets browsers open them, by a link on another site too, and accepts the
//! cookie of a session in place of the token.

use std::{net::IpAddr, sync::Arc};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};

use super::connection::Reached;
use super::connections::Pace;
use super::refusal::{Refusal, in_json};
use super::session::{Pages, SESSION, is_opened, protect, shows_html};
use super::timed_body::{Arrival, End, TimedBody};
use super::{Bounds, ServerOptions, Statuses, Token};

/// Path that needs no token.
const OPEN: &str = "/healthz";

/// Stands for every name in [`ServerOptions::hosts`].
const ANY: &str = "*";

/// Rules that every request must meet.
pub(super) struct Guard {
    name: &'static str,
    /// Flag that adds a name.
    host_flag: &'static str,
    token: Option<Token>,
    hosts: Vec<String>,
    bounds: Bounds,
    statuses: Statuses,
    pages: Option<Pages>,
}

impl Guard {
    pub(super) fn new(options: &ServerOptions) -> Self {
        let mut hosts: Vec<_> = options.hosts.iter().map(|host| plain(host)).collect();
        hosts.push("localhost".to_owned());
        Self {
            name: options.name,
            host_flag: options.flags.host,
            token: options.token.clone(),
            hosts,
            bounds: options.bounds,
            statuses: options.statuses.clone(),
            pages: options.pages.clone(),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let forbidden = |reason: String| Err(Refusal::new(StatusCode::FORBIDDEN, reason));
        let reached = request.extensions().get::<Reached>().map(|Reached(address)| *address);
        let headers = request.headers();
        let host = host(headers, request.uri())?;
        if !self.is_own(&host, reached) {
            let name = host.host();
            let text = format!(
                "`{name}` is none of the names of this {}: if it is to be, start it with `{} {name}`",
                self.name, self.host_flag
            );
            return forbidden(text);
        }
        for origin in headers.get_all(header::ORIGIN) {
            if !is_origin(origin, &host) {
                return forbidden("a page of another origin may not call this".to_owned());
            }
        }
        let is_opened = self.pages.is_some() && is_opened(request.method(), headers);
        for site in headers.get_all("sec-fetch-site") {
            if !is_opened && site != "same-origin" && site != "none" {
                return forbidden("a page of another site may not call this".to_owned());
            }
        }
        match &self.token {
            Some(token) if !self.is_open(request, &host) => {
                let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
                let given = given.and_then(|given| given.split_once(' '));
                match given {
                    Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && token.is(text.trim()) => Ok(()),
                    Some(_) => Err(Refusal::new(StatusCode::UNAUTHORIZED, "the token is another")),
                    None => Err(Refusal::new(
                        StatusCode::UNAUTHORIZED,
                        "a token is needed, as `Authorization: Bearer TOKEN`",
                    )),
                }
            }
            _ => Ok(()),
        }
    }

    /// True if the request needs no token: it is for a path that is open to all, or from a browser with a session.
    fn is_open(&self, request: &Request, host: &Authority) -> bool {
        let path = request.uri().path();
        let is_open = |pages: &Pages| {
            let is_free = path == SESSION || path.starts_with(pages.open);
            is_free || pages.sessions.allow(request.method(), request.headers(), host)
        };
        path == OPEN || self.pages.as_ref().is_some_and(is_open)
    }

    /// Returns the response to a refused request: a page that asks for the token, if a browser opens a page without it.
    fn refuse(&self, refusal: Refusal, shows_html: bool) -> Response {
        match &self.pages {
            Some(pages) if shows_html && refusal.status == StatusCode::UNAUTHORIZED => {
                (StatusCode::UNAUTHORIZED, Html(pages.login)).into_response()
            }
            _ => refusal.into_response(),
        }
    }

    fn is_own(&self, host: &Authority, reached: Option<IpAddr>) -> bool {
        let name = plain(host.host());
        if self.hosts.iter().any(|known| *known == name || known == ANY) {
            return true;
        }
        let address = name.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        address.is_some_and(|address| address.is_loopback() || Some(address) == reached)
    }
}

/// Returns a name in the form in which names are compared.
fn plain(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

/// Returns the host that the request is for.
fn host(headers: &HeaderMap, uri: &Uri) -> Result<Authority, Refusal> {
    let mut given = headers.get_all(header::HOST).iter();
    let host = match (given.next(), given.next()) {
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        _ => None,
    };
    let host = host.ok_or_else(|| Refusal::bad("expected one `Host` header with a name or an address"))?;
    match uri.authority() {
        Some(authority) if *authority != host => Err(Refusal::bad("the request's target and its `Host` differ")),
        _ => Ok(host),
    }
}

/// True if an origin is the host that was called.
fn is_origin(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(uri) = origin.to_str().unwrap_or_default().parse::<Uri>() else { return false };
    let usual = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
    uri.authority().is_some_and(|own| plain(own.host()) == plain(host.host()) && port(own) == port(host))
}

/// Answers a request, or refuses it, and counts the response.
pub(super) async fn answer(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let pace = request.extensions().get::<Arc<Pace>>().cloned();
    let mut response = match guard.check(&request) {
        Err(refusal) => guard.refuse(refusal, shows_html(request.headers())),
        Ok(()) => guarded(&guard, request, next, pace.clone()).await,
    };
    if let Some(pace) = pace {
        pace.end_answer();
    }
    let status = response.status();
    guard.statuses.count(status);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if guard.pages.is_some() {
        protect(headers);
    }
    response
}

async fn guarded(guard: &Guard, request: Request, next: Next, pace: Option<Arc<Pace>>) -> Response {
    let arrival = Arrival::new(pace);
    let watched = arrival.clone();
    let response = next.run(request.map(|body| Body::new(TimedBody::new(body, guard.bounds, watched)))).await;
    let Bounds { stall, body_time, .. } = guard.bounds;
    let late = match arrival.end() {
        Some(End::Stalled) => Some(format!("nothing more of the body came for {stall:?}")),
        Some(End::Slow) => Some(format!("the body was not there after {body_time:?}, and did not come fast enough")),
        Some(End::Whole) | None => None,
    };
    let mut response = match late {
        Some(reason) if !response.status().is_success() => {
            Refusal::new(StatusCode::REQUEST_TIMEOUT, reason).into_response()
        }
        _ => in_json(response, guard.bounds.body).await,
    };
    if arrival.end() != Some(End::Whole) {
        // The rest of the body is not read, so no other request can follow.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(origin: &str, host: &str) -> bool {
        is_origin(&HeaderValue::from_str(origin).unwrap(), &host.parse().unwrap())
    }

    #[test]
    fn origin_is_accepted_only_if_it_is_the_called_host() {
        assert!(origin("http://127.0.0.1:8081", "127.0.0.1:8081"));
        assert!(origin("https://Load1.example", "load1.example:443"));
        assert!(origin("http://[::1]:8081", "[::1]:8081"));
        for (other, host) in [
            ("null", "127.0.0.1:8081"),
            ("http://127.0.0.1:3000", "127.0.0.1:8081"),
            ("http://evil.example:8081", "127.0.0.1:8081"),
            ("http://localhost", "localhost:8081"),
            ("file://", "localhost"),
            ("", "localhost"),
        ] {
            assert!(!origin(other, host), "{other}");
        }
    }
}
