//! Tags of triggers: counts of values, and distributions of numbers.

use super::{ROWS, more};
use crate::{
    engine::{snapshot::Snapshot, tags::KEYS},
    report::{
        Page,
        document::{Tag, Tags, other_values},
        text::clean,
        units::{count, counted, number, percent},
    },
};

/// Number of values of a key in the summary.
const VALUES: usize = 10;

pub(super) fn lines(page: Page, totals: &Snapshot) -> Vec<String> {
    let tags = Tags::of(&totals.tags);
    let (distributions, counts): (Vec<_>, Vec<_>) = tags.keys.iter().partition(|tag| tag.is_distribution);
    let mut lines = Vec::new();
    if !counts.is_empty() {
        lines.extend(page.table(&values(&counts), &[0]));
    }
    if !distributions.is_empty() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(page.table(&numbers(&distributions), &[0]));
    }
    if tags.beyond > 0 {
        let beyond = counted(tags.beyond, "tag");
        lines.extend(page.wrap("  ", 2, &format!("{beyond} under further keys: {KEYS} keys are told apart")));
    }
    lines
}

/// Returns the values of each key, the most frequent first.
fn values(tags: &[&Tag<'_>]) -> Vec<Vec<String>> {
    let mut rows = vec![["Tags", "count", "share", "failed"].map(str::to_owned).to_vec()];
    for tag in tags {
        let shown = tag.values.iter().take(VALUES).map(|value| (shown(value.value), value));
        let other = tag.other.iter().map(|other| (other_values(), other));
        for (name, value) in shown.chain(other) {
            let (all, failed) = (value.count(), percent(value.failed, value.count()));
            let name = format!("  {}: {name}", clean(tag.key));
            rows.push(vec![name, count(all), percent(all, tag.count()), failed]);
        }
        rows.extend(more(VALUES, tag.values.len(), "value").map(|more| vec![more]));
    }
    let all = rows.len();
    if all > 2 * ROWS {
        rows.truncate(2 * ROWS);
        rows.extend(more(2 * ROWS, all, "row").map(|more| vec![more]));
    }
    rows
}

/// Returns a value for display. An empty one is shown as quotes.
fn shown(value: &str) -> String {
    if value.is_empty() { "\"\"".to_owned() } else { clean(value) }
}

/// Returns the distributions of keys with numeric values, and those by outcome if there are both.
fn numbers(tags: &[&Tag<'_>]) -> Vec<Vec<String>> {
    let heads = ["Tags, as numbers", "count", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for tag in tags {
        let key = clean(tag.key);
        let mut spreads = vec![(format!("  {key}"), tag.numbers)];
        if tag.passed > 0 && tag.failed > 0 {
            spreads.push((format!("  {key}, passed"), tag.numbers_passed));
            spreads.push((format!("  {key}, failed"), tag.numbers_failed));
        }
        for (name, spread) in spreads.into_iter().filter_map(|(name, spread)| Some((name, spread?))) {
            let mut row = vec![name, count(spread.count)];
            row.extend(spread.figures().map(number));
            rows.push(row);
        }
    }
    rows
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
