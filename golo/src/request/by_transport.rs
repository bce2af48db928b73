//! Requests that golo's transport sends: redirects, cookies, time limits, and decompression.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, REFERER, SET_COOKIE, TRANSFER_ENCODING,
};
use reqwest::{Method, Response, StatusCode, Url};

use super::upload::{bytes_of, referer};
use super::{Options, Place, Requested, look};
use crate::RequestError;
use crate::error::RequestErrorKind;
use crate::error::transport::TransportError;
use crate::metrics::evidence::{Evidence, ResponseEvidence};
use crate::metrics::tag_set::TagSet;
use crate::metrics::trace::{self, TRACEPARENT, TraceContext};
use crate::metrics::visitor::Visitor;
use crate::request::recording::Recording;
use crate::support::secrets::url_without_credentials;
use crate::transport::client::SENSITIVE;
use crate::transport::decoding::Decodes;
use crate::transport::exchange::{self, Answer, Means};
use crate::transport::message::Payload;
use crate::transport::settings::Settings;
use crate::transport::targets;

/// Describes a URL that is not HTTP, as reqwest does.
const BAD_SCHEME: &str = "URL scheme is not allowed";

/// Sends a request by golo's transport, and records it.
pub(super) async fn send(
    mut request: reqwest::Request,
    options: Options<'_>,
    place: Place<'_>,
    settings: &Settings,
    outside: &Arc<Visitor>,
) -> Result<Response, RequestError> {
    let requested = Requested::of(&request);
    if let Err(reason) = targets::check(request.url()) {
        return Err(RequestError::not_allowed(&requested.method, &requested.url, reason));
    }
    if !matches!(request.url().scheme(), "http" | "https") {
        let error = TransportError::new(RequestErrorKind::Build, BAD_SCHEME);
        return Err(RequestError::of_transport(&requested.method, &requested.url, error));
    }
    let (method, url) = (requested.method.as_str(), requested.url.as_str());
    let mut recording = Recording::start(options.id, method.into(), url.into(), &**place.sink, place.scope)
        .tags(options.tags)
        .route(options.route)
        .expect(options.expected)
        .by_transport(options.discards_body);
    let limit = request.timeout().copied().or(settings.timeout);
    let visitor = place.scope.map_or(outside, |scope| &scope.visitor);
    let means = Means { settings, pool: settings.pool(visitor, outside), sink: place.sink };
    let mut hops = Hops {
        payload: payload_of(&mut request),
        request,
        named: Named {
            id: options.id,
            route: options.route,
            expected: options.expected,
            discards_body: options.discards_body,
            tags: options.tags,
        },
        place,
        visitor,
        followed: 0,
        own_trace: None,
    };
    hops.add_default_headers(settings);
    if let Some(trace) = hops.add_trace() {
        recording.set_trace(trace);
    }
    let followed = hops.follow(&means, &mut recording);
    let result = match limit {
        None => followed.await,
        Some(limit) => tokio::time::timeout(limit, followed).await.unwrap_or_else(|_| Err(TransportError::timeout())),
    };
    let Hops { request, payload, .. } = hops;
    let decoded = match result {
        Ok(answer) => decoded(answer, settings, &mut recording).await,
        Err(error) => Err(error),
    };
    // Not before, so that the future has no room for it.
    let evidence = Evidence {
        url: request.url(),
        headers: Some(request.headers()),
        body: match &payload {
            Payload::Whole(body) => Some(body),
            Payload::Stream(_) | Payload::Spent => None,
        },
        response: None,
    };
    let answer = match decoded {
        Ok(answer) => answer,
        Err(error) => {
            let error = RequestError::of_transport(&requested.method, &requested.url, error);
            return Err(super::failed(error, &options.expectations, recording, place, &evidence));
        }
    };
    let amounts = recording.amounts(None);
    if options.expectations.is_empty() {
        let Answer { head, body, .. } = &answer;
        let response = ResponseEvidence { version: head.version, headers: &head.headers, body };
        recording.finish_with(None, &Evidence { response: Some(response), ..evidence });
        return Ok(put_together(answer, request.url(), requested, amounts));
    }
    let body = answer.body.clone();
    let response = put_together(answer, request.url(), requested.clone(), amounts);
    let (version, headers) = (response.version(), response.headers());
    let evidence = Evidence { response: Some(ResponseEvidence { version, headers, body: &body }), ..evidence };
    look(options.expectations, &response, &body, recording, &evidence);
    Ok(response)
}

