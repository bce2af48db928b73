//! Durations of journeys, and the slowest journeys step by step.

use std::sync::Arc;

use super::{more, table};
use crate::engine::series::Label;
use crate::engine::slowest::{Journey, Step};
use crate::engine::snapshot::Snapshot;
use crate::report::Page;
use crate::report::figures::quantiles;
use crate::report::requests::Requests;
use crate::report::text::{align, clean, shorten};
use crate::report::units::{count, counted, duration, nanoseconds};

/// Number of slow journeys in the summary.
const SHOWN: usize = 3;
/// Number of steps of a journey in the summary.
const STEPS: usize = 12;

/// A step with the label of its request.
type Labelled = Step<Arc<Label>>;

pub(super) fn lines(page: Page, totals: &Snapshot, requests: &Requests) -> Vec<String> {
    let journeys = &totals.journeys;
    if !are_shown(totals, requests) {
        return Vec::new();
    }
    let mut row = vec![format!("  {} in all", count(journeys.count()))];
    row.extend(quantiles(journeys, [0.5, 0.95, 0.99, 1.0]).map(nanoseconds));
    let mut lines = table(page, &["Journeys", "p50", "p95", "p99", "max"], [row], &[0]);
    if have_steps(totals) {
        for (journey, place) in totals.slowest.iter().take(SHOWN).zip(["slowest", "second", "third"]) {
            lines.push(String::new());
            let sequence = clean(&journey.sequence_id);
            let title = format!("  {place}: {}, sequence {sequence}", duration(journey.duration()));
            lines.push(shorten(&title, page.width));
            // On a line of its own, since it is there to be copied.
            lines.extend(journey.trace_id().map(|trace| format!("    trace {trace}")));
            steps(page, journey, requests, &mut lines);
        }
    }
    lines
}

/// Returns true if there is anything to show about journeys. Journeys of one request each show the same as the requests,
/// unless they have traces.
pub(in crate::report) fn are_shown(totals: &Snapshot, requests: &Requests) -> bool {
    let number = totals.journeys.count();
    number > 0 && (have_steps(totals) || number < requests.ended())
}

/// Returns true if one of the slowest journeys consists of more than one request, or has a trace.
pub(in crate::report) fn have_steps(totals: &Snapshot) -> bool {
    let has_steps = |journey: &Journey<_>| journey.steps.len() > 1 || journey.further > 0;
    totals.slowest.iter().any(|journey| has_steps(journey) || journey.trace_id().is_some())
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
    lines.extend(not_kept(journey).map(|line| format!("    {line}")));
}

/// Describes the steps that were not kept, if there are any.
pub(in crate::report) fn not_kept(journey: &Journey<Arc<Label>>) -> Option<String> {
    (journey.further > 0).then(|| format!("… then {} that were not kept", counted(journey.further, "step")))
}

/// Returns the status of a step, and whether it failed.
pub(in crate::report) fn outcome(step: &Labelled) -> String {
    match (step.status, step.failed) {
        (0, false) => "ok".to_owned(),
        (0, true) => "failed".to_owned(),
        (status, false) => status.to_string(),
        (status, true) => format!("{status} failed"),
    }
}
