//! `Output`: one measured request to the target, and its JSON line.

mod line;
mod read;
mod timestamp;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Phases;
use crate::metrics::evidence::Evidence;
use crate::metrics::tag_set::RequestTags;
use crate::metrics::trace::TraceContext;
use crate::support::secrets::url_without_credentials;

pub use line::nanoseconds;

/// Facts about a request that [`do_request`](crate::do_request) attaches to a response for
/// [`Output::parse`](crate::Output::parse). Not attached for a `GET` without a body that was not redirected.
#[derive(Clone)]
pub(crate) struct Left {
    pub(crate) method: reqwest::Method,
    /// The requested URL, if the response has another one.
    pub(crate) url: Option<reqwest::Url>,
    /// Bytes of the request's body that were sent, and number of redirects that were followed.
    pub(crate) amounts: (u64, u32),
}

/// One measured request to the target.
///
/// [`Display`](fmt::Display) prints it as its JSON line. [`FromStr`] and serde read that line. Reading is lenient:
/// unknown keys are ignored, a missing `error` means no error, and an `error` that is an object becomes its JSON text.
///
/// ```
/// let line = r#"{"sequenceID":"0d3b","url":"http://127.0.0.1:8765/","method":"GET","status":200,"size":12,
///     "timestamp":"2026-11-22T10:05:13.123456789Z","duration":412345,"error":null}"#;
/// let output: golo::Output = line.parse()?;
/// assert_eq!(output.duration, std::time::Duration::from_nanos(412_345));
/// assert!(!output.is_failed());
/// # Ok::<(), golo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// Sequence ID, which the requests of one journey share.
    pub sequence_id: String,
    /// The URL as requested, before redirects, without user and password.
    pub url: String,
    /// The method as requested.
    pub method: String,
    /// HTTP status, or 0 if no response arrived.
    pub status: u16,
    /// Size of the body in bytes as the load test sees it (after decompression), 0 if no response arrived, -1 if
    /// unknown.
    pub size: i64,
    /// Time at which the response was complete.
    pub timestamp: SystemTime,
    /// Time from sending the request to the last byte of the body. In nanoseconds on the line.
    pub duration: Duration,
    /// Reason why there is no complete response, or why the load test does not accept it, as `kind: reason`.
    pub error: Option<String>,
    /// Route, if the load test named one.
    pub route: Option<String>,
    /// True if the status is one that the load test expects. `None` if it expects no particular status, or if no
    /// response arrived.
    pub expected: Option<bool>,
    /// Bytes of the request's body that were passed to a connection, however the request ended. A redirect that asks
    /// for the body again adds them again. If the target refused a large body, up to 128 KiB more may be counted than
    /// its socket accepted. Not on the line if 0.
    pub sent: u64,
    /// Number of redirects that were followed. The target saw each as a separate request. Not on the line if 0.
    pub redirects: u32,
    /// Tags of the request. Not on the line if there are none.
    pub tags: RequestTags,
}

/// An [`Output`] that borrows its texts. A [`Sink`](crate::Sink) receives it, and [`OutputRef::parse`] creates it from
/// a line without copying the texts.
///
/// ```
/// let line = r#"{"sequenceID":"0d3b","url":"http://127.0.0.1:8765/","method":"GET","status":503,"size":0,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":412345,"error":null}"#;
/// let output = golo::OutputRef::parse(line)?;
/// assert!(output.is_failed());
///
/// let mut written = Vec::new();
/// output.write_line(&mut written);
/// assert_eq!(written, format!("{line}\n").into_bytes());
/// # Ok::<(), golo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputRef<'a> {
    /// See [`Output::sequence_id`].
    pub sequence_id: Cow<'a, str>,
    /// See [`Output::url`].
    pub url: Cow<'a, str>,
    /// See [`Output::method`].
    pub method: Cow<'a, str>,
    /// See [`Output::status`].
    pub status: u16,
    /// See [`Output::size`].
    pub size: i64,
    /// See [`Output::timestamp`].
    pub timestamp: SystemTime,
    /// See [`Output::duration`].
    pub duration: Duration,
    /// See [`Output::error`].
    pub error: Option<Cow<'a, str>>,
    /// See [`Output::route`].
    pub route: Option<Cow<'a, str>>,
    /// See [`Output::expected`].
    pub expected: Option<bool>,
    /// Time from sending the request to the response's headers, or `None` if no complete response arrived. Not on the
    /// line.
    pub waiting: Option<Duration>,
    /// Phases of the request, if golo's transport sent it. Not on the line.
    pub phases: Option<Phases>,
    /// See [`Output::sent`].
    pub sent: u64,
    /// See [`Output::redirects`].
    pub redirects: u32,
    /// True if `redirects` is a lower bound, because the load test's own client followed them. Not on the line.
    pub redirects_are_hidden: bool,
    /// See [`Output::tags`].
    pub tags: RequestTags,
    /// Time at which the request ended, if it ran in this process. Not on the line.
    pub(crate) ended: Option<Instant>,
    /// Trace and span, if the request had the header `traceparent`. Not on the line.
    pub(crate) trace: Option<&'a TraceContext>,
    /// Heads and bodies, if they are still there. Not on the line.
    pub(crate) evidence: Option<&'a Evidence<'a>>,
}

