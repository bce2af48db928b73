//! Facts of the page's head: the main figures, and the run.

use crate::report::document::GOLO;
use crate::report::facts::{Fact, took};
use crate::report::figures::figures;
use crate::report::units::{count, nanoseconds, per_second, percent};
use crate::report::{Document, change};

/// Returns the figures that most readers look for first.
pub(super) fn tiles(document: &Document<'_>) -> Vec<Fact> {
    let total = &document.requests.routes.total;
    if total.count() == 0 {
        return Vec::new();
    }
    let [_, _, p50, _, p95, p99, _, max] = figures(&total.all.durations).map(nanoseconds);
    let mut tiles = vec![
        Fact::new("requests", count(total.count())),
        Fact::new("failed", percent(total.failed(), total.tried())).bad_if(total.failed() > 0),
        Fact::new("requests a second", per_second(total.per_second(document.rates))),
        Fact::new("p50", p50),
        Fact::new("p95", p95),
        Fact::new("p99", p99),
        Fact::new("max", max),
    ];
    if let Some(apart) = total.apart() {
        let [passed, failed] = apart.map(|durations| nanoseconds(durations.quantile(0.95)));
        tiles.extend([Fact::new("p95 of passed", passed), Fact::new("p95 of failed", failed)]);
    }
    tiles
}

pub(super) fn run(document: &Document<'_>) -> Vec<Fact> {
    let finished = &document.outcome.finished;
    let mut facts = vec![Fact::new("plan", finished.plan.to_string())];
    facts.extend(document.requests.only_origin().map(|origin| Fact::new("target", origin)));
    if let Some(started_at) = document.started_at() {
        facts.push(Fact::new("started", moment(&started_at)));
        facts.push(Fact::new("took", took(finished.load_time, finished.whole_time, "")));
    }
    facts.extend(change::fact(&document.outcome.changes));
    facts.push(Fact::new("workers", count(finished.options.workers as u64)));
    facts.push(Fact::new("seed", finished.options.seed.to_string()));
    facts.push(Fact::new("golo", GOLO));
    facts
}

/// Converts `2026-11-25T09:46:40.123Z` to `2026-11-25 09:46:40 UTC`.
fn moment(rfc_3339: &str) -> String {
    match (rfc_3339.get(..10), rfc_3339.get(11..19), rfc_3339.ends_with('Z')) {
        (Some(day), Some(time), true) => format!("{day} {time} UTC"),
        _ => rfc_3339.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn start_time_is_shown_without_fractions() {
        assert_eq!(moment("2026-11-25T09:46:40.123456789Z"), "2026-11-25 09:46:40 UTC");
        assert_eq!(moment("2026-11-25T09:46:40+01:00"), "2026-11-25T09:46:40+01:00");
        assert_eq!(moment("soon"), "soon");
    }

    #[test]
    fn end_of_last_trigger_is_shown_if_it_differs_from_load_time() {
        let load = Duration::from_secs(10);
        assert_eq!(took(load, load, ""), "10s");
        assert_eq!(took(load, load + load / 20, ""), "10s; the last trigger ended at 10.5s");
    }
}
