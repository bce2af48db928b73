//! Requests: sent, read to the last byte, measured, and recorded as one `Output` each.

use std::{borrow::Cow, fmt, future::poll_fn, pin::pin};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Method, RequestBuilder, Response, ResponseBuilderExt as _, Url};

use crate::{
    RequestError, client, error,
    output::without_credentials,
    recording::Recording,
    scope::{self, Scope},
    secrets::without_secrets,
    targets,
};

/// A request as it was asked for, before redirects.
struct Requested {
    method: Method,
    /// Without user and password.
    url: Url,
}

impl Requested {
    fn of(request: &reqwest::Request) -> Self {
        Self { method: request.method().clone(), url: without_credentials(request.url()).into_owned() }
    }
}

/// What [`do_request`] leaves in a response for [`Output::parse`](crate::Output::parse), unless it is a `GET` that was
/// not redirected.
#[derive(Clone)]
pub(crate) struct Left {
    pub(crate) method: Method,
    /// The URL as requested, where the response has another.
    pub(crate) url: Option<Url>,
}

/// Sends a request, reads its whole body, and records one [`Output`](crate::Output) under the sequence `id`.
///
/// The response's body can still be read, by `text`, `json`, `bytes`. A status of 400 or more is no error: it counts as
/// failed in the report. The short form of [`request`]`(id, req).send()`.
///
/// # Errors
///
/// Where no whole response came; [`RequestError`] says why. The `Output` says so too, unless the request could not be
/// built, or an agent does not allow its target: then nothing was sent, and none is recorded. Dropping the future before it ends records the error
/// `cancelled`.
///
/// ```no_run
/// # async fn load_test() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let journey = golo::new_sequence_id();
/// let response = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/")).await?;
/// assert_eq!(response.text().await?, "Hello World\n");
/// # Ok(()) }
/// ```
pub fn do_request(id: &str, req: impl IntoRequest) -> impl Future<Output = Result<Response, RequestError>> + Send {
    request(id, req).send()
}

/// A request to be measured: [`do_request`] with more to say about it.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let journey = golo::new_sequence_id();
/// for id in [7, 1_000_000] {
///     let item = golo::client().get(format!("http://127.0.0.1:8765/items/{id}"));
///     golo::request(&journey, item).route("/items/{id}").expect_status(200).expect_status(404).send().await?;
/// }
/// # Ok(()) }
/// ```
pub fn request(id: &str, req: impl IntoRequest) -> Request<'_> {
    Request { id, request: req.into_request(), route: None, expected: Vec::new() }
}

/// A request that [`request`] made and that is yet to be sent; see there for an example.
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    id: &'a str,
    request: Result<(Option<Client>, reqwest::Request), reqwest::Error>,
    route: Option<Cow<'a, str>>,
    expected: Vec<u16>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("golo::Request");
        text.field("id", &self.id);
        match &self.request {
            Ok((_, request)) => {
                let Requested { method, url } = Requested::of(request);
                text.field("method", &method).field("url", &url.as_str())
            }
            Err(error) => text.field("error", &format_args!("{}", error::chain(error))),
        };
        text.field("route", &self.route).field("expected", &self.expected).finish()
    }
}

impl<'a> Request<'a> {
    /// Names the route, for reports: the URL with what varies taken out, as `/items/{id}`.
    pub fn route(mut self, route: &'a str) -> Self {
        self.route = Some(error::without_credentials(route));
        self
    }

    /// Says which status is right. Called again, each of them is; any other status counts as failed then.
    pub fn expect_status(mut self, status: u16) -> Self {
        self.expected.push(status);
        self
    }

    /// Sends the request, reads its whole body, and records one [`Output`](crate::Output).
    ///
    /// # Errors
    ///
    /// As [`do_request`].
    pub fn send(self) -> impl Future<Output = Result<Response, RequestError>> + Send + use<'a> {
        let Self { id, request, route, expected } = self;
        // Every load test moves and keeps this future, so it is small: an `async fn` would have room for `self` twice.
        async move {
            let scope = scope::current();
            let sink = scope::sink_of(scope.as_deref());
            if request.is_ok() {
                scope.as_ref().inspect(|scope| scope.note_sequence(id));
                if let Some(room) = scope::room(&*sink, scope.as_deref()) {
                    room.await;
                }
            }
            let (requested, mut recording);
            let sent = {
                // Gone before there is anything to wait for, so that the future has no room for it.
                let (client, request) = request.map_err(RequestError::not_built)?;
                let client = client.unwrap_or_else(client::client);
                requested = Requested::of(&request);
                if let Err(reason) = targets::check(request.url()) {
                    return Err(RequestError::not_allowed(&requested.method, &requested.url, reason));
                }
                let (method, url) = (requested.method.as_str(), requested.url.as_str());
                let bytes = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
                recording = Recording::start(id, method, url, &*sink, scope.as_deref())
                    .route(route.as_deref())
                    .sending(bytes)
                    .expect(&expected);
                execute(&client, request)
            };
            let result = match receive(sent, &mut recording).await {
                Ok((response, body)) => {
                    recording.finish(None);
                    Ok(put_together(response, body, requested))
                }
                Err(error) => Err(failed(error, &requested, recording, scope.as_deref())),
            };
            // Measured by now: it is the load test that waits. Before the request it waits too, for those that drop this.
            if let Some(room) = scope::room(&*sink, scope.as_deref()) {
                room.await;
            }
            result
        }
    }
}

