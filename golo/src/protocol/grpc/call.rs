//! Measurement of one gRPC call.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, Uri, response};
use tonic::{Code, Status};

use super::framing::{Framing, Place};
use crate::metrics::scope::Scope;
use crate::metrics::tag_set::TagSet;
use crate::metrics::trace::TraceContext;
use crate::request::recording::Recording;
use crate::support::cut;
use crate::support::secrets::{without_credentials, without_secrets};
use crate::{BoxError, Sink, error};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// Largest number of characters of an error.
const LENGTH: usize = 200;

/// One gRPC call. It is recorded once, at the latest when this is dropped.
pub(super) struct Call {
    id: Arc<str>,
    url: String,
    /// Service and method: `/package.Service/Method`.
    route: String,
    sink: Arc<dyn Sink>,
    scope: Option<Arc<Scope>>,
    tags: TagSet,
    trace: Option<Box<TraceContext>>,
    started: Instant,
    /// Time from the start to the headers of the response.
    waiting: Option<Duration>,
    /// Status of HTTP, if a response has arrived.
    status: Option<StatusCode>,
    received: usize,
    /// Messages of the response.
    framing: Framing,
    /// True if the client waits for more of the response.
    is_waiting: bool,
    /// Alive as long as the extensions of the response are.
    head: Weak<()>,
    sent: Arc<AtomicU64>,
    is_open: bool,
}

/// Extension of a response. A client keeps it while it reads the only message of a unary call, and drops it before the
/// load test reads a stream.
#[derive(Debug, Clone)]
struct Head(#[expect(dead_code, reason = "held so that it is counted")] Arc<()>);

impl Call {
    pub(super) fn start(
        id: Arc<str>,
        origin: Option<&str>,
        uri: &Uri,
        sink: Arc<dyn Sink>,
        scope: Option<Arc<Scope>>,
    ) -> Self {
        let route = uri.path().to_owned();
        let url = match (origin, uri.authority()) {
            (Some(origin), _) => [origin, &route].concat(),
            (None, Some(_)) => without_credentials(&uri.to_string()).into_owned(),
            (None, None) => route.clone(),
        };
        let started = Instant::now();
        if let Some(scope) = &scope {
            scope.begin_measurement(started);
        }
        Self {
            id,
            url,
            route,
            sink,
            scope,
            tags: TagSet::EMPTY,
            trace: None,
            started,
            waiting: None,
            status: None,
            received: 0,
            framing: Framing::default(),
            is_waiting: false,
            head: Weak::new(),
            sent: Arc::default(),
            is_open: true,
        }
    }

    /// Sets the tags of the code that makes the call.
    pub(super) fn with_tags(mut self, tags: TagSet) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the trace context of the call.
    pub(super) fn traced(mut self, trace: Option<Box<TraceContext>>) -> Self {
        self.trace = trace;
        self
    }

    /// Returns the counter of the bytes that are sent.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Adds bytes that have arrived, of which `first` are at hand.
    pub(super) fn receive(&mut self, first: &[u8], bytes: usize) {
        self.received += bytes;
        self.framing.add(first);
        if first.len() < bytes {
            self.framing.lose();
        }
    }

    /// Records if the client waits for more of the response.
    pub(super) fn waits(&mut self, is_waiting: bool) {
        self.is_waiting = is_waiting;
    }

    /// Records that the head of the response has arrived. Returns the call unless the head has its status.
    pub(super) fn respond(mut self, head: &mut response::Parts) -> Option<Self> {
        self.waiting = Some(self.started.elapsed());
        self.status = Some(head.status);
        if head.headers.contains_key(STATUS) {
            self.end(&head.headers);
            return None;
        }
        let held = Arc::default();
        self.head = Arc::downgrade(&held);
        head.extensions.insert(Head(held));
        Some(self)
    }

    /// Records the call. `trailers` have its status.
    pub(super) fn end(mut self, trailers: &HeaderMap) {
        match status_of(trailers) {
            Some(status) if status.code() == Code::Ok => self.record(None, true),
            Some(status) => {
                self.record(Some(&reason(&status)), true);
                self.note(&status);
            }
            None => self.end_without_status(),
        }
    }

    /// Records the call, whose response has ended without a gRPC status.
    pub(super) fn end_without_status(mut self) {
        let is_explained = self.is_explained();
        self.record((!is_explained).then_some("body: the response ended without a gRPC status"), is_explained);
    }

    /// Records the call, whose response broke off. Returns the error as the client shows it.
    pub(super) fn break_off(mut self, error: BoxError) -> BoxError {
        self.record(Some(&shortened(&format!("body: {}", error::chain(&*error)))), false);
        self.shown(error)
    }

    /// Records the call, to which no response arrived. Returns the error as the client shows it.
    pub(super) fn fail(mut self, error: BoxError) -> BoxError {
        self.record(Some(&shortened(&error::of_channel(&*error))), false);
        self.shown(error)
    }

    /// Returns the status that tonic makes of an error, and notes it.
    fn shown(&self, error: BoxError) -> BoxError {
        let status = Status::from_error(error);
        self.note(&status);
        status.into()
    }

    /// Notes the text of a trigger that fails with this status, so that the failure counts once.
    fn note(&self, status: &Status) {
        if let Some(scope) = &self.scope {
            scope.note_failure(&without_secrets(&status.to_string()));
        }
    }

    /// Returns the error of a call that is dropped before its end.
    fn dropped(&self) -> Option<Cow<'static, str>> {
        if self.is_explained() {
            return None;
        }
        let reason = match self.framing.place() {
            _ if self.is_waiting => None,
            Place::Foreign => Some("the response is not gRPC".to_owned()),
            Place::Within(length) => {
                Some(format!("the client stopped within a message of {length} bytes, which may be over its limit"))
            }
            Place::After(length) if self.head.strong_count() > 0 => {
                Some(format!("the client stopped after a message of {length} bytes, which it may not accept"))
            }
            Place::After(_) | Place::Unknown => None,
        };
        Some(reason.map_or("cancelled".into(), |reason| format!("body: {reason}").into()))
    }

    /// Returns true if the status of HTTP fails the request.
    fn is_explained(&self) -> bool {
        self.status.is_some_and(|status| status.as_u16() >= 400)
    }

    fn record(&mut self, error: Option<&str>, is_whole: bool) {
        self.is_open = false;
        let url = (&*self.url).into();
        let scope = self.scope.as_deref();
        let trace = self.trace.take();
        let recording = Recording::since(self.started, &self.id, "POST".into(), url, &*self.sink, scope);
        let mut recording = recording.route(Some(&self.route)).tags(self.tags).traced(trace);
        if let Some(status) = self.status {
            recording.responded(status);
        }
        if let Some(waiting) = self.waiting {
            recording.waited(waiting);
        }
        recording.received(self.received);
        recording.passed_on(self.sent.load(Relaxed));
        if is_whole {
            recording.received_all();
        }
        recording.finish(error);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_open {
            // A sink may be the user's code, and a second panic during a panic would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let error = self.dropped();
                self.record(error.as_deref(), false);
            }));
        }
    }
}

