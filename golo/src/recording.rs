//! One request, or measured step, while it lasts: it ends in one `Output`, however it ends.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use reqwest::StatusCode;

use crate::{OutputRef, Sink, clock, scope::Scope};

pub(crate) struct Recording<'a> {
    id: &'a str,
    method: &'a str,
    url: &'a str,
    route: Option<&'a str>,
    expected: &'a [u16],
    sink: &'a dyn Sink,
    scope: Option<&'a Scope>,
    started: Instant,
    /// From the start to the headers, where the body was yet to come then.
    waiting: Option<Duration>,
    status: u16,
    size: u64,
    sent: u64,
    open: bool,
}

impl<'a> Recording<'a> {
    pub(crate) fn start(
        id: &'a str,
        method: &'a str,
        url: &'a str,
        sink: &'a dyn Sink,
        scope: Option<&'a Scope>,
    ) -> Self {
        let started = Instant::now();
        if let Some(scope) = scope {
            scope.begin_measurement(started);
        }
        Self {
            id,
            method,
            url,
            route: None,
            expected: &[],
            sink,
            scope,
            started,
            waiting: None,
            status: 0,
            size: 0,
            sent: 0,
            open: true,
        }
    }

    pub(crate) fn route(mut self, route: Option<&'a str>) -> Self {
        self.route = route;
        self
    }

    pub(crate) fn expect(mut self, statuses: &'a [u16]) -> Self {
        self.expected = statuses;
        self
    }

    /// How long the request's body is.
    pub(crate) fn sending(mut self, bytes: usize) -> Self {
        self.sent = bytes as u64;
        self
    }

    pub(crate) fn responded(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub(crate) fn has_responded(&self) -> bool {
        self.status != 0
    }

    /// The body is waited for. The first time, the headers came just now; where it never is, all came at once, and the
    /// clock need not be read for them.
    pub(crate) fn waits_for_body(&mut self) {
        self.waiting.get_or_insert_with(|| self.started.elapsed());
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.size += bytes as u64;
    }

    pub(crate) fn finish(mut self, error: Option<&str>) {
        self.record(error);
    }

    /// Nothing was sent, so nothing is recorded.
    pub(crate) fn discard(mut self) {
        self.end();
    }

    /// When it ended.
    fn end(&mut self) -> Instant {
        self.open = false;
        let now = Instant::now();
        if let Some(scope) = self.scope {
            scope.end_measurement(now);
        }
        now
    }

    fn record(&mut self, error: Option<&str>) {
        let ended = self.end();
        let duration = ended - self.started;
        let is_whole = self.has_responded() && error.is_none();
        self.sink.output(&OutputRef {
            sequence_id: Cow::Borrowed(self.id),
            url: Cow::Borrowed(self.url),
            method: Cow::Borrowed(self.method),
            status: self.status,
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            timestamp: clock::wall(ended),
            duration,
            error: error.map(Cow::Borrowed),
            route: self.route.map(Cow::Borrowed),
            expected: self.is_expected(),
            waiting: is_whole.then(|| self.waiting.unwrap_or(duration)),
            sent: if self.has_responded() { self.sent } else { 0 },
        });
    }

    /// `None` where the load test said nothing of it, or no response came.
    fn is_expected(&self) -> Option<bool> {
        (self.has_responded() && !self.expected.is_empty()).then(|| self.expected.contains(&self.status))
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        if self.open {
            // A sink is anybody's code, and a second panic while one is under way would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.record(Some("cancelled"))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, thread, time::Duration};

    use super::*;

    /// What was said of each output that no line says: duration, waiting and bytes sent.
    #[derive(Default)]
    struct Said(Mutex<Vec<(Duration, Option<Duration>, u64)>>);

    impl Sink for Said {
        fn output(&self, output: &OutputRef<'_>) {
            self.0.lock().unwrap().push((output.duration, output.waiting, output.sent));
        }
    }

    fn recorded(make: impl FnOnce(Recording<'_>)) -> (Duration, Option<Duration>, u64) {
        let said = Said::default();
        make(Recording::start("id", "POST", "http://127.0.0.1/", &said, None).sending(7));
        said.0.into_inner().unwrap()[0]
    }

    #[test]
    fn headers_are_waited_for_until_the_body_has_to_be() {
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
        assert_eq!(waiting, Some(duration), "where all comes at once");
    }

    #[test]
    fn without_a_whole_response_nothing_is_known_of_it() {
        let (_, waiting, sent) = recorded(|recording| recording.finish(Some("connect: refused")));
        assert_eq!((waiting, sent), (None, 0));
        let (_, waiting, sent) = recorded(|mut recording| {
            recording.responded(StatusCode::OK);
            recording.waits_for_body();
        });
        assert_eq!((waiting, sent), (None, 7), "dropped before its end");
        let (_, waiting, _) = recorded(|recording| recording.finish(None));
        assert_eq!(waiting, None, "a measured step has no headers");
    }
}
