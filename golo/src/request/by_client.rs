//! Requests that the load test's own reqwest client sends.

use std::future::poll_fn;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, Url};

use super::{Options, Place, Requested, conclude};
use crate::RequestError;
use crate::error::NotAllowed;
use crate::metrics::evidence::{Evidence, ResponseEvidence};
use crate::metrics::trace;
use crate::request::recording::Recording;
use crate::request::upload::{Again, Upload};
use crate::support::secrets::url_without_credentials;
use crate::transport::attempts::{Attempts, observed};
use crate::transport::targets;

/// Sends a request with `client`, and records it.
pub(super) async fn send(
    client: Client,
    mut request: reqwest::Request,
    options: Options<'_>,
    place: Place<'_>,
) -> Result<Response, RequestError> {
    let Place { scope, sink } = place;
    let requested = Requested::of(&request);
    if let Err(reason) = targets::check(request.url()).and_then(|()| targets::check_client(&client)) {
        return Err(RequestError::not_allowed(&requested.method, &requested.url, reason));
    }
    let (method, url) = (requested.method.as_str(), requested.url.as_str());
    let trace = trace::add(request.headers_mut(), options.id, scope);
    let Upload { whole, taken, again } = Upload::of(&client, &mut request);
    let mut recording = Recording::start(options.id, method.into(), url.into(), &**sink, scope)
        .tags(options.tags)
        .traced(trace)
        .route(options.route)
        .sending(whole, taken)
        .expect(options.expected);
    *recording.attempts() = Attempts::of(&requested.method);
    match receive(execute(&client, request), again, &mut recording, options.discards_body).await {
        Ok((response, body)) => {
            if is_elsewhere(&response, &requested) && recording.attempts().redirects() == 0 {
                recording.hidden_redirects();
            }
            let amounts = recording.amounts(None);
            let response = put_together(response, body.clone(), requested.clone(), amounts);
            let (version, headers) = (response.version(), response.headers());
            let evidence = Evidence {
                url: response.url(),
                // The client has taken the request, and a copy of it would cost every request that passes.
                headers: None,
                body: None,
                response: Some(ResponseEvidence { version, headers, body: &body }),
            };
            conclude(options.expectations, &response, &body, recording, &evidence);
            Ok(response)
        }
        Err(failure) => {
            let (method, url) = (&requested.method, &requested.url);
            let error = match failure {
                Failure::Sending(error) => RequestError::new(method, url, error, recording.has_responded()),
                Failure::NotAllowed(reason) => RequestError::not_followed(method, url, reason),
            };
            let evidence = Evidence { url, headers: None, body: None, response: None };
            Err(super::failed(error, &options.expectations, recording, place, &evidence))
        }
    }
}

/// Not inlined, so that its stack space is free, and still in the cache, when the response is polled.
#[inline(never)]
fn execute(
    client: &Client,
    request: reqwest::Request,
) -> impl Future<Output = Result<Response, reqwest::Error>> + use<> {
    client.execute(request)
}

/// Reason why there is no complete response.
enum Failure {
    Sending(reqwest::Error),
    /// A redirect leads to a target that is not allowed.
    NotAllowed(NotAllowed),
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Sending(error)
    }
}

async fn receive<S>(
    sent: S,
    mut again: Option<Box<Again>>,
    recording: &mut Recording<'_>,
    discards_body: bool,
) -> Result<(Response, Bytes), Failure>
where
    S: Future<Output = Result<Response, reqwest::Error>>,
{
    let mut response = observed(sent, recording.attempts()).await?;
    if let Some(followed) = again.take().and_then(|again| again.follow(&response)) {
        let (client, request) = followed.map_err(Failure::NotAllowed)?;
        recording.resending(Again::length(&request));
        // Boxed, because otherwise the future of every request would have room for it.
        response = Box::pin(observed(execute(&client, request), recording.attempts())).await?;
    }
    recording.responded(response.status());
    let mut body = Bytes::new();
    while let Some(chunk) = next_chunk(&mut response, recording).await? {
        recording.received(chunk.len());
        if discards_body {
            continue;
        }
        body = if body.is_empty() { chunk } else { joined(body, &chunk) };
    }
    Ok((response, body))
}

/// Returns the next chunk of the body. Notifies `recording` if it has to wait for the chunk.
async fn next_chunk(response: &mut Response, recording: &mut Recording<'_>) -> Result<Option<Bytes>, reqwest::Error> {
    let mut chunk = pin!(response.chunk());
    poll_fn(|context| {
        let chunk = chunk.as_mut().poll(context);
        if chunk.is_pending() {
            recording.waits_for_body();
        }
        chunk
    })
    .await
}

/// Appends `chunk`. If nothing else holds `body`, it is copied no more often than a growing `Vec` is.
fn joined(body: Bytes, chunk: &[u8]) -> Bytes {
    let mut body = BytesMut::from(body);
    body.extend_from_slice(chunk);
    body.freeze()
}

/// Returns true if the response's URL is not the requested one, because the request was redirected.
fn is_elsewhere(response: &Response, requested: &Requested) -> bool {
    #[cold]
    fn differ(response: &Url, requested: &Url) -> bool {
        let plain = |url: &Url| {
            let mut url = url_without_credentials(url).into_owned();
            url.set_fragment(None);
            url
        };
        plain(response) != plain(requested)
    }
    *response.url() != requested.url && differ(response.url(), &requested.url)
}

/// Returns `response` with the body that was read from it.
#[inline(never)]
fn put_together(mut response: Response, body: Bytes, requested: Requested, amounts: (u64, u32)) -> Response {
    let url = response.url().clone();
    let mut whole = http::Response::new(body);
    *whole.extensions_mut() = std::mem::take(response.extensions_mut());
    *whole.status_mut() = response.status();
    *whole.version_mut() = response.version();
    *whole.headers_mut() = std::mem::take(response.headers_mut());
    super::attach(whole, &url, requested, amounts)
}
