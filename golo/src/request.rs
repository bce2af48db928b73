//! Requests: sent, read to the last byte, measured, and recorded as one `Output` each.

mod by_client;
mod by_transport;
pub(crate) mod expect;
pub(crate) mod measure;
pub(crate) mod recording;
mod upload;

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response, ResponseBuilderExt as _, Url};

use crate::metrics::evidence::Evidence;
use crate::metrics::output::Left;
use crate::metrics::scope::{self, Scope};
use crate::metrics::tag_set::TagSet;
use crate::request::expect::{Expectation, Expected, Received};
use crate::request::recording::Recording;
use crate::support::panic;
use crate::support::secrets::url_without_credentials;
use crate::support::secrets::{without_credentials, without_secrets};
use crate::transport::client::{self, Carrier};
use crate::{RequestError, Sink, error};

/// A request as the load test made it, before redirects.
#[derive(Clone)]
struct Requested {
    method: Method,
    /// URL without user and password.
    url: Url,
}

impl Requested {
    fn of(request: &reqwest::Request) -> Self {
        Self { method: request.method().clone(), url: url_without_credentials(request.url()).into_owned() }
    }
}

/// Sends a request, reads its whole body, and records one [`Output`](crate::Output) under the sequence ID `id`.
///
/// The returned response still has its body, for `text`, `json` or `bytes`. A status of 400 or more is not an error: it
/// counts as failed in the report. This is short for [`request`]`(id, req).send()`.
///
/// Redirects are followed as the client is configured to. They are part of the one `Output`, and the report counts them
/// separately.
///
/// # Errors
///
/// Returns a [`RequestError`] if no complete response arrived. The `Output` contains the reason. Nothing was sent and
/// no `Output` is recorded if the request could not be built, or if an agent does not allow its target. Dropping the
/// future before it ends records the error `cancelled`.
///
/// If a trigger fails with this error, by `?` or as a cause of its own error, the report does not list the trigger's
/// error separately. The row of the request's error, with its kind, stands for both.
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

/// Creates a request to be measured. [`do_request`] is the short form without options.
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
    Request {
        id,
        request: req.into_request(),
        route: None,
        expected: Vec::new(),
        expectations: Vec::new(),
        discards_body: false,
        tags: TagSet::EMPTY,
    }
}

/// A request made by [`request`], which has an example. It is not sent yet.
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    id: &'a str,
    request: Result<(Option<Client>, reqwest::Request), reqwest::Error>,
    route: Option<Cow<'a, str>>,
    expected: Vec<u16>,
    expectations: Vec<Expectation<'a>>,
    discards_body: bool,
    tags: TagSet,
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
        text.field("route", &self.route).field("expected", &self.expected);
        text.field("expectations", &self.expectations.len()).finish()
    }
}

impl<'a> Request<'a> {
    /// Names the route for reports: the URL with its variable parts replaced, as in `/items/{id}`.
    pub fn route(mut self, route: &'a str) -> Self {
        self.route = Some(without_credentials(route));
        self
    }

    /// Adds a tag to this request, besides those of its trigger. It replaces a tag of the trigger with the same key.
    ///
    /// Reports show each value of a tag, and thresholds can select it: `http_req_duration{tenant:blue} p(95)<200ms`.
    /// See [Metrics, tags and groups](crate::metrics_tags_and_groups).
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::RequestError> {
    /// # let journey = golo::new_sequence_id();
    /// let items = golo::client().get("http://127.0.0.1:8765/items");
    /// golo::request(&journey, items).tag("tenant", "blue").send().await?;
    /// # Ok(()) }
    /// ```
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags = self.tags.with(key, value);
        self
    }

    /// Expects this status. Call it again to expect one of several. Any other status counts as failed then.
    pub fn expect_status(mut self, status: u16) -> Self {
        self.expected.push(status);
        self
    }

