//! Durations of triggers, from their start and from their due time.

use super::table;
use crate::engine::Finished;
use crate::engine::plan::{Load, Plan};
use crate::report::facts::{Fact, failed_triggers};
use crate::report::figures::{FIGURES, figures};
use crate::report::units::nanoseconds;
use crate::report::{Page, pauses};

pub(super) fn lines(page: Page, finished: &Finished) -> Vec<String> {
    let triggers = &finished.totals.triggers;
    if triggers.done == 0 {
        return Vec::new();
    }
    let measured: &[_] = match has_due_times(&finished.plan) {
        true => &[("  service, from start", &triggers.service), ("  response, from due", &triggers.response)],
        false => &[("  duration", &triggers.service)],
    };
    let rows = measured.iter().map(|(label, histogram)| {
        let figures = figures(histogram).into_iter().skip(2).map(nanoseconds);
        std::iter::once((*label).to_owned()).chain(figures).collect()
    });
    let mut heads = vec!["Triggers"];
    heads.extend(&FIGURES[2..]);
    let mut lines = table(page, &heads, rows, &[0]);
    let split = pauses::split(triggers).map(|split| Fact::new("time", split));
    lines.extend(split.into_iter().chain(failed_triggers(triggers)).flat_map(|fact| page.said(fact.label, &fact.text)));
    lines
}

/// Returns true if triggers have a due time: unless users start again as soon as they are done.
pub(in crate::report) fn has_due_times(plan: &Plan) -> bool {
    !plan.loads().iter().all(Load::is_unpaced)
}