/// Takes the body of a request.
fn payload_of(request: &mut reqwest::Request) -> Payload {
    let Some(mut body) = request.body_mut().take() else { return Payload::Whole(Bytes::new()) };
    match bytes_of(&mut body) {
        Some(bytes) => Payload::Whole(bytes),
        None => Payload::Stream(body),
    }
}

/// Options that each hop of a request has.
#[derive(Clone, Copy)]
struct Named<'a> {
    id: &'a str,
    route: Option<&'a str>,
    expected: &'a [u16],
    discards_body: bool,
    tags: TagSet,
}

/// A request and the redirects that it follows.
struct Hops<'a> {
    request: reqwest::Request,
    payload: Payload,
    named: Named<'a>,
    place: Place<'a>,
    visitor: &'a Visitor,
    /// Number of redirects that were followed.
    followed: usize,
    /// Trace context of the request, if golo has set the header.
    own_trace: Option<Box<TraceContext>>,
}

impl<'a> Hops<'a> {
    fn add_default_headers(&mut self, settings: &Settings) {
        let headers = self.request.headers_mut();
        for (name, value) in &settings.headers {
            if !headers.contains_key(name) {
                headers.append(name, value.clone());
            }
        }
    }

    /// Adds the header `traceparent`, if it is on and the load test has not set it. Returns what the request has.
    fn add_trace(&mut self) -> Option<Box<TraceContext>> {
        if trace::is_on() { self.add_trace_always() } else { None }
    }

    /// Not inlined, so that requests without the header have only the check.
    #[inline(never)]
    fn add_trace_always(&mut self) -> Option<Box<TraceContext>> {
        let headers = self.request.headers_mut();
        let is_of_load_test = headers.contains_key(TRACEPARENT);
        let trace = trace::add(headers, self.named.id, self.place.scope);
        self.own_trace = trace.clone().filter(|_| !is_of_load_test);
        trace
    }