    /// Fails the request if `expectation` does not accept the response, by its headers or its body.
    ///
    /// `expectation` receives the response once its last byte has arrived, and returns a `bool` or a `Result`. On
    /// `false` or `Err` the request counts as failed: its [`Output`](crate::Output) keeps its status and size, and its
    /// error is `content: reason`. The time that `expectation` takes is not part of the request's duration.
    ///
    /// Call it again to add more expectations. All must hold, and the first that fails is the reason. They run for
    /// every complete response, whatever its status. If the status already fails the request, the status remains the
    /// reason.
    ///
    /// [`send`](Self::send) still returns `Ok`, as it does for a status of 400 or more.
    ///
    /// # Panics
    ///
    /// [`send`](Self::send) panics if `expectation` does, which fails the trigger. The request is recorded first.
    ///
    /// A GraphQL server reports errors with the status 200:
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// struct Answer {
    ///     #[serde(default)]
    ///     errors: Vec<GraphQlError>,
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct GraphQlError {
    ///     message: String,
    /// }
    ///
    /// # async fn load_test() -> Result<(), golo::RequestError> {
    /// # let journey = golo::new_sequence_id();
    /// let query = golo::client().post("http://127.0.0.1:8765/graphql").body(r#"{"query": "{ user(id: 7) { name } }"}"#);
    /// golo::request(&journey, query)
    ///     .expect(|response| -> Result<(), golo::BoxError> {
    ///         let answer: Answer = response.json()?;
    ///         match answer.errors.first() {
    ///             Some(error) => Err(error.message.as_str().into()),
    ///             None => Ok(()),
    ///         }
    ///     })
    ///     .send()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// An error page with the status 200:
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::RequestError> {
    /// # let journey = golo::new_sequence_id();
    /// let page = golo::client().get("http://127.0.0.1:8765/");
    /// golo::request(&journey, page).expect(|response| !response.text().contains("try again later")).send().await?;
    /// # Ok(()) }
    /// ```
    pub fn expect<R: Expected>(mut self, expectation: impl FnOnce(&Received<'_>) -> R + Send + 'a) -> Self {
        self.expectations.push(Expectation::new(None, expectation));
        self
    }

    /// Like [`expect`](Self::expect), and also counts the result as the [`check`](crate::check()) `name`.
    ///
    /// A request without a complete response counts as a failed check. If this check fails a request, the error is
    /// `content: name`, followed by the reason if there is one.
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::RequestError> {
    /// # let journey = golo::new_sequence_id();
    /// let items = golo::client().get("http://127.0.0.1:8765/items");
    /// let is_full = |response: &golo::Received<'_>| response.json::<Vec<serde_json::Value>>().map(|items| items.len());
    /// golo::request(&journey, items)
    ///     .check("there are 100 items", move |response| is_full(response).is_ok_and(|length| length == 100))
    ///     .send()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn check<R: Expected>(
        mut self,
        name: &'a str,
        expectation: impl FnOnce(&Received<'_>) -> R + Send + 'a,
    ) -> Self {
        self.expectations.push(Expectation::new(Some(name), expectation));
        self
    }

    /// Counts the bytes of the response's body and drops them as they arrive, so that a large download needs no memory.
    ///
    /// The response that [`send`](Self::send) returns has an empty body, and so has the one that expectations receive.
    /// The [`Output`](crate::Output) has the size of the body that arrived, without decompression.
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::RequestError> {
    /// let journey = golo::new_sequence_id();
    /// let film = golo::client().get("http://127.0.0.1:8765/film.mp4");
    /// let response = golo::request(&journey, film).discard_body().send().await?;
    /// assert_eq!(response.bytes().await.map(|body| body.len()).ok(), Some(0));
    /// # Ok(()) }
    /// ```
    pub fn discard_body(mut self) -> Self {
        self.discards_body = true;
        self
    }

    /// Sends the request, reads its whole body, and records one [`Output`](crate::Output).
    ///
    /// # Errors
    ///
    /// The same as [`do_request`].
    pub fn send(self) -> impl Future<Output = Result<Response, RequestError>> + Send + use<'a> {
        let Self { id, request, route, expected, expectations, discards_body, tags } = self;
        // Load tests move and store this future often, so it should be small. An `async fn` would hold `self` twice.
        async move {
            let scope = scope::current();
            let sink = scope::sink_of(scope.as_deref());
            if request.is_ok() {
                scope.as_ref().inspect(|scope| scope.note_sequence(id));
                if let Some(room) = scope::room(&*sink, scope.as_deref()) {
                    room.await;
                }
            }
            let (client, request) = request.map_err(RequestError::not_built)?;
            let tags = scope::tags(scope.as_deref()).under(tags);
            let options =
                Options { id, route: route.as_deref(), expected: &expected, expectations, discards_body, tags };
            let place = Place { scope: scope.as_deref(), sink: &sink };
            let result = match client::carrier(client) {
                Carrier::Transport { settings, outside } => {
                    by_transport::send(request, options, place, &settings, &outside).await
                }
                // Boxed, because otherwise the future of every request would have room for it.
                Carrier::Client(client) => Box::pin(by_client::send(client, request, options, place)).await,
            };
            // The request has been measured. Waiting before the request too covers load tests that drop this future
            // early.
            if let Some(room) = scope::room(&*sink, scope.as_deref()) {
                room.await;
            }
            result
        }
    }
}

/// Options of a request.
struct Options<'a> {
    id: &'a str,
    route: Option<&'a str>,
    expected: &'a [u16],
    expectations: Vec<Expectation<'a>>,
    discards_body: bool,
    tags: TagSet,
}

/// The place at which a request is made.
#[derive(Clone, Copy)]
struct Place<'a> {
    scope: Option<&'a Scope>,
    sink: &'a Arc<dyn Sink>,
}

/// Argument of [`request`] and [`do_request`]: a [`reqwest::RequestBuilder`], or a [`reqwest::Request`], which
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

/// Checks a complete response against the load test's expectations, and records the request.
#[inline(never)]
fn look(
    expectations: Vec<Expectation<'_>>,
    response: &Response,
    body: &Bytes,
    mut recording: Recording<'_>,
    evidence: &Evidence<'_>,
) {
    recording.received_all();
    let received = Received::new(response, body);
    let sink = recording.sink();
    let looked = catch_unwind(AssertUnwindSafe(|| expect::unexpected(expectations, &received, sink)));
    let reason = match &looked {
        Ok(reason) => reason.as_deref().map(Cow::Borrowed),
        Err(payload) => Some(Cow::Owned(panic::message(&**payload))),
    };
    let reason = reason.filter(|_| !recording.has_wrong_status());
    let error = reason.map(|reason| format!("content: {}", without_credentials(&reason)));
    recording.finish_with(error.as_deref(), evidence);
    if let Err(payload) = looked {
        resume_unwind(payload);
    }
}

/// Records a request with a complete response, and checks the response against the load test's expectations.
fn conclude(
    expectations: Vec<Expectation<'_>>,
    response: &Response,
    body: &Bytes,
    recording: Recording<'_>,
    evidence: &Evidence<'_>,
) {
    match expectations.is_empty() {
        true => recording.finish_with(None, evidence),
        false => look(expectations, response, body, recording, evidence),
    }
}

/// Records a request that got no complete response, unless it could not be built.
#[cold]
fn failed(
    error: RequestError,
    expectations: &[Expectation<'_>],
    recording: Recording<'_>,
    place: Place<'_>,
    evidence: &Evidence<'_>,
) -> RequestError {
    if !expectations.is_empty() {
        expect::none_came(expectations, &**place.sink);
    }
    if error.is_build() {
        recording.discard();
    } else {
        recording.finish_with(Some(&error.for_output()), evidence);
        place.scope.inspect(|scope| scope.note_failure(&without_secrets(&error.to_string())));
    }
    error
}

/// Attaches the URL of a response, and the facts about its request that [`Output::parse`](crate::Output::parse) needs.
fn attach(whole: http::Response<Bytes>, url: &Url, requested: Requested, amounts: (u64, u32)) -> Response {
    let Requested { method, url: asked } = requested;
    let (parts, body) = whole.into_parts();
    let mut builder = http::Response::builder();
    if let Some(extensions) = builder.extensions_mut() {
        *extensions = parts.extensions;
    }
    let builder = if *url != asked {
        builder.url(url.clone()).extension(Left { method, url: Some(asked), amounts })
    } else if method != Method::GET || amounts != (0, 0) {
        builder.url(asked).extension(Left { method, url: None, amounts })
    } else {
        // `Output::parse` assumes these values by default.
        builder.url(asked)
    };
    #[expect(clippy::expect_used, reason = "a builder fails only for an invalid part, and these are valid")]
    let mut whole = builder.body(body).expect("a URL and extensions make a response");
    (*whole.status_mut(), *whole.version_mut(), *whole.headers_mut()) = (parts.status, parts.version, parts.headers);
    whole.into()
}

mod sealed {
    /// Seals `IntoRequest`, so that methods can be added later.
    pub trait Sealed {}
    impl Sealed for super::RequestBuilder {}
    impl Sealed for reqwest::Request {}
}
