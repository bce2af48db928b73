//! Triggers of each scenario, if a load test has several.

use super::table;
use crate::engine::Finished;
use crate::report::Page;
use crate::report::figures::quantiles;
use crate::report::scenarios::rows;
use crate::report::text::clean;
use crate::report::units::{count, nanoseconds, per_second, percent};

pub(super) fn lines(page: Page, finished: &Finished) -> Vec<String> {
    let heads = ["Scenarios", "count", "failed", "rate", "p50", "p95", "p99", "max"];
    let rows = rows(finished).into_iter().map(|row| {
        let tried = row.triggers.done.saturating_add(row.triggers.interrupted);
        let amounts = [count(row.triggers.done), percent(row.triggers.failed, tried), per_second(row.rate)];
        let figures = quantiles(&row.triggers.service, [0.5, 0.95, 0.99, 1.0]).map(nanoseconds);
        std::iter::once(format!("  {}", clean(row.name))).chain(amounts).chain(figures).collect()
    });
    table(page, &heads, rows, &[0])
}
