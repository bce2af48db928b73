//! Figures and tables of a run for viewers. They are made when somebody looks, at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use golo::engine::Finished;
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
    /// Returns the outcome as if the run had ended now.
    fn outcome(self) -> RunOutcome {
        let thresholds = self.watch.judge(&self.finished);
        RunOutcome { thresholds, ..self.finished.into() }
    }
}

/// The view that viewers see, and the next one.
#[derive(Default)]
pub(super) struct Views {
    offer: Option<Offer>,
    due: Option<Instant>,
    /// Text of the current view, as JSON.
    pub(super) text: Option<Arc<str>>,
    /// Outcome that the current view was made of.
    outcome: Option<Arc<RunOutcome>>,
    /// Number of the current view.
    pub(super) version: u64,
}

impl Views {
    /// True if the next view may be made.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_none_or(|due| Instant::now() + EARLY >= due)
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
    pub(super) fn set(&mut self, view: View) {
        let View { text, outcome } = view;
        let pause = Duration::from_secs_f64(text.len() as f64 / BYTES_PER_SECOND as f64);
        self.due = Some(Instant::now() + PAUSE.max(pause));
        (self.text, self.outcome) = (Some(text), Some(outcome));
        self.offer = None;
        self.version += 1;
    }

    /// Returns the outcome that the current view was made of.
    pub(super) fn outcome(&self) -> Option<Arc<RunOutcome>> {
        self.outcome.clone()
    }
}

/// A view that has been made.
pub(super) struct View {
    text: Arc<str>,
    outcome: Arc<RunOutcome>,
}

impl View {
    /// Makes the view of a run that is going on.
    pub(super) fn of_offer(offer: Offer) -> Self {
        Self::of(Arc::new(offer.outcome()))
    }

    /// Makes the view of an outcome.
    pub(super) fn of(outcome: Arc<RunOutcome>) -> Self {
        let text = serde_json::to_string(&RunView::of(&outcome)).unwrap_or_else(|_| "null".to_owned());
        Self { text: text.into(), outcome }
    }
}

/// Returns the samples of failed requests as JSON.
pub(super) fn samples(outcome: &RunOutcome) -> String {
    serde_json::to_string(&failure_samples(outcome)).unwrap_or_else(|_| "null".to_owned())
}
