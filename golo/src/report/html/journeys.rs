//! Waterfalls of the slowest journeys, with a bar for each step.

use std::{sync::Arc, time::Duration};

use crate::engine::series::Label;
use crate::engine::slowest::{Journey, Step};
use crate::engine::snapshot::Snapshot;
use crate::report::requests::Requests;
use crate::report::summary::{have_steps, not_kept, outcome};
use crate::report::text::clean;
use crate::report::units::duration;

/// Number of waterfalls that are expanded initially.
const OPEN: usize = 3;
/// Minimum width of a bar, in percent of the whole.
const NARROWEST: f64 = 0.4;

/// A journey.
pub(super) struct Waterfall {
    pub(super) title: String,
    /// Trace ID, if its requests had the header `traceparent`.
    pub(super) trace: Option<String>,
    pub(super) is_open: bool,
    pub(super) steps: Vec<Bar>,
    /// Number of steps that were not kept, in words.
    pub(super) further: Option<String>,
}

/// A step of a journey.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) started: String,
    pub(super) duration: String,
    pub(super) outcome: String,
    pub(super) is_failed: bool,
    /// Left edge and width, in percent.
    pub(super) left: String,
    pub(super) width: String,
}

/// Returns the waterfalls of the slowest journeys; none if each journey is one request, since the requests show these.
pub(super) fn waterfalls(totals: &Snapshot, requests: &Requests) -> Vec<Waterfall> {
    if !have_steps(totals) {
        return Vec::new();
    }
    let journeys = totals.slowest.iter().enumerate();
    journeys.map(|(place, journey)| Waterfall::of(place, journey, |label| requests.name(label))).collect()
}

impl Waterfall {
    fn of(place: usize, journey: &Journey<Arc<Label>>, name: impl Fn(&Label) -> String) -> Self {
        let offset = |step: &Step<_>| step.started.duration_since(journey.started()).unwrap_or_default();
        let end = journey.steps.iter().map(|step| offset(step).saturating_add(step.duration)).max();
        let mut steps: Vec<_> = journey.steps.iter().map(|step| (offset(step), step)).collect();
        steps.sort_by_key(|(started, _)| *started);
        let bars = steps.into_iter();
        Self {
            title: format!("{}, sequence {}", duration(journey.duration()), clean(&journey.sequence_id)),
            trace: journey.trace_id().map(|trace| trace.to_string()),
            is_open: place < OPEN,
            steps: bars
                .map(|(started, step)| Bar::of(name(&step.label), started, step, end.unwrap_or_default()))
                .collect(),
            further: not_kept(journey),
        }
    }
}

impl Bar {
    fn of(name: String, started: Duration, step: &Step<Arc<Label>>, end: Duration) -> Self {
        let share =
            |time: Duration| if end.is_zero() { 0.0 } else { time.as_nanos() as f64 * 100.0 / end.as_nanos() as f64 };
        let width = share(step.duration).max(NARROWEST);
        Self {
            name,
            started: format!("+{}", duration(started)),
            duration: duration(step.duration),
            outcome: outcome(step),
            is_failed: step.failed,
            left: format!("{:.2}", share(started).min(100.0 - width)),
            width: format!("{width:.2}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// Returns the left edge and the width of each bar of a journey. `steps` are starts and durations in nanoseconds.
    fn lanes(steps: &[(u64, u64)]) -> Vec<(f64, f64)> {
        let mut steps = steps.iter().map(|&(started, duration)| {
            let started = SystemTime::UNIX_EPOCH + Duration::from_nanos(started);
            Step::plain(Arc::new(Label::new("", "/", "GET")), started, Duration::from_nanos(duration), false)
        });
        let mut journey = Journey::begin("visit", steps.next().unwrap(), Duration::ZERO);
        steps.for_each(|step| journey.add(step, Duration::ZERO));
        journey.further = 2;
        let waterfall = Waterfall::of(0, &journey, |_| String::new());
        assert_eq!(waterfall.further.as_deref(), Some("… then 2 steps that were not kept"));
        waterfall.steps.iter().map(|bar| (bar.left.parse().unwrap(), bar.width.parse().unwrap())).collect()
    }

    #[test]
    fn bars_are_placed_by_start_and_duration_of_their_steps() {
        assert_eq!(lanes(&[(50, 150), (0, 50)]), [(0.0, 25.0), (25.0, 75.0)], "in the order they began");
    }

    #[test]
    fn every_bar_is_visible_and_within_the_chart() {
        for (left, width) in lanes(&[(0, 0), (1_000_000, 1), (500_000, 0)]) {
            assert!(width >= NARROWEST && left + width <= 100.005, "{left} {width}");
        }
        assert_eq!(lanes(&[(0, 0)]), [(0.0, NARROWEST)]);
    }
}
