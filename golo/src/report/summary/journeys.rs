//! Durations of journeys, and the slowest journeys step by step.

use std::sync::Arc;

use super::{more, quantiles, requests::Requests};
use crate::{
    engine::{
        series::Label,
        slowest::{Journey, Step},
        snapshot::Snapshot,
    },
    report::{
        Page,
        text::{align, clean, shorten},
        units::{count, counted, duration},
    },
};

/// Number of slow journeys in the summary.
const SHOWN: usize = 3;
/// Number of steps of a journey in the summary.
const STEPS: usize = 12;

/// A step with the label of its request.
type Labelled = Step<Arc<Label>>;

pub(super) fn lines(page: Page, totals: &Snapshot, requests: &Requests) -> Vec<String> {
    let journeys = &totals.journeys;
    let have_steps = totals.slowest.iter().any(|journey| journey.steps.len() > 1 || journey.further > 0);
    // Journeys of one request each show the same as the requests.
    if journeys.is_empty() || (!have_steps && journeys.count() >= requests.ended()) {
        return Vec::new();
    }
    let mut row = vec![format!("  {} in all", count(journeys.count()))];
    row.extend(quantiles(journeys, &[0.5, 0.95, 0.99, 1.0]));
    let heads = ["Journeys", "p50", "p95", "p99", "max"].map(str::to_owned).to_vec();
    let mut lines = page.table(&[heads, row], &[0]);
    if have_steps {
        for (journey, place) in totals.slowest.iter().take(SHOWN).zip(["slowest", "second", "third"]) {
            lines.push(String::new());
            let sequence = clean(&journey.sequence_id);
            let title = format!("  {place}: {}, sequence {sequence}", duration(journey.duration()));
            lines.push(shorten(&title, page.width));
            steps(page, journey, requests, &mut lines);
        }
    }
    lines
}

fn steps(page: Page, journey: &Journey<Arc<Label>>, requests: &Requests, lines: &mut Vec<String>) {
    let mut steps: Vec<&Labelled> = journey.steps.iter().collect();
    // The slow steps are the interesting ones.
    steps.sort_by_key(|step| std::cmp::Reverse(step.duration));
    let all = steps.len();
    steps.truncate(STEPS);
    steps.sort_by_key(|step| step.started);
    let row = |step: &&Labelled| {
        let offset = step.started.duration_since(journey.started()).unwrap_or_default();
        vec![format!("+{}", duration(offset)), duration(step.duration), outcome(step), requests.name(&step.label)]
    };
    let rows: Vec<_> = steps.iter().map(row).collect();
    lines.extend(align(&rows, &[2, 3], page.width - 4).into_iter().map(|line| format!("    {line}")));
    lines.extend(more(steps.len(), all, "step").map(|line| format!("  {line}, each quicker")));
    if journey.further > 0 {
        lines.push(format!("    … then {} that were not kept", counted(journey.further, "step")));
    }
}

fn outcome(step: &Labelled) -> String {
    match (step.status, step.failed) {
        (0, false) => "ok".to_owned(),
        (0, true) => "failed".to_owned(),
        (status, false) => status.to_string(),
        (status, true) => format!("{status} failed"),
    }
}