impl Output {
    /// Creates an `Output` for a response that was received by other means than [`do_request`](crate::do_request).
    ///
    /// If `do_request` returned the response, the method, the URL before redirects, the bytes sent and the redirects
    /// are those of its request. Otherwise they are `GET`, the response's own URL, 0 and 0. `size` is the response's
    /// content length, or -1 if it is unknown. The timestamp is the current time.
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::BoxError> {
    /// let started = std::time::Instant::now();
    /// let response = golo::reqwest::get("http://127.0.0.1:8765/").await?;
    /// let output = golo::Output::parse(&golo::new_sequence_id(), started.elapsed(), &response);
    /// eprintln!("{output}");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn parse(id: &str, duration: Duration, response: &reqwest::Response) -> Self {
        let left = response.extensions().get::<Left>();
        let method = left.map_or(reqwest::Method::GET, |left| left.method.clone());
        let url = left.and_then(|left| left.url.as_ref()).unwrap_or_else(|| response.url());
        let (sent, redirects) = left.map_or((0, 0), |left| left.amounts);
        Self { sent, redirects, ..Self::parse_with(id, duration, response, &method, url) }
    }

    /// Like [`Output::parse`], for a caller that knows the requested method and URL.
    #[must_use]
    pub fn parse_with(
        id: &str,
        duration: Duration,
        response: &reqwest::Response,
        method: &reqwest::Method,
        url: &reqwest::Url,
    ) -> Self {
        Self {
            sequence_id: id.to_owned(),
            url: url_without_credentials(url).as_str().to_owned(),
            method: method.as_str().to_owned(),
            status: response.status().as_u16(),
            size: response.content_length().map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX)),
            timestamp: SystemTime::now(),
            duration,
            error: None,
            route: None,
            expected: None,
            sent: 0,
            redirects: 0,
            tags: RequestTags::default(),
        }
    }

    /// Returns true if the request counts as failed, see [`OutputRef::is_failed`].
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.as_ref().is_failed()
    }

    /// Returns this output with borrowed texts.
    #[must_use]
    pub fn as_ref(&self) -> OutputRef<'_> {
        OutputRef {
            sequence_id: Cow::Borrowed(&self.sequence_id),
            url: Cow::Borrowed(&self.url),
            method: Cow::Borrowed(&self.method),
            status: self.status,
            size: self.size,
            timestamp: self.timestamp,
            duration: self.duration,
            error: self.error.as_deref().map(Cow::Borrowed),
            route: self.route.as_deref().map(Cow::Borrowed),
            expected: self.expected,
            waiting: None,
            phases: None,
            sent: self.sent,
            redirects: self.redirects,
            redirects_are_hidden: false,
            tags: self.tags.clone(),
            ended: None,
            trace: None,
            evidence: None,
        }
    }
}

impl<'a> OutputRef<'a> {
    /// Reads a line, with or without its final `\n`. Texts are borrowed unless JSON escapes them.
    ///
    /// # Errors
    ///
    /// Returns an error if the line is not a JSON object, a key other than `error` is missing, or a value is out of
    /// range.
    pub fn parse(line: &'a str) -> Result<Self, crate::Error> {
        read::line(line).map_err(crate::Error::not_an_output)
    }

    /// Appends the line, including `\n`, to `buffer`. Allocates nothing if `buffer` has enough capacity.
    pub fn write_line(&self, buffer: &mut Vec<u8>) {
        line::write(self, buffer);
        buffer.push(b'\n');
    }

    /// Returns true if the request counts as failed: it has an error, or its status is not one that the load test
    /// expects. If the load test expects no particular status, one of 400 or more counts as failed.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.error.is_some() || !self.expected.unwrap_or(self.status < 400)
    }

    /// Returns this output with owned texts.
    #[must_use]
    pub fn into_owned(self) -> Output {
        Output {
            sequence_id: self.sequence_id.into_owned(),
            url: self.url.into_owned(),
            method: self.method.into_owned(),
            status: self.status,
            size: self.size,
            timestamp: self.timestamp,
            duration: self.duration,
            error: self.error.map(Cow::into_owned),
            route: self.route.map(Cow::into_owned),
            expected: self.expected,
            sent: self.sent,
            redirects: self.redirects,
            tags: self.tags,
        }
    }
}

impl fmt::Display for OutputRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Vec::with_capacity(256);
        line::write(self, &mut buffer);
        f.write_str(&String::from_utf8_lossy(&buffer))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl FromStr for Output {
    type Err = crate::Error;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        OutputRef::parse(line).map(OutputRef::into_owned)
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Output {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OutputRef::deserialize(deserializer).map(OutputRef::into_owned)
    }
}
