//! Requests of a load test that prints no `Output`: made of the tags of its triggers' responses.

use std::{
    borrow::Cow,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    OutputRef, Response,
    engine::{recorder::Recorder, room::Selected, snapshot::Snapshot},
    support::lock::lock,
};

/// How much later than the first answer the first `Output` may come: load tests keep a line back for 100 ms at most.
const LATE: Duration = Duration::from_millis(500);

/// The requests that tags tell of, until it is known whether the load test prints an `Output` for each request itself.
///
/// Nothing counts twice: once the first `Output` has come, tags make no more requests, and an `Output` of the time for which
/// they have made some is passed over.
#[derive(Default)]
pub struct TagRequests {
    has_outputs: AtomicBool,
    /// Until when requests were made of tags, if any were before the first `Output` came.
    covered: OnceLock<SystemTime>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    recorder: Recorder,
    /// When the first trigger answered with a request.
    first: Option<Instant>,
    /// When the last did.
    last: Option<SystemTime>,
    /// The same of those that have been taken.
    taken: Option<SystemTime>,
}

impl TagRequests {
    /// Keeps the series of these routes apart.
    pub(in crate::engine) fn selecting(selected: Selected) -> Self {
        let held = Held { recorder: Recorder::selecting(selected), ..Held::default() };
        Self { held: Mutex::new(held), ..Self::default() }
    }

    /// The measured part starts at `start`.
    pub(in crate::engine) fn start(&self, start: Instant) {
        lock(&self.held).recorder.start(start);
    }

    /// The load is over at `over`.
    pub(in crate::engine) fn end_load(&self, over: Instant) {
        lock(&self.held).recorder.end_load(over);
    }

    /// A trigger has answered, after `took`.
    pub(in crate::engine) fn answered(&self, response: &Response, took: Duration) {
        if self.has_outputs.load(Ordering::Acquire) {
            return;
        }
        let Some(output) = request(response, took) else { return };
        let mut held = lock(&self.held);
        held.recorder.of_tags(&output, response.error);
        held.first.get_or_insert_with(Instant::now);
        held.last = held.last.max(Some(output.timestamp));
    }

    /// An `Output` came, of a request that ended at `at`. Returns whether that request counts already.
    pub(in crate::engine) fn output_came(&self, at: SystemTime) -> bool {
        if !self.has_outputs.load(Ordering::Acquire) {
            let mut held = lock(&self.held);
            if let Some(taken) = held.taken {
                let _ = self.covered.set(taken);
            }
            drop(held.recorder.take());
            self.has_outputs.store(true, Ordering::Release);
        }
        self.covered.get().is_some_and(|covered| at <= *covered)
    }

    /// What counts since the last time. Unless the run is over, the first `Output` is waited for at first.
    pub(in crate::engine) fn take(&self, is_over: bool) -> Option<Snapshot> {
        let mut held = lock(&self.held);
        let is_known = held.first.is_some_and(|first| is_over || first.elapsed() >= LATE);
        if !is_known || self.has_outputs.load(Ordering::Acquire) {
            return None;
        }
        held.taken = held.last;
        Some(held.recorder.take())
    }
}

/// The request that a response's tags tell of: to its `url`, by its `method` or `GET`, with its `status` and `size`. It took
/// as long as the response says, else `took`. None if there is no `url`.
fn request(response: &Response, took: Duration) -> Option<OutputRef<'_>> {
    let tag = |key: &str| response.tags.iter().find(|tag| tag.key == key).map(|tag| &*tag.value);
    let url = tag("url").filter(|url| !url.is_empty())?;
    let status = tag("status").map_or(0, status);
    let duration = if response.duration > 0 { Duration::from_nanos(response.duration) } else { took };
    Some(OutputRef {
        sequence_id: Cow::Borrowed(&response.id),
        url: Cow::Borrowed(url),
        method: Cow::Borrowed(tag("method").filter(|method| !method.is_empty()).unwrap_or("GET")),
        status,
        size: tag("size").and_then(|size| size.parse().ok()).unwrap_or_default(),
        timestamp: SystemTime::now(),
        duration,
        error: (response.error && status == 0).then_some(Cow::Borrowed(&response.output)),
        route: None,
        // A trigger that failed is all that is known of a request that did.
        expected: response.error.then_some(false),
        waiting: None,
        sent: 0,
        redirects: 0,
        redirects_are_hidden: false,
        ended: None,
    })
}

