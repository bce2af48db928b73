//! Figures and tables of a run for viewers. They are made when somebody looks, at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use golo::engine::Finished;
use golo::engine::snapshot::Snapshot;
use golo::report::{RunOutcome, RunView, Watch, failure_samples};

/// Shortest time between two views.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of views that a viewer receives per second at most, on average. Larger views are made less often.
const BYTES_PER_SECOND: usize = 12_000;
/// The next second may come this much early.
const EARLY: Duration = Duration::from_millis(200);

/// Measurements that a view can be made of.
pub struct Offer {
    /// Measurements so far.
    pub finished: Finished,
    /// Thresholds, and what is known of them.
    pub watch: Watch,
}

impl Offer {
    /// Creates an offer with a copy of the totals, which is as small as a view allows. `so_far` completes it.
    pub fn of(totals: &Snapshot, watch: &Watch, so_far: impl FnOnce(Snapshot) -> Finished) -> Self {
        // A view has the phases of all requests together. A threshold may select those of a route.
        let totals = if watch.reads_phases() { totals.clone() } else { totals.with_joined_phases() };
        Self { finished: so_far(totals), watch: watch.clone() }
    }

    /// Returns the outcome as if the run had ended now.
    fn outcome(self) -> RunOutcome {
        let Self { finished, watch } = self;
        let thresholds = watch.judge(&finished);
        let aborted = watch.lost(&finished.totals, finished.whole_time).cloned();
        RunOutcome { thresholds, aborted, ..finished.into() }
    }
}

/// The view that viewers see, and the next one.
#[derive(Default)]
pub(super) struct Views {
    offer: Option<Offer>,
    due: Option<Instant>,
    /// Text of the current view, as JSON.
    pub(super) text: Option<Arc<str>>,
    /// Failed requests of the current view.
    failures: Option<Arc<Snapshot>>,
    /// Number of the current view.
    pub(super) version: u64,
    /// Samples of failed requests at the end of the run, as JSON, for viewers that cannot ask for them later.
    pub(super) last_samples: Option<String>,
}

impl Views {
    /// True if the next view may be made.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_none_or(|due| Instant::now() + EARLY >= due)
    }

    /// True if there are measurements for the next view.
    pub(super) fn has_offer(&self) -> bool {
        self.offer.is_some()
    }

    /// Takes measurements for the next view.
    pub(super) fn put(&mut self, offer: Offer) {
        self.offer = Some(offer);
    }

    /// Returns the measurements for the next view, once.
    pub(super) fn take(&mut self) -> Option<Offer> {
        let offer = self.offer.take()?;
        self.due = Some(Instant::now() + PAUSE);
        Some(offer)
    }

    /// Replaces the current view.
    pub(super) fn set(&mut self, view: View, failures: Snapshot) {
        let text = view.text;
        let pause = Duration::from_secs_f64(text.len() as f64 / BYTES_PER_SECOND as f64);
        self.due = Some(Instant::now() + PAUSE.max(pause));
        (self.text, self.failures) = (Some(text), Some(Arc::new(failures)));
        self.offer = None;
        self.version += 1;
    }

    /// Returns the failed requests of the current view.
    pub(super) fn failures(&self) -> Option<Arc<Snapshot>> {
        self.failures.clone()
    }
}

/// A view that has been made.
pub(super) struct View {
    text: Arc<str>,
    /// Word of the verdict, the text after it, and its tone.
    pub(super) verdict: [String; 3],
}

impl View {
    /// Makes the view of a run that is going on. Returns its failed requests too.
    pub(super) fn of_offer(offer: Offer) -> (Self, Snapshot) {
        let outcome = offer.outcome();
        (Self::of(&outcome), outcome.finished.totals.into_failures())
    }

    /// Makes the view of an outcome.
    pub(super) fn of(outcome: &RunOutcome) -> Self {
        let view = RunView::of(outcome);
        let text = serde_json::to_string(&view).unwrap_or_else(|_| "null".to_owned());
        let verdict = [view.word, view.reason, view.tone];
        Self { text: text.into(), verdict }
    }
}

/// Returns the samples of failed requests as JSON.
pub(super) fn samples(failures: &Snapshot) -> String {
    serde_json::to_string(&failure_samples(failures)).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use golo::Phases;
    use golo::engine::Options;
    use golo::engine::plan::{Asked, Plan};
    use golo::engine::series::{Label, Outcome, Series};
    use golo::engine::share::Share;
    use golo::report::Threshold;

    use super::*;

    /// Returns the view of a run with requests of three routes, of which some failed, and its size in memory.
    fn view(totals: &Snapshot, thresholds: &[&str]) -> (View, Snapshot, usize) {
        let plan = Plan::new(Asked::default()).unwrap();
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let watch = Watch::new(thresholds.iter().map(|text| text.parse::<Threshold>().unwrap()), &plan);
        let started_at = Some(std::time::UNIX_EPOCH);
        let so_far = |totals| Finished { totals, started_at, ..Finished::not_started(plan.clone(), options, None) };
        let offer = Offer::of(totals, &watch, so_far);
        let phases = offer.finished.totals.requests.values().filter_map(|measure| measure.phases.as_ref());
        let bytes = phases.map(|phases| phases.bytes()).sum();
        let (view, failures) = View::of_offer(offer);
        (view, failures, bytes)
    }

    fn totals() -> Snapshot {
        let mut totals = Snapshot::default();
        for (route, status) in [("/a", 200), ("/b", 200), ("/b", 500), ("/c", 200)] {
            let label = Arc::new(Label::new("http://h", route, "GET"));
            let series = Series { label, outcome: Outcome::Answered { status, failed: status == 500 } };
            let measure = totals.requests.entry(series).or_default();
            for microseconds in 1..2000 {
                measure.durations.record(microseconds * 2000);
                let mut phases = Phases::default();
                phases.waiting = Duration::from_micros(if route == "/b" { microseconds } else { microseconds * 1000 });
                measure.phases.get_or_insert_default().record(&phases);
            }
        }
        totals
    }

    #[test]
    fn view_of_joined_phases_is_the_same_and_keeps_no_measurements() {
        let totals = totals();
        let (lean, failures, bytes) = view(&totals, &[]);
        let (whole, _, all_bytes) = view(&totals, &["http_req_waiting{route:/b} p(95)<1h"]);
        let tables = |view: &View| serde_json::from_str::<serde_json::Value>(&view.text).unwrap()["tables"].clone();
        assert_eq!(tables(&lean), tables(&whole));
        assert!(lean.text.contains("waiting"), "{}", lean.text);
        assert!(bytes * 3 < all_bytes * 2, "{bytes} of {all_bytes} bytes");
        assert!(failures.requests.values().all(|measure| measure.durations.is_empty() && measure.phases.is_none()));
    }

    #[test]
    fn threshold_of_a_phase_sees_the_phases_of_its_route() {
        let (view, ..) = view(&totals(), &["http_req_waiting{route:/b} max<2ms"]);
        assert!(view.text.contains(r#""passed":true"#), "{}", view.text);
    }
}
