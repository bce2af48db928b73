//! Requests of a load test that prints no `Output`, recorded from the tags of its triggers' responses.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::engine::recorder::Recorder;
use crate::engine::room::Selected;
use crate::engine::snapshot::Snapshot;
use crate::metrics::tag_set::RequestTags;
use crate::support::lock::lock;
use crate::{OutputRef, Response};

/// Maximum delay of the first `Output` after the first response. Load tests hold a line back for 100 ms at most.
const LATE: Duration = Duration::from_millis(500);

/// Requests described by tags, held until it is known if the load test prints an `Output` for each request.
///
/// No request counts twice. Once the first `Output` arrives, tags are ignored. An `Output` is skipped if it belongs to
/// the time for which requests were recorded from tags.
#[derive(Default)]
pub struct TagRequests {
    has_outputs: AtomicBool,
    /// Time up to which requests were recorded from tags, if any were before the first `Output`.
    covered: OnceLock<SystemTime>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    recorder: Recorder,
    /// Time at which the first trigger with a request responded.
    first: Option<Instant>,
    /// Time of the last such response.
    last: Option<SystemTime>,
    /// Time of the last such response whose request was taken.
    taken: Option<SystemTime>,
}

impl TagRequests {
    /// Creates a value that keeps room for the selected routes.
    pub(in crate::engine) fn selecting(selected: Selected) -> Self {
        let held = Held { recorder: Recorder::selecting(selected), ..Held::default() };
        Self { held: Mutex::new(held), ..Self::default() }
    }

    /// Sets the start of the measured part.
    pub(in crate::engine) fn start(&self, start: Instant) {
        lock(&self.held).recorder.start(start);
    }

    /// Sets the time at which the load is over.
    pub(in crate::engine) fn end_load(&self, over: Instant) {
        lock(&self.held).recorder.end_load(over);
    }

    /// Handles the response of a trigger, which took `took`.
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

    /// Handles an `Output` of a request that ended at `at`. Returns true if that request was already counted.
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

    /// Returns the requests since the last call. Returns `None` while the first `Output` may still arrive, unless the
    /// run is over.
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

/// Returns the request described by a response's tags: `url`, `method` (default `GET`), `status` and `size`. Its
/// duration is that of the response, or `took` if the response has none. Returns `None` if there is no `url`.
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
        // If the trigger failed, nothing more is known about the request than that it failed.
        expected: response.error.then_some(false),
        waiting: None,
        phases: None,
        sent: 0,
        redirects: 0,
        redirects_are_hidden: false,
        tags: RequestTags::default(),
        ended: None,
        trace: None,
        evidence: None,
    })
}

/// Returns the status at the start of a text, as in `200` or `200 OK`, or 0 if there is none.
pub(crate) fn status(text: &str) -> u16 {
    let digits = text.split(' ').next().unwrap_or_default();
    let is_status = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|status| is_status && *status >= 100).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::errors::ErrorKind;
    use crate::engine::series::Outcome;
    use crate::tagify;

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
    fn outcome_of_a_request_follows_tags_and_trigger() {
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
    fn no_request_counts_twice() {
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
    fn status_is_parsed_from_the_start_of_a_text() {
        let statuses = ["200", "200 OK", "404 Not Found", "", "2xx", "20", "2000", "099", "+20", "OK 200"].map(status);
        assert_eq!(statuses, [200, 200, 404, 0, 0, 0, 0, 0, 0, 0]);
    }
}