/// The status that a text begins with, as `200` or `200 OK`; 0 if it is none.
pub(crate) fn status(text: &str) -> u16 {
    let digits = text.split(' ').next().unwrap_or_default();
    let is_status = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|status| is_status && *status >= 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{errors::ErrorKind, series::Outcome},
        tagify,
    };

    const TOOK: Duration = Duration::from_millis(3);

    fn response(status: &str) -> Response {
        let tags = tagify([("status", status), ("size", "12"), ("url", "http://h/items/7?q=1")]);
        Response { tags, ..Response::default() }
    }

    fn answered(response: &Response) -> Snapshot {
        let requests = TagRequests::default();
        requests.answered(response, TOOK);
        requests.take(true).unwrap_or_default()
    }

    #[test]
    fn tags_make_a_request() {
        let snapshot = answered(&response("200 OK"));
        let (series, measure) = snapshot.requests.iter().next().unwrap();
        assert_eq!(
            (&*series.label.method, &*series.label.origin, &*series.label.route),
            ("GET", "http://h", "/items/{id}")
        );
        assert_eq!(series.outcome, Outcome::Answered { status: 200, failed: false });
        assert_eq!((measure.received, measure.durations.max()), (12, Some(3_000_000)));
        assert_eq!((snapshot.requests_from_tags, snapshot.errors.is_empty()), (1, true));
        let timed = Response { duration: 9, ..response("200") };
        assert_eq!(answered(&timed).requests.values().next().unwrap().durations.max(), Some(9));
    }

    #[test]
    fn how_a_request_ended_is_what_its_tags_and_its_trigger_say() {
        let outcome = |response: &Response| answered(response).requests.keys().next().map(|series| series.outcome);
        let failed = |status| Response { error: true, output: "no".to_owned(), ..response(status) };
        assert_eq!(
            outcome(&response("503 Service Unavailable")),
            Some(Outcome::Answered { status: 503, failed: true })
        );
        assert_eq!(outcome(&failed("200")), Some(Outcome::Answered { status: 200, failed: true }));
        assert_eq!(outcome(&failed("")), Some(Outcome::Failed(ErrorKind::Other)));
        assert_eq!(outcome(&response("none")), Some(Outcome::Answered { status: 0, failed: false }));
        assert_eq!(answered(&response("503")).errors.count(ErrorKind::Status), 1);
        assert!(answered(&failed("")).errors.is_empty(), "its trigger has the same error");
        let silent = Response { tags: tagify([("status", 200)]), ..Response::default() };
        assert_eq!(outcome(&silent), None, "without a URL there is no request");
    }

    #[test]
    fn nothing_counts_twice() {
        let requests = TagRequests::default();
        requests.answered(&response("200"), TOOK);
        assert_eq!(requests.take(false), None, "an output may come yet");
        assert!(!requests.output_came(SystemTime::now()));
        requests.answered(&response("200"), TOOK);
        assert_eq!(requests.take(true), None, "outputs tell of the requests");

        let requests = TagRequests::default();
        requests.answered(&response("200"), TOOK);
        assert_eq!(requests.take(true).map(|taken| taken.requests_done()), Some(1));
        let before = SystemTime::now() - TOOK * 10;
        assert!(requests.output_came(before), "its trigger's tags have told of it");
        assert!(!requests.output_came(SystemTime::now() + TOOK), "what ends later counts");
    }

    #[test]
    fn a_status_is_what_a_text_begins_with() {
        let statuses = ["200", "200 OK", "404 Not Found", "", "2xx", "20", "2000", "099", "+20", "OK 200"].map(status);
        assert_eq!(statuses, [200, 200, 404, 0, 0, 0, 0, 0, 0, 0]);
    }
}
