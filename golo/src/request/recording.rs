//! Measurement of one request or measured step. It ends in exactly one `Output`, however the request ends.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use crate::metrics::error_kind::ErrorKind;
use crate::metrics::evidence::Evidence;
use crate::metrics::scope::Scope;
use crate::metrics::tag_set::TagSet;
use crate::metrics::trace::TraceContext;
use crate::request::upload::Taken;
use crate::support::clock;
use crate::transport::attempts::Attempts;
use crate::transport::message::Progress;
use crate::{OutputRef, Phases, Sink};

pub(crate) struct Recording<'a> {
    id: &'a str,
    method: Cow<'a, str>,
    url: Cow<'a, str>,
    route: Option<&'a str>,
    expected: &'a [u16],
    sink: &'a dyn Sink,
    scope: Option<&'a Scope>,
    tags: TagSet,
    trace: Option<Box<TraceContext>>,
    started: Instant,
    /// Time from the start to the headers, if the body arrived later than those.
    waiting: Option<Duration>,
    /// Time at which the request ended, once it has.
    ended: Option<Instant>,
    /// True if the whole response arrived, even if the load test does not accept it.
    is_whole: bool,
    status: u16,
    size: u64,
    /// Size in bytes of a body that is passed to a connection as a whole.
    body: u64,
    /// Counter of the bytes that connections have taken of a body that is passed on in pieces.
    taken: Option<Taken>,
    /// Bytes that were passed to a connection by other means.
    passed_on: u64,
    attempts: Attempts,
    /// State of a request that golo's transport sends.
    progress: Option<Progress>,
    /// Number of redirects that golo's transport followed.
    redirects: u32,
    /// True if an unknown number of redirects was followed.
    redirects_are_hidden: bool,
    open: bool,
}

impl<'a> Recording<'a> {
    pub(crate) fn start(
        id: &'a str,
        method: Cow<'a, str>,
        url: Cow<'a, str>,
        sink: &'a dyn Sink,
        scope: Option<&'a Scope>,
    ) -> Self {
        let started = Instant::now();
        if let Some(scope) = scope {
            scope.begin_measurement(started);
        }
        Self::since(started, id, method, url, sink, scope)
    }

    /// Continues a measurement that began at `started`, which `scope` knows.
    pub(crate) fn since(
        started: Instant,
        id: &'a str,
        method: Cow<'a, str>,
        url: Cow<'a, str>,
        sink: &'a dyn Sink,
        scope: Option<&'a Scope>,
    ) -> Self {
        Self {
            id,
            method,
            url,
            route: None,
            expected: &[],
            sink,
            scope,
            tags: TagSet::EMPTY,
            trace: None,
            started,
            waiting: None,
            ended: None,
            is_whole: false,
            status: 0,
            size: 0,
            body: 0,
            taken: None,
            passed_on: 0,
            attempts: Attempts::default(),
            progress: None,
            redirects: 0,
            redirects_are_hidden: false,
            open: true,
        }
    }

    pub(crate) fn route(mut self, route: Option<&'a str>) -> Self {
        self.route = route;
        self
    }

    pub(crate) fn tags(mut self, tags: TagSet) -> Self {
        self.tags = tags;
        self
    }

    pub(crate) fn traced(mut self, trace: Option<Box<TraceContext>>) -> Self {
        self.trace = trace;
        self
    }

    /// As [`traced`](Self::traced), without moving the recording.
    pub(crate) fn set_trace(&mut self, trace: Box<TraceContext>) {
        self.trace = Some(trace);
    }

    /// Returns the trace context of the request.
    pub(crate) fn trace(&self) -> Option<Box<TraceContext>> {
        self.trace.clone()
    }

    pub(crate) fn expect(mut self, statuses: &'a [u16]) -> Self {
        self.expected = statuses;
        self
    }

    /// Sets the body of the request: the size of one that is passed on as a whole, or the counter of any other.
    pub(crate) fn sending(mut self, bytes: usize, taken: Option<Taken>) -> Self {
        (self.body, self.taken) = (bytes as u64, taken);
        self
    }

    /// Records that golo itself follows a redirect, with a whole body of this size.
    pub(crate) fn resending(&mut self, bytes: usize) {
        self.body = bytes as u64;
        self.attempts.follow_counted();
    }

    /// Begins the state of a request that golo's transport sends.
    pub(crate) fn by_transport(mut self, discards_body: bool) -> Self {
        self.progress = Some(Progress { discards_body, ..Progress::start(self.started) });
        self
    }

    /// Returns the state for golo's transport.
    pub(crate) fn progress(&mut self) -> &mut Progress {
        let started = self.started;
        self.progress.get_or_insert_with(|| Progress::start(started))
    }

