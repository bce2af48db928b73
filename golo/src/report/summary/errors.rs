//! Checks, statuses, and errors by kind.

use super::{ROWS, more, table};
use crate::engine::snapshot::Snapshot;
use crate::metrics::check::Check;
use crate::report::Page;
use crate::report::requests::Requests;
use crate::report::text::clean;
use crate::report::units::{count, duration, percent};

/// Maximum number of error texts in the summary.
const ERRORS: usize = 20;

/// Returns the checks, those that failed most first.
pub(in crate::report) fn checks_by_failures(totals: &Snapshot) -> Vec<(&str, &Check)> {
    let mut checks: Vec<_> = totals.checks.iter().map(|(name, check)| (&**name, check)).collect();
    checks.sort_by_key(|(_, check)| std::cmp::Reverse(check.failed));
    checks
}

pub(super) fn checks(page: Page, totals: &Snapshot) -> Vec<String> {
    let checks = checks_by_failures(totals);
    let rows = checks.iter().take(ROWS).map(|(name, check)| {
        let share = percent(check.failed, check.passed.saturating_add(check.failed));
        vec![format!("  {}", clean(name)), count(check.passed), count(check.failed), share]
    });
    let mut lines = table(page, &["Checks", "passed", "failed", ""], rows, &[0]);
    lines.extend(more(ROWS, checks.len(), "check"));
    lines
}

/// Returns the count of each status.
pub(super) fn statuses(page: Page, requests: &Requests) -> Vec<String> {
    let total = requests.routes.total.count();
    let rows = requests.statuses.iter().take(ROWS).map(|(&(status, is_failed), &number)| {
        let failed = if is_failed { "failed" } else { "" };
        vec![format!("  {status}"), count(number), percent(number, total), failed.to_owned()]
    });
    let mut lines = table(page, &["Status", "count", "", ""], rows, &[0, 3]);
    lines.extend(more(ROWS, requests.statuses.len(), "code"));
    lines
}

/// Returns the errors, the most frequent first.
pub(super) fn errors(page: Page, totals: &Snapshot) -> Vec<String> {
    let errors = totals.errors.by_count();
    let rows = errors
        .iter()
        .take(ERRORS)
        .map(|(kind, text, seen)| vec![format!("  {kind}"), count(seen.count), duration(seen.first), clean(text)]);
    let mut lines = table(page, &["Errors", "count", "first at", ""], rows, &[0, 3]);
    lines.extend(more(ERRORS, errors.len(), "error"));
    lines
}
