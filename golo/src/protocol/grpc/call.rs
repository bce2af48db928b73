//! Measurement of one gRPC call.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, Uri, response};
use tonic::{Code, Status};

use crate::metrics::scope::Scope;
use crate::metrics::tag_set::TagSet;
use crate::request::recording::Recording;
use crate::support::secrets::{without_credentials, without_secrets};
use crate::{Sink, error};

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
    started: Instant,
    /// Time from the start to the headers of the response.
    waiting: Option<Duration>,
    /// Status of HTTP, if a response has arrived.
    status: Option<StatusCode>,
    received: usize,
    sent: Arc<AtomicU64>,
    is_open: bool,
}

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
        let (tags, waiting, status, received, sent) = (TagSet::EMPTY, None, None, 0, Arc::default());
        Self { id, url, route, sink, scope, tags, started, waiting, status, received, sent, is_open: true }
    }

    /// Sets the tags of the code that makes the call.
    pub(super) fn with_tags(mut self, tags: TagSet) -> Self {
        self.tags = tags;
        self
    }

    /// Returns the counter of the bytes that are sent.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    /// Adds bytes that have arrived.
    pub(super) fn receive(&mut self, bytes: usize) {
        self.received += bytes;
    }

    /// Records that the head of the response has arrived. Returns the call unless the head has its status.
    pub(super) fn respond(mut self, head: &response::Parts) -> Option<Self> {
        self.waiting = Some(self.started.elapsed());
        self.status = Some(head.status);
        if head.headers.contains_key(STATUS) {
            self.end(&head.headers);
            return None;
        }
        Some(self)
    }

    /// Records the call. `trailers` have its status.
    pub(super) fn end(mut self, trailers: &HeaderMap) {
        match status_of(trailers) {
            Some(status) if status.code() == Code::Ok => self.record(None, true),
            Some(status) => {
                self.record(Some(&reason(&status)), true);
                if let Some(scope) = &self.scope {
                    // The text of a trigger that fails with this status.
                    scope.note_failure(&without_secrets(&status.to_string()));
                }
            }
            None => self.end_without_status(),
        }
    }

    /// Records the call, whose response has ended without a gRPC status.
    pub(super) fn end_without_status(mut self) {
        // A status of HTTP that fails the request explains it.
        let is_explained = self.status.is_some_and(|status| status.as_u16() >= 400);
        self.record((!is_explained).then_some("body: the response ended without a gRPC status"), is_explained);
    }

    /// Records the call, whose response broke off.
    pub(super) fn break_off(mut self, error: &(dyn StdError + 'static)) {
        self.record(Some(&cut(&format!("body: {}", error::chain(error)))), false);
    }

    /// Records the call, to which no response arrived.
    pub(super) fn fail(mut self, error: &(dyn StdError + 'static)) {
        self.record(Some(&cut(&error::of_channel(error))), false);
    }

    fn record(&mut self, error: Option<&str>, is_whole: bool) {
        self.is_open = false;
        let url = (&*self.url).into();
        let scope = self.scope.as_deref();
        let recording = Recording::since(self.started, &self.id, "POST".into(), url, &*self.sink, scope);
        let mut recording = recording.route(Some(&self.route)).tags(self.tags);
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
            let _ = catch_unwind(AssertUnwindSafe(|| self.record(Some("cancelled"), false)));
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
        message => cut(&format!("{text}: {}", without_credentials(message))),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
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