/// Returns the gRPC status in headers or trailers.
fn status_of(headers: &HeaderMap) -> Option<Status> {
    // Only these two, because tonic panics if the details of a status are not Base64.
    let mut of_status = HeaderMap::with_capacity(2);
    for name in [STATUS, MESSAGE] {
        if let Some(value) = headers.get(name) {
            of_status.insert(name, value.clone());
        }
    }
    Status::from_header_map(&of_status)
}

/// Describes a status that is not `OK`, as the error of an output.
fn reason(status: &Status) -> String {
    let code = status.code();
    let text = format!("content: grpc status {} {}", code as i32, name(code));
    match status.message() {
        "" => text,
        message => shortened(&format!("{text}: {}", without_credentials(message))),
    }
}

fn shortened(text: &str) -> String {
    match cut::to_characters(text, LENGTH) {
        short if short.len() < text.len() => format!("{short}…"),
        text => text.to_owned(),
    }
}

/// Returns the name of a code in words.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid argument",
        Code::DeadlineExceeded => "deadline exceeded",
        Code::NotFound => "not found",
        Code::AlreadyExists => "already exists",
        Code::PermissionDenied => "permission denied",
        Code::ResourceExhausted => "resource exhausted",
        Code::FailedPrecondition => "failed precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out of range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Sink for Nowhere {
        fn output(&self, _: &crate::OutputRef<'_>) {}
    }

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn error_of_a_channel_counts_once() {
        let refused = || BoxError::from(tonic::ConnectError(std::io::Error::other("refused").into()));
        for end in [Call::fail, Call::break_off] {
            for error in [refused(), "out of luck".into(), Status::data_loss("no more").into()] {
                let scope = Arc::new(Scope::new(Arc::new(Nowhere), Arc::default(), None));
                let uri = Uri::from_static("http://h/a.B/C");
                let call = Call::start("x".into(), None, &uri, Arc::new(Nowhere), Some(Arc::clone(&scope)));
                // What tonic does with the error of a channel, and golo with that of a trigger.
                let status = Status::from_error(end(call, error));
                let text = error::reason(status.into());
                assert!(scope.has_recorded(&text), "{text}");
            }
        }
    }

    #[test]
    fn status_is_read_with_its_message() {
        let status = status_of(&headers(&[(STATUS, "5"), (MESSAGE, "no%20item%20%607%60")])).unwrap();
        assert_eq!(reason(&status), "content: grpc status 5 not found: no item `7`");
        let status = status_of(&headers(&[(STATUS, "13")])).unwrap();
        assert_eq!(reason(&status), "content: grpc status 13 internal");
        assert_eq!(status_of(&headers(&[(STATUS, "0")])).unwrap().code(), Code::Ok);
        assert!(status_of(&headers(&[(MESSAGE, "x")])).is_none());
    }

    #[test]
    fn details_that_are_not_base64_do_no_harm() {
        let status = status_of(&headers(&[(STATUS, "3"), ("grpc-status-details-bin", "!!!")])).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
    }

    #[test]
    fn reason_is_short_and_shows_no_credentials() {
        let long = reason(&Status::internal("ä".repeat(10_000)));
        assert_eq!(long.chars().count(), LENGTH + 1);
        let secret = reason(&Status::unavailable("no http://ada:s3cret@h/"));
        assert_eq!(secret, "content: grpc status 14 unavailable: no http://h/");
    }
}
