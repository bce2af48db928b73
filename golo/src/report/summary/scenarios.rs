//! Triggers of each scenario, if a load test has several.

use super::table;
use crate::engine::Finished;
use crate::report::Page;
use crate::report::figures::{FIGURES, figures};
use crate::report::scenarios::rows;
use crate::report::text::clean;
use crate::report::units::{count, nanoseconds, per_second, percent};

pub(super) fn lines(page: Page, finished: &Finished) -> Vec<String> {
    let mut heads = vec!["Scenarios", "count", "failed", "rate"];
    heads.extend(FIGURES);
    let rows = rows(finished).into_iter().map(|row| {
        let tried = row.triggers.done.saturating_add(row.triggers.interrupted);
        let amounts = [count(row.triggers.done), percent(row.triggers.failed, tried), per_second(row.rate)];
        let figures = figures(&row.triggers.service).map(nanoseconds);
        std::iter::once(format!("  {}", clean(row.name))).chain(amounts).chain(figures).collect()
    });
    table(page, &heads, rows, &[0])
}
