//! One request, or measured step, while it lasts: it ends in one `Output`, however it ends.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
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
    status: u16,
    size: u64,
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
        Self { id, method, url, route: None, expected: &[], sink, scope, started, status: 0, size: 0, open: true }
    }

    pub(crate) fn route(mut self, route: Option<&'a str>) -> Self {
        self.route = route;
        self
    }

    pub(crate) fn expect(mut self, statuses: &'a [u16]) -> Self {
        self.expected = statuses;
        self
    }

    pub(crate) fn responded(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub(crate) fn has_responded(&self) -> bool {
        self.status != 0
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
        self.sink.output(&OutputRef {
            sequence_id: Cow::Borrowed(self.id),
            url: Cow::Borrowed(self.url),
            method: Cow::Borrowed(self.method),
            status: self.status,
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            timestamp: clock::wall(ended),
            duration: ended - self.started,
            error: error.map(Cow::Borrowed),
            route: self.route.map(Cow::Borrowed),
            expected: self.is_expected(),
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
