//! Checks, statuses, and errors by kind.

use super::{ROWS, more, requests::Requests};
use crate::{
    engine::snapshot::Snapshot,
    report::{
        Page,
        text::clean,
        units::{count, duration, percent},
    },
};

/// Maximum number of error texts in the summary.
const ERRORS: usize = 20;

/// Returns the checks, those that failed most first.
pub(super) fn checks(page: Page, totals: &Snapshot) -> Vec<String> {
    if totals.checks.is_empty() {
        return Vec::new();
    }
    let mut checks: Vec<_> = totals.checks.iter().collect();
    checks.sort_by_key(|(_, check)| std::cmp::Reverse(check.failed));
    let mut rows = vec![["Checks", "passed", "failed", ""].map(str::to_owned).to_vec()];
    for (name, check) in checks.iter().take(ROWS) {
        let share = percent(check.failed, check.passed.saturating_add(check.failed));
        rows.push(vec![format!("  {}", clean(name)), count(check.passed), count(check.failed), share]);
    }
    let mut lines = page.table(&rows, &[0]);
    lines.extend(more(ROWS, checks.len(), "check"));
    lines
}

/// Returns the count of each status.
pub(super) fn statuses(page: Page, requests: &Requests) -> Vec<String> {
    if requests.statuses.is_empty() {
        return Vec::new();
    }
    let total = requests.total.count();
    let mut rows = vec![["Status", "count", "", ""].map(str::to_owned).to_vec()];
    for (&(status, is_failed), &number) in requests.statuses.iter().take(ROWS) {
        let failed = if is_failed { "failed" } else { "" };
        rows.push(vec![format!("  {status}"), count(number), percent(number, total), failed.to_owned()]);
    }
    let mut lines = page.table(&rows, &[0, 3]);
    lines.extend(more(ROWS, requests.statuses.len(), "code"));
    lines
}

/// Returns the errors, the most frequent first.
pub(super) fn lines(page: Page, totals: &Snapshot) -> Vec<String> {
    if totals.errors.is_empty() {
        return Vec::new();
    }
    let errors = totals.errors.by_count();
    let mut rows = vec![["Errors", "count", "first at", ""].map(str::to_owned).to_vec()];
    for (kind, text, seen) in errors.iter().take(ERRORS) {
        rows.push(vec![format!("  {kind}"), count(seen.count), duration(seen.first), clean(text)]);
    }
    let mut lines = page.table(&rows, &[0, 3]);
    lines.extend(more(ERRORS, errors.len(), "error"));
    lines
}
