//! Waterfalls of the slowest journeys, with a bar for each step.

use crate::report::{
    Document,
    document::{Slow, SlowStep},
    text::clean,
    units::{counted, nanoseconds},
};

/// Number of waterfalls that are expanded initially.
const OPEN: usize = 3;
/// Minimum width of a bar, in percent of the whole.
const NARROWEST: f64 = 0.4;

/// A journey.
pub(super) struct Waterfall {
    pub(super) title: String,
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
pub(super) fn waterfalls(document: &Document<'_>) -> Vec<Waterfall> {
    let slowest = &document.journeys.slowest;
    if !slowest.iter().any(Slow::has_steps) {
        return Vec::new();
    }
    slowest.iter().enumerate().map(|(place, journey)| Waterfall::of(place, journey)).collect()
}

impl Waterfall {
    fn of(place: usize, journey: &Slow) -> Self {
        let title = format!("{}, sequence {}", nanoseconds(Some(journey.duration)), clean(&journey.sequence_id));
        let end = journey.steps.iter().map(|step| step.started.saturating_add(step.duration)).max();
        let mut steps: Vec<&SlowStep> = journey.steps.iter().collect();
        steps.sort_by_key(|step| step.started);
        let further =
            (journey.further > 0).then(|| format!("… then {} that were not kept", counted(journey.further, "step")));
        Self {
            title,
            is_open: place < OPEN,
            steps: steps.into_iter().map(|step| Bar::of(step, end.unwrap_or_default())).collect(),
            further,
        }
    }
}

impl Bar {
    fn of(step: &SlowStep, end: u64) -> Self {
        let share = |nanos: u64| if end == 0 { 0.0 } else { nanos as f64 * 100.0 / end as f64 };
        let width = share(step.duration).max(NARROWEST);
        Self {
            name: step.name.clone(),
            started: format!("+{}", nanoseconds(Some(step.started))),
            duration: nanoseconds(Some(step.duration)),
            outcome: outcome(step),
            is_failed: step.failed,
            left: format!("{:.2}", share(step.started).min(100.0 - width)),
            width: format!("{width:.2}"),
        }
    }
}

fn outcome(step: &SlowStep) -> String {
    match (step.status, step.failed) {
        (0, false) => "ok".to_owned(),
        (0, true) => "failed".to_owned(),
        (status, false) => status.to_string(),
        (status, true) => format!("{status} failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(started: u64, duration: u64) -> SlowStep {
        let (name, method, route) = ("GET /".to_owned(), "GET".into(), "/".into());
        SlowStep { name, method, route, started, duration, status: 200, failed: false }
    }

    fn lanes(steps: Vec<SlowStep>) -> Vec<(f64, f64)> {
        let journey = Slow { sequence_id: "visit".to_owned(), duration: 0, steps, further: 2 };
        let waterfall = Waterfall::of(0, &journey);
        assert_eq!(waterfall.further.as_deref(), Some("… then 2 steps that were not kept"));
        waterfall.steps.iter().map(|bar| (bar.left.parse().unwrap(), bar.width.parse().unwrap())).collect()
    }

    #[test]
    fn bars_are_placed_by_start_and_duration_of_their_steps() {
        assert_eq!(lanes(vec![step(50, 150), step(0, 50)]), [(0.0, 25.0), (25.0, 75.0)], "in the order they began");
    }

    #[test]
    fn every_bar_is_visible_and_within_the_chart() {
        for (left, width) in lanes(vec![step(0, 0), step(1_000_000, 1), step(500_000, 0)]) {
            assert!(width >= NARROWEST && left + width <= 100.005, "{left} {width}");
        }
        assert_eq!(lanes(vec![step(0, 0)]), [(0.0, NARROWEST)]);
    }
}