    /// Sends the request, and follows its redirects.
    async fn follow(&mut self, means: &Means<'_>, recording: &mut Recording<'a>) -> Result<Answer, TransportError> {
        loop {
            let adds_cookies = self.add_cookies();
            let Self { request, payload, .. } = self;
            let (method, url, headers) = (request.method(), request.url(), request.headers());
            let answer = exchange::send(method, url, headers, payload, means, recording.progress()).await?;
            if adds_cookies {
                self.request.headers_mut().remove(COOKIE);
            }
            self.set_cookies(&answer.head.headers);
            if !answer.head.status.is_redirection() || means.settings.redirects == 0 {
                return Ok(answer);
            }
            let next = match self.redirect(&answer, means.settings) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok(answer),
                Err(error) => {
                    // This is not the response that the load test asked for.
                    recording.has_no_response();
                    return Err(error);
                }
            };
            self.apply(next, answer.head.status);
            self.followed += 1;
            if means.settings.separate_redirects {
                self.record_hop(recording);
            } else {
                recording.follow();
            }
        }
    }

    /// Adds the cookies of the user, unless the load test set the header. Returns true if there are any.
    fn add_cookies(&mut self) -> bool {
        #[cfg(feature = "cookies")]
        {
            use reqwest::cookie::CookieStore as _;

            let Some(jar) = self.visitor.cookies() else { return false };
            if self.request.headers().contains_key(COOKIE) {
                return false;
            }
            let Some(cookies) = jar.cookies(self.request.url()) else { return false };
            self.request.headers_mut().insert(COOKIE, cookies);
            true
        }
        #[cfg(not(feature = "cookies"))]
        false
    }

    /// Keeps the cookies that a response sets.
    fn set_cookies(&self, headers: &HeaderMap) {
        #[cfg(feature = "cookies")]
        if headers.contains_key(SET_COOKIE) {
            use reqwest::cookie::CookieStore as _;

            let mut cookies = headers.get_all(SET_COOKIE).iter();
            self.visitor.set_cookies().set_cookies(&mut cookies, self.request.url());
        }
        #[cfg(not(feature = "cookies"))]
        let _ = (headers, SET_COOKIE, self.visitor);
    }

    /// Returns the URL that a response redirects to, if the redirect can be followed.
    ///
    /// # Errors
    ///
    /// Returns an error if the redirect must not be followed.
    fn redirect(&self, answer: &Answer, settings: &Settings) -> Result<Option<Url>, TransportError> {
        let needs_body = match answer.head.status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *self.request.method() != Method::POST,
            StatusCode::SEE_OTHER => false,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            _ => return Ok(None),
        };
        if needs_body && !self.payload.is_fresh() {
            return Ok(None);
        }
        let location =
            answer.head.headers.get(LOCATION).and_then(|location| std::str::from_utf8(location.as_bytes()).ok());
        let Some(mut next) = location.and_then(|location| self.request.url().join(location).ok()) else {
            return Ok(None);
        };
        next.set_fragment(None);
        let refused = |reason: &str| TransportError::new(RequestErrorKind::Redirect, reason);
        targets::check(&next).map_err(|reason| TransportError::new(RequestErrorKind::Redirect, reason))?;
        if self.followed >= settings.redirects {
            return Err(refused("too many redirects"));
        }
        if !matches!(next.scheme(), "http" | "https") {
            return Err(refused(BAD_SCHEME));
        }
        Ok(Some(next))
    }

    /// Makes the request one for the URL that a response with this status redirects to.
    fn apply(&mut self, next: Url, status: StatusCode) {
        let method = self.request.method();
        let becomes_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
            StatusCode::SEE_OTHER => true,
            _ => false,
        };
        if becomes_get {
            if *method != Method::HEAD {
                *self.request.method_mut() = Method::GET;
            }
            self.payload = Payload::Whole(Bytes::new());
            for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
                self.request.headers_mut().remove(name);
            }
        }
        let previous = std::mem::replace(self.request.url_mut(), next);
        let origin =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        let next = self.request.url();
        let (is_elsewhere, referer) = (origin(next) != origin(&previous), referer(next, &previous));
        let headers = self.request.headers_mut();
        if is_elsewhere {
            SENSITIVE.iter().for_each(|name| _ = headers.remove(name));
        }
        if let Some(referer) = referer {
            headers.insert(REFERER, referer);
        }
    }

    /// Records the hop that has ended as a request of its own, and begins the record of the next one.
    fn record_hop(&mut self, recording: &mut Recording<'a>) {
        let trace = match &self.own_trace {
            // It is a request of its own, so it has a span of its own.
            Some(trace) => Some(trace.put_next(self.request.headers_mut())),
            None => recording.trace(),
        };
        let Named { id, route, expected, discards_body, tags } = self.named;
        let method = self.request.method().as_str().to_owned();
        let url = url_without_credentials(self.request.url()).as_str().to_owned();
        recording.expects_no_status();
        let next = || Recording::start(id, Cow::Owned(method), Cow::Owned(url), &**self.place.sink, self.place.scope);
        recording
            .finish_and(|| next().tags(tags).traced(trace).route(route).expect(expected).by_transport(discards_body));
    }
}

/// Decompresses the body of a response, if it is one of the encodings that were asked for. The request has ended, so
/// this is not part of its duration.
async fn decoded(
    mut answer: Answer,
    settings: &Settings,
    recording: &mut Recording<'_>,
) -> Result<Answer, TransportError> {
    if settings.decodes == Decodes::default() || answer.body.is_empty() {
        return Ok(answer);
    }
    recording.received_all();
    let Some(encoding) = settings.decodes.encoding_of(&answer.head.headers) else { return Ok(answer) };
    let decoding = Box::pin(encoding.decode(&answer.body));
    let body = decoding.await.map_err(|error| TransportError::new(RequestErrorKind::Body, error))?;
    recording.decoded(body.len());
    [CONTENT_ENCODING, CONTENT_LENGTH].iter().for_each(|name| _ = answer.head.headers.remove(name));
    Ok(Answer { body: body.into(), ..answer })
}

/// Returns a response as reqwest has it.
#[inline(never)]
fn put_together(answer: Answer, url: &Url, requested: Requested, amounts: (u64, u32)) -> Response {
    let Answer { head, body, extensions } = answer;
    let mut whole = http::Response::new(body);
    *whole.extensions_mut() = extensions;
    (*whole.status_mut(), *whole.version_mut(), *whole.headers_mut()) = (head.status, head.version, head.headers);
    match url.fragment() {
        None => super::attach(whole, url, requested, amounts),
        // reqwest leaves it out too.
        Some(_) => {
            let mut url = url.clone();
            url.set_fragment(None);
            super::attach(whole, &url, requested, amounts)
        }
    }
}