    /// Records that a redirect is followed.
    pub(crate) fn follow(&mut self) {
        self.redirects += 1;
        self.has_no_response();
    }

    /// Forgets a response that is a redirect.
    pub(crate) fn has_no_response(&mut self) {
        let progress = self.progress();
        (progress.status, progress.size) = (0, 0);
    }

    /// Returns reqwest's attempts for this request.
    pub(crate) fn attempts(&mut self) -> &mut Attempts {
        &mut self.attempts
    }

    /// Records that an unknown number of redirects was followed.
    pub(crate) fn hidden_redirects(&mut self) {
        self.redirects_are_hidden = true;
    }

    pub(crate) fn responded(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub(crate) fn has_responded(&self) -> bool {
        self.status() != 0
    }

    fn status(&self) -> u16 {
        self.progress.as_ref().map_or(self.status, |progress| progress.status)
    }

    /// Sets the size of the body as the load test sees it, if that is not the number of bytes that arrived.
    pub(crate) fn decoded(&mut self, bytes: usize) {
        self.progress().size = bytes as u64;
    }

    /// Records that the body has to be waited for. The first time, the headers have just arrived. If this is never
    /// called, everything arrived at once, and the clock need not be read for the headers.
    pub(crate) fn waits_for_body(&mut self) {
        self.waiting.get_or_insert_with(|| self.started.elapsed());
    }

    /// Sets the time from the start to the headers of the response.
    #[cfg(feature = "grpc")]
    pub(crate) fn waited(&mut self, waiting: Duration) {
        self.waiting = Some(waiting);
    }

    /// Adds bytes that were passed to a connection by other means than a request's body.
    #[cfg(any(feature = "grpc", feature = "websocket"))]
    pub(crate) fn passed_on(&mut self, bytes: u64) {
        self.passed_on += bytes;
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.size += bytes as u64;
    }

    /// Records that the whole response has just arrived. Time from now until [`finish`](Self::finish) is not measured.
    pub(crate) fn received_all(&mut self) {
        self.is_whole = true;
        self.end();
    }

    pub(crate) fn finish(mut self, error: Option<&str>) {
        self.record(error, None);
    }

    /// Records the request. If it failed, `evidence` may be sampled.
    pub(crate) fn finish_with(mut self, error: Option<&str>, evidence: &Evidence<'_>) {
        self.record(error, Some(evidence));
    }

    /// Accepts any status from now on, for a response that is a redirect.
    pub(crate) fn expects_no_status(&mut self) {
        self.expected = &[];
    }

    /// Records this request, and goes on with the one that `next` starts.
    pub(crate) fn finish_and(&mut self, next: impl FnOnce() -> Self) {
        self.record(None, None);
        *self = next();
    }

    /// Returns true if the status fails the request.
    pub(crate) fn has_wrong_status(&self) -> bool {
        !self.is_expected().unwrap_or(self.status() < 400)
    }

    /// Returns the sink of the output.
    pub(crate) fn sink(&self) -> &'a dyn Sink {
        self.sink
    }

    /// Ends the measurement without an output, because nothing was sent.
    pub(crate) fn discard(mut self) {
        self.open = false;
        self.end();
    }

    /// Ends the measurement, unless it has ended, and returns its end.
    fn end(&mut self) -> Instant {
        let scope = self.scope;
        *self.ended.get_or_insert_with(|| {
            let now = Instant::now();
            if let Some(scope) = scope {
                scope.end_measurement(now);
            }
            now
        })
    }

    fn record(&mut self, error: Option<&str>, evidence: Option<&Evidence<'_>>) {
        self.open = false;
        let ended = self.end();
        let duration = ended - self.started;
        let is_whole = self.has_responded() && (self.is_whole || error.is_none());
        let (sent, redirects) = self.amounts(error);
        let phases = self.progress.as_ref().map(|progress| progress.clock.phases(ended));
        self.sink.output(&OutputRef {
            sequence_id: Cow::Borrowed(self.id),
            url: Cow::Borrowed(&self.url),
            method: Cow::Borrowed(&self.method),
            status: self.status(),
            size: i64::try_from(self.progress.as_ref().map_or(self.size, |progress| progress.size)).unwrap_or(i64::MAX),
            timestamp: clock::wall(ended),
            duration,
            error: error.map(Cow::Borrowed),
            route: self.route.map(Cow::Borrowed),
            expected: self.is_expected(),
            waiting: is_whole.then(|| self.waiting(duration, phases)),
            phases,
            sent,
            redirects,
            redirects_are_hidden: self.redirects_are_hidden,
            tags: self.tags.into(),
            ended: Some(ended),
            trace: self.trace.as_deref(),
            evidence,
        });
    }