/// What [`request`] and [`do_request`] take: a [`reqwest::RequestBuilder`], or a [`reqwest::Request`], which
/// [`client`](crate::client()) then sends.
///
/// ```no_run
/// use golo::reqwest::{Method, Request, Url};
///
/// # async fn load_test() -> Result<(), golo::BoxError> {
/// let journey = golo::new_sequence_id();
/// let url = Url::parse("http://127.0.0.1:8765/items")?;
/// golo::do_request(&journey, Request::new(Method::GET, url.clone())).await?;
/// golo::do_request(&journey, golo::client().get(url)).await?;
/// # Ok(()) }
/// ```
pub trait IntoRequest: sealed::Sealed {
    #[doc(hidden)]
    fn into_request(self) -> Result<(Option<Client>, reqwest::Request), reqwest::Error>;
}

impl IntoRequest for RequestBuilder {
    fn into_request(self) -> Result<(Option<Client>, reqwest::Request), reqwest::Error> {
        let (client, request) = self.build_split();
        Ok((Some(client), request?))
    }
}

impl IntoRequest for reqwest::Request {
    fn into_request(self) -> Result<(Option<Client>, reqwest::Request), reqwest::Error> {
        Ok((None, self))
    }
}

/// Not inlined: what this takes of the stack is free again before the response is polled for, and still in the cache.
#[inline(never)]
fn execute(
    client: &Client,
    request: reqwest::Request,
) -> impl Future<Output = Result<Response, reqwest::Error>> + use<> {
    client.execute(request)
}

async fn receive(
    sent: impl Future<Output = Result<Response, reqwest::Error>>,
    recording: &mut Recording<'_>,
) -> Result<(Response, Bytes), reqwest::Error> {
    let mut response = sent.await?;
    recording.responded(response.status());
    let mut body = Bytes::new();
    while let Some(chunk) = next_chunk(&mut response, recording).await? {
        recording.received(chunk.len());
        body = if body.is_empty() { chunk } else { joined(body, &chunk) };
    }
    Ok((response, body))
}

/// What comes next of the body; `recording` is told where that has to be waited for.
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

/// Copies what nobody else holds no more often than a growing `Vec` does.
fn joined(body: Bytes, chunk: &[u8]) -> Bytes {
    let mut body = BytesMut::from(body);
    body.extend_from_slice(chunk);
    body.freeze()
}

/// Records a request that got no whole response, unless nothing was sent.
#[cold]
fn failed(
    error: reqwest::Error,
    requested: &Requested,
    recording: Recording<'_>,
    scope: Option<&Scope>,
) -> RequestError {
    let error = RequestError::new(&requested.method, &requested.url, error, recording.has_responded());
    if error.is_build() {
        recording.discard();
    } else {
        recording.finish(Some(&error.for_output()));
        scope.inspect(|scope| scope.note_failure(&without_secrets(&error.to_string())));
    }
    error
}

/// `response` again, with the body that was read from it.
#[inline(never)]
fn put_together(mut response: Response, body: Bytes, requested: Requested) -> Response {
    let mut builder = http::Response::builder();
    if let Some(extensions) = builder.extensions_mut() {
        *extensions = std::mem::take(response.extensions_mut());
    }
    let Requested { method, url } = requested;
    let builder = if *response.url() != url {
        builder.url(response.url().clone()).extension(Left { method, url: Some(url) })
    } else if method != Method::GET {
        builder.url(url).extension(Left { method, url: None })
    } else {
        // What `Output::parse` takes for granted.
        builder.url(url)
    };
    #[expect(clippy::expect_used, reason = "a builder fails for a bad part, and is given none that could be")]
    let mut whole = builder.body(body).expect("a URL and extensions make a response");
    *whole.status_mut() = response.status();
    *whole.version_mut() = response.version();
    *whole.headers_mut() = std::mem::take(response.headers_mut());
    whole.into()
}

mod sealed {
    /// Keeps `IntoRequest` ours, so that it can grow.
    pub trait Sealed {}
    impl Sealed for super::RequestBuilder {}
    impl Sealed for reqwest::Request {}
}
