//! Tags of triggers: counts of values, and distributions of numbers.

use super::{ROWS, more, table};
use crate::engine::snapshot::Snapshot;
use crate::engine::tags::{KEYS, Tag};
use crate::report::Page;
use crate::report::figures::FIGURES;
use crate::report::tags::{other, other_values, spreads, values};
use crate::report::text::clean;
use crate::report::units::{count, counted, number, percent};

/// Number of values of a key in the summary.
const VALUES: usize = 10;

pub(super) fn lines(page: Page, totals: &Snapshot) -> Vec<String> {
    let (distributions, counts): (Vec<_>, Vec<_>) = totals.tags.iter().partition(|(_, tag)| tag.is_distribution());
    let mut lines = table(page, &["Tags", "count", "share", "failed"], rows_of_values(&counts), &[0]);
    let rows = distributions.iter().flat_map(|(key, tag)| spreads(&clean(key), tag)).map(|(name, spread)| {
        let figures = spread.figures.map(number);
        [format!("  {name}"), count(spread.count)].into_iter().chain(figures).collect()
    });
    let mut heads = vec!["Tags, as numbers", "count"];
    heads.extend(FIGURES);
    let numbers = table(page, &heads, rows, &[0]);
    if !lines.is_empty() && !numbers.is_empty() {
        lines.push(String::new());
    }
    lines.extend(numbers);
    lines.extend(beyond(totals).iter().flat_map(|beyond| page.wrap("  ", 2, beyond)));
    lines
}

/// Describes tags of further keys, which are only counted.
pub(in crate::report) fn beyond(totals: &Snapshot) -> Option<String> {
    let beyond = totals.tags.beyond();
    (beyond > 0).then(|| format!("{} under further keys: {KEYS} keys are told apart", counted(beyond, "tag")))
}

/// Returns the values of each key, the most frequent first.
fn rows_of_values(tags: &[(&str, &Tag)]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (key, tag) in tags {
        let values = values(tag);
        let shown = values.iter().take(VALUES).map(|(value, counts)| (shown(value), *counts));
        for (name, counts) in shown.chain(other(tag).map(|other| (other_values(), other))) {
            let (all, failed) = (counts.all(), percent(counts.failed, counts.all()));
            rows.push(vec![format!("  {}: {name}", clean(key)), count(all), percent(all, tag.count(None)), failed]);
        }
        rows.extend(more(VALUES, values.len(), "value").map(|more| vec![more]));
    }
    let all = rows.len() + 1;
    if all > 2 * ROWS {
        rows.truncate(2 * ROWS - 1);
        rows.extend(more(2 * ROWS, all, "row").map(|more| vec![more]));
    }
    rows
}

/// Returns a value for display. An empty one is shown as quotes.
fn shown(value: &str) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { clean(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagify;

    fn said(totals: &Snapshot) -> String {
        lines(Page::new(100, false), totals).join("\n")
    }

    #[test]
    fn values_are_counted_and_numbers_are_distributions() {
        let mut totals = Snapshot::default();
        for number in 0..1000 {
            let is_failed = number % 4 == 0;
            let tags =
                [("status", if is_failed { "500" } else { "200" }.to_owned()), ("size", (number - 10).to_string())];
            totals.tags.record(&tagify(tags), is_failed);
        }
        totals.tags.record(&tagify([("cache", "")]), false);
        let said = said(&totals);
        for line in [
            "Tags           count  share  failed",
            "  cache: \"\"        1   100%      0%",
            "  status: 200    750    75%      0%",
            "  status: 500    250    25%    100%",
            "Tags, as numbers  count  avg  min  p50  p90  p95  p99  p99.9  max",
            "  size            1,000  490  -10  489  889  939  979",
            "  size, passed      750  490   -9",
            "  size, failed      250  488  -10",
        ] {
            assert!(said.contains(line), "no {line:?} in\n{said}");
        }
    }

    #[test]
    fn omitted_values_and_keys_are_reported() {
        let mut totals = Snapshot::default();
        for number in 0..200 {
            totals.tags.record(&tagify([("w", format!("w{number}")), (&format!("k{number}"), "x".to_owned())]), true);
        }
        let said = said(&totals);
        for line in [
            "w: (other values, beyond 100)    100",
            "… and 90 more values",
            "151 tags under further keys: 50 keys are told apart",
        ] {
            assert!(said.contains(line), "no {line:?} in\n{said}");
        }
        assert!(said.lines().count() <= 2 * ROWS + 3);
    }
}
