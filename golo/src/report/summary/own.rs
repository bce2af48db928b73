//! Metrics of the load test's own, groups, and tags of requests.

use super::{ROWS, more, table};
use crate::engine::metrics::{MetricKind, Value};
use crate::engine::snapshot::Snapshot;
use crate::report::own::{Own, figures, groups, metrics, notes, request_tags};
use crate::report::text::clean;
use crate::report::units::{count, counted, nanoseconds, number, percent};
use crate::report::{Page, RateTime};

/// Number of rows by tags of a metric.
const BY_TAGS: usize = 10;

/// Title of the table of a kind, its heads, and the kind.
const TABLES: [(MetricKind, &[&str]); 4] = [
    (MetricKind::Counter, &["Metrics: counters", "unit", "sum", "per second"]),
    (MetricKind::Gauge, &["Metrics: gauges", "unit", "last", "min", "max"]),
    (MetricKind::Trend, &["Metrics: trends", "unit", "count", "avg", "min", "p50", "p95", "p99", "max"]),
    (MetricKind::Rate, &["Metrics: rates", "rate", "true", "of"]),
];

/// Returns a table of the metrics of each kind.
pub(super) fn own_metrics(page: Page, totals: &Snapshot, rates: RateTime) -> Vec<String> {
    let metrics = metrics(totals);
    let mut lines: Vec<String> = Vec::new();
    for (kind, heads) in TABLES {
        let of_kind = metrics.iter().filter(|metric| metric.kind == kind);
        let mut rows: Vec<_> = of_kind.flat_map(|metric| rows(metric, rates)).collect();
        let all = rows.len();
        rows.truncate(2 * ROWS);
        let texts: &[usize] = if kind == MetricKind::Rate { &[0] } else { &[1, 0] };
        let table = table(page, heads, rows, texts);
        if !lines.is_empty() && !table.is_empty() {
            lines.push(String::new());
        }
        lines.extend(table);
        lines.extend(more(2 * ROWS, all, "row"));
    }
    let notes = notes(totals);
    if lines.is_empty() && !notes.is_empty() {
        lines.push("Metrics and tags".to_owned());
    }
    lines.extend(notes.iter().flat_map(|note| page.wrap("  ", 2, note)));
    lines
}

/// Returns the row of a metric, and one for each of its tags.
fn rows(metric: &Own<'_>, rates: RateTime) -> Vec<Vec<String>> {
    let unit = metric.unit.map(clean).unwrap_or_default();
    let row = |name: String, unit: &str, value: &Value| {
        let mut row = vec![name];
        row.extend((metric.kind != MetricKind::Rate).then(|| unit.to_owned()));
        row.extend(cells(value, rates));
        row
    };
    let mut rows = vec![row(format!("  {}", metric.name), &unit, &metric.total)];
    let by_tags = metric.by_tags.iter().take(BY_TAGS);
    rows.extend(by_tags.map(|(tags, value)| row(format!("    {tags}"), "", value)));
    rows.extend(more(BY_TAGS, metric.by_tags.len(), "set of tags").map(|more| vec![more]));
    rows
}

/// Returns the figures of a value.
fn cells(value: &Value, rates: RateTime) -> Vec<String> {
    let shown = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), number);
    match value {
        Value::Counter(sum) => {
            let rated = if rates.counts_after_load { sum.sum() } else { sum.sum() - sum.after_load() };
            vec![number(sum.sum()), number(rates.number_per_second(rated)) + "/s"]
        }
        Value::Gauge(level) => [level.last, level.min, level.max].map(number).into(),
        Value::Trend(numbers) => {
            let [avg, min, p50, _, p95, p99, _, max] = figures(numbers);
            let mut cells = vec![count(numbers.count())];
            cells.extend([avg, min, p50, p95, p99, max].map(shown));
            cells
        }
        Value::Rate(share) => vec![percent(share.part, share.of), count(share.part), count(share.of)],
        Value::Group(_) => Vec::new(),
    }
}

/// Returns the durations of groups.
pub(super) fn own_groups(page: Page, totals: &Snapshot) -> Vec<String> {
    let groups = groups(totals);
    let rows = groups.iter().take(ROWS).map(|(name, group)| {
        let durations = &group.durations;
        let quantiles = durations.quantiles(&[0.5, 0.95, 0.99]);
        let mut row = vec![format!("  {name}"), count(durations.count()), percent(group.failed, durations.count())];
        row.push(nanoseconds(durations.mean().map(|mean| mean as u64)));
        row.extend(quantiles.into_iter().chain([durations.max()]).map(nanoseconds));
        row
    });
    let mut lines = table(page, &["Groups", "count", "failed", "avg", "p50", "p95", "p99", "max"], rows, &[0]);
    lines.extend(more(ROWS, groups.len(), "group"));
    let interrupted = groups.iter().fold(0, |sum: u64, (_, group)| sum.saturating_add(group.interrupted));
    if interrupted > 0 {
        let were = if interrupted == 1 { "was" } else { "were" };
        let cut = format!("{} {were} cut off by the end of the run: in no count", counted(interrupted, "group"));
        lines.extend(page.wrap("  ", 2, &cut));
    }
    lines
}

