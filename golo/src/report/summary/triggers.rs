//! Durations of triggers, from their start and from their due time.

use super::quantiles;
use crate::{
    engine::{Finished, plan::Model},
    report::{
        Page, pauses,
        units::{count, counted, percent},
    },
};

pub(super) fn lines(page: Page, finished: &Finished) -> Vec<String> {
    let triggers = &finished.totals.triggers;
    if triggers.done == 0 {
        return Vec::new();
    }
    let has_due_times = !matches!(finished.plan.model(), Model::Closed { pace: None, .. });
    let heads = ["Triggers", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let measured: &[_] = match has_due_times {
        true => &[("  service, from start", &triggers.service), ("  response, from due", &triggers.response)],
        false => &[("  duration", &triggers.service)],
    };
    for (label, histogram) in measured {
        let mut row = vec![(*label).to_owned()];
        row.extend(quantiles(histogram, &[0.5, 0.9, 0.95, 0.99, 0.999, 1.0]));
        rows.push(row);
    }
    let mut lines = page.table(&rows, &[0]);
    if let Some(split) = pauses::split(triggers) {
        lines.extend(page.said("time", &split));
    }
    if triggers.failed > 0 {
        let (failed, all) = (triggers.failed, triggers.done.saturating_add(triggers.interrupted));
        let share = format!("{} of {} ({})", count(failed), counted(all, "trigger"), percent(failed, all));
        let panicked = match triggers.panicked {
            0 => String::new(),
            panicked => format!(", {} by a panic", count(panicked)),
        };
        lines.extend(page.said("failed", &(share + &panicked)));
    }
    lines
}