    /// Returns the time from the start to the first byte of the response.
    fn waiting(&self, duration: Duration, phases: Option<Phases>) -> Duration {
        phases.map_or_else(|| self.waiting.unwrap_or(duration), |phases| duration.saturating_sub(phases.receiving))
    }

    /// Returns the bytes of the body that were passed to connections, and the number of redirects that were followed.
    pub(crate) fn amounts(&self, error: Option<&str>) -> (u64, u32) {
        let redirects = self.redirects.max(self.attempts.redirects()).max(self.redirects_are_hidden.into());
        (self.sent(error), redirects)
    }

    /// Returns the bytes of the body that were passed to connections. A small body is sent together with the head.
    fn sent(&self, error: Option<&str>) -> u64 {
        if let Some(progress) = &self.progress {
            return progress.sent;
        }
        let taken = self.passed_on + self.taken.as_ref().map_or(0, Taken::bytes);
        if self.body == 0 {
            return taken;
        }
        // The load test's own client does not report its connections, but the error does.
        let never_connected = error
            .is_some_and(|error| matches!(ErrorKind::of(error), ErrorKind::Dns | ErrorKind::Connect | ErrorKind::Tls));
        let times = if never_connected && self.attempts.redirects() == 0 {
            0
        } else {
            self.attempts.bodies(self.has_responded())
        };
        taken.saturating_add(self.body.saturating_mul(times.into()))
    }

    /// Returns `None` if the load test expects no particular status, or if no response arrived.
    fn is_expected(&self) -> Option<bool> {
        (self.has_responded() && !self.expected.is_empty()).then(|| self.expected.contains(&self.status()))
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if self.open {
            // A sink may be the user's code, and a second panic during a panic would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.record(Some("cancelled"), None)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread, time::Duration};

    use super::*;

    /// Records the parts of each output that are not on its line: duration, waiting time and bytes sent.
    #[derive(Default)]
    struct Said(Mutex<Vec<(Duration, Option<Duration>, u64)>>);

    impl Sink for Said {
        fn output(&self, output: &OutputRef<'_>) {
            self.0.lock().unwrap().push((output.duration, output.waiting, output.sent));
        }
    }

    fn recorded(make: impl FnOnce(Recording<'_>)) -> (Duration, Option<Duration>, u64) {
        let said = Said::default();
        make(Recording::start("id", "POST".into(), "http://127.0.0.1/".into(), &said, None).sending(7, None));
        said.0.into_inner().unwrap()[0]
    }

    #[test]
    fn waiting_time_ends_when_the_body_is_waited_for() {
        let pause = Duration::from_millis(5);
        let (duration, waiting, sent) = recorded(|mut recording| {
            thread::sleep(pause);
            recording.responded(StatusCode::OK);
            recording.waits_for_body();
            thread::sleep(pause);
            recording.waits_for_body();
            recording.finish(None);
        });
        let waiting = waiting.unwrap();
        assert!(pause <= waiting && waiting + pause <= duration, "{waiting:?} of {duration:?}");
        assert_eq!(sent, 7);
        let (duration, waiting, _) = recorded(|mut recording| {
            recording.responded(StatusCode::INTERNAL_SERVER_ERROR);
            recording.finish(None);
        });
        assert_eq!(waiting, Some(duration), "everything arrives at once");
    }

    #[test]
    fn time_after_the_whole_response_is_not_measured() {
        let (pause, started) = (Duration::from_millis(5), Instant::now());
        let (duration, waiting, _) = recorded(|mut recording| {
            recording.responded(StatusCode::OK);
            recording.received_all();
            thread::sleep(pause);
            recording.finish(Some("content: no"));
        });
        let elapsed = started.elapsed();
        assert!(duration + pause <= elapsed, "{duration:?} of {elapsed:?}");
        assert_eq!(waiting, Some(duration), "the whole response arrived");
    }

    #[test]
    fn waiting_time_is_unknown_without_a_whole_response() {
        let (_, waiting, sent) = recorded(|recording| recording.finish(Some("connect: refused")));
        assert_eq!((waiting, sent), (None, 0));
        let (_, waiting, sent) = recorded(|recording| recording.finish(Some("timeout: operation timed out")));
        assert_eq!((waiting, sent), (None, 7), "it was connected");
        let (_, waiting, sent) = recorded(|mut recording| {
            recording.responded(StatusCode::OK);
            recording.waits_for_body();
        });
        assert_eq!((waiting, sent), (None, 7), "dropped before its end");
        let (_, waiting, _) = recorded(|recording| recording.finish(None));
        assert_eq!(waiting, None, "a measured step has no headers");
    }
}