/// Returns the requests by each value of their tags.
pub(super) fn own_tags(page: Page, totals: &Snapshot) -> Vec<String> {
    let tags = request_tags(totals);
    let rows = tags.iter().take(2 * ROWS).map(|((key, value), requests)| {
        let name = format!("  {}: {}", clean(key), if value.is_empty() { "\"\"".to_owned() } else { clean(value) });
        let mut row = vec![name, count(requests.count()), percent(requests.failed(), requests.tried())];
        row.extend(requests.all.durations.quantiles(&[0.5, 0.95, 0.99]).into_iter().map(nanoseconds));
        row
    });
    let mut lines = table(page, &["Tags of requests", "count", "failed", "p50", "p95", "p99"], rows, &[0]);
    lines.extend(more(2 * ROWS, tags.len(), "value"));
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::engine::metrics::{Durations, Level, Refusal, Share, Sum};
    use crate::engine::series::{Label, Outcome, Series, TagPairs};
    use crate::engine::tags::Numbers;

    fn tags(pairs: &[(&str, &str)]) -> TagPairs {
        pairs.iter().copied().collect()
    }

    fn page() -> Page {
        Page::new(80, false)
    }

    #[test]
    fn metrics_have_a_table_for_each_kind_and_rows_for_their_tags() {
        let mut totals = Snapshot::default();
        let mut numbers = Numbers::default();
        (1..=100).for_each(|n| assert!(numbers.record_number(f64::from(n) / 4.0)));
        let (north, south) = (tags(&[("shop", "north")]), tags(&[("shop", "south")]));
        let mut add = |name, unit, tags: &TagPairs, value| totals.metrics.add(name, unit, Some(tags), &value);
        let sum = |millionths| Value::Counter(Sum { count: 1, millionths, after_load: 0 });
        add("revenue", Some("EUR"), &north, sum(1_500_000_000));
        add("revenue", None, &south, sum(250_000));
        let none = TagPairs::default();
        add("queue", None, &none, Value::Gauge(Level { count: 2, last: 7.0, min: -1.5, max: 12.0, at: 1 }));
        add("cart_value", Some("EUR"), &none, Value::Trend(numbers));
        add("cache_hits", None, &none, Value::Rate(Share { part: 3, of: 4 }));
        totals.metrics.refuse("cart_value", Refusal::OtherKind, 2);
        totals.tags_beyond = 1234;
        let said = own_metrics(page(), &totals, RateTime::load(Duration::from_secs(10))).join("\n");
        assert_eq!(
            said,
            "\
Metrics: counters  unit    sum  per second
  revenue          EUR   1,500       150/s
    shop:north           1,500       150/s
    shop:south            0.25     0.025/s

Metrics: gauges  unit  last   min  max
  queue                   7  -1.5   12

Metrics: trends  unit  count   avg   min   p50   p95   p99  max
  cart_value     EUR     100  12.6  0.25  12.5  23.8  24.7   25

Metrics: rates  rate  true  of
  cache_hits     75%     3   4
  1,234 tags have the value `other`: 1,000 sets of tags are told apart
  2 values of `cart_value` refused: a metric of another kind has this name"
        );
        assert!(own_metrics(page(), &Snapshot::default(), RateTime::all(Duration::ZERO)).is_empty());
    }

    #[test]
    fn groups_and_tags_have_a_row_for_each_value() {
        let mut totals = Snapshot::default();
        for (name, tenant, nanos) in
            [("checkout", "blue", 5_000_000), ("checkout", "green", 7_000_000), ("browse", "blue", 1_000)]
        {
            let mut durations = Durations { failed: 1, interrupted: 1, ..Durations::default() };
            durations.durations.record_n(nanos, 4);
            let of = tags(&[("group", name), ("tenant", tenant)]);
            totals.metrics.add("group_duration", None, Some(&of), &Value::Group(durations));
            let label = Arc::new(Label::new("http://h", "/", "GET").with_tags(of));
            for (outcome, number) in [(Outcome::Answered { status: 200, failed: false }, 3), (Outcome::Interrupted, 1)]
            {
                let series = Series { label: Arc::clone(&label), outcome };
                totals.requests.entry(series).or_default().durations.record_n(nanos, number);
            }
        }
        assert_eq!(
            own_groups(page(), &totals).join("\n"),
            "\
Groups      count  failed  avg  p50  p95  p99  max
  checkout      8     25%  6ms  5ms  7ms  7ms  7ms
  browse        4     25%  1µs  1µs  1µs  1µs  1µs
  3 groups were cut off by the end of the run: in no count"
        );
        assert_eq!(
            own_tags(page(), &totals).join("\n"),
            "\
Tags of requests   count  failed  p50  p95  p99
  group: browse        3      0%  1µs  1µs  1µs
  group: checkout      6      0%  5ms  7ms  7ms
  tenant: blue         6      0%  1µs  5ms  5ms
  tenant: green        3      0%  7ms  7ms  7ms"
        );
        let requests = crate::report::requests::Requests::of(&totals);
        assert_eq!(requests.routes.named.len(), 1, "one row for a route with several tags");
        assert_eq!(requests.routes.named[0].2.count(), 9);
    }
}
