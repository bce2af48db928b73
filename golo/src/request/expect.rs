//! Expectations: conditions that a load test sets for a response to pass.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use reqwest::{StatusCode, Url, Version, header::HeaderMap};
use serde::Deserialize;

use crate::metrics::check::bounded;
use crate::{BoxError, Sink, error::reason, support::secrets::without_credentials};

/// A complete response, as passed to [`Request::expect`](crate::Request::expect) and
/// [`Request::check`](crate::Request::check). Nothing of it is copied.
pub struct Received<'a> {
    head: &'a reqwest::Response,
    body: &'a Bytes,
}

impl<'a> Received<'a> {
    pub(crate) fn new(head: &'a reqwest::Response, body: &'a Bytes) -> Self {
        Self { head, body }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// Returns the headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.head.headers()
    }

    /// Returns the URL of the response, after redirects.
    #[must_use]
    pub fn url(&self) -> &'a Url {
        self.head.url()
    }

    /// Returns the HTTP version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// Returns the body, decompressed if it was compressed.
    #[must_use]
    pub fn body(&self) -> &'a Bytes {
        self.body
    }

    /// Returns the body as text. Bytes that are not valid UTF-8 become `�`.
    #[must_use]
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.body)
    }

    /// Parses the body as JSON. The value may borrow from the body.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not JSON, or not JSON of a `T`.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.body)
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, headers, length) = (self.status(), self.headers(), self.body.len());
        f.debug_struct("Received")
            .field("status", &status)
            .field("headers", headers)
            .field("body_length", &length)
            .finish()
    }
}

/// Result of an expectation: a `bool`, or a `Result` with any value and any error that a load test may return.
///
/// `true` and `Ok` let the request pass. `false` and `Err` fail it. The report shows the error as the reason.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of an expectation",
    label = "expected `bool`, or a `Result` with an error that is `Into<Box<dyn Error + Send + Sync>>`"
)]
pub trait Expected: sealed::Sealed {
    #[doc(hidden)]
    fn into_expected(self) -> Result<(), Option<BoxError>>;
}

impl Expected for bool {
    fn into_expected(self) -> Result<(), Option<BoxError>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<T, E: Into<BoxError>> Expected for Result<T, E> {
    fn into_expected(self) -> Result<(), Option<BoxError>> {
        self.map(drop).map_err(|error| Some(error.into()))
    }
}

type Look<'a> = Box<dyn FnOnce(&Received<'_>) -> Result<(), Option<BoxError>> + Send + 'a>;

/// One expectation of a response.
pub(crate) struct Expectation<'a> {
    /// Name under which the result is counted, if this is a check.
    check: Option<Cow<'a, str>>,
    look: Look<'a>,
}

impl<'a> Expectation<'a> {
    pub(crate) fn new<R: Expected>(check: Option<&'a str>, look: impl FnOnce(&Received<'_>) -> R + Send + 'a) -> Self {
        let look = Box::new(move |received: &Received<'_>| look(received).into_expected());
        Self { check: check.map(|name| bounded(without_credentials(name))), look }
    }

    /// Returns the name under which the result is counted, if this is a check.
    pub(crate) fn name(&self) -> Option<&str> {
        self.check.as_deref()
    }

    /// Returns the reason if the response is not as expected.
    fn look(self, received: &Received<'_>) -> Option<String> {
        let error = (self.look)(received).err()?;
        Some(match (self.check, error.map(reason)) {
            (None, None) => "not as the load test expects".to_owned(),
            (None, Some(reason)) => reason,
            (Some(name), None) => name.into_owned(),
            (Some(name), Some(reason)) => format!("{name}: {reason}"),
        })
    }
}

/// Checks a response against all `expectations` and counts those that are checks. Returns the first reason why the
/// response is not as expected, if there is one.
pub(crate) fn unexpected(
    expectations: Vec<Expectation<'_>>,
    received: &Received<'_>,
    sink: &dyn Sink,
) -> Option<String> {
    let mut first = None;
    for expectation in expectations {
        let name = expectation.check.clone();
        let reason = expectation.look(received);
        if let Some(name) = name {
            sink.check(&name, reason.is_none());
        }
        first = first.or(reason);
    }
    first
}

/// Counts the checks among `expectations` as failed, because no complete response arrived.
pub(crate) fn none_came(expectations: &[Expectation<'_>], sink: &dyn Sink) {
    expectations.iter().filter_map(Expectation::name).for_each(|name| sink.check(name, false));
}

mod sealed {
    /// Seals `Expected`, so that methods can be added later.
    pub trait Sealed {}
    impl Sealed for bool {}
    impl<T, E> Sealed for Result<T, E> {}
}
