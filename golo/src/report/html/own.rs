//! Tables of metrics of the load test's own, of groups, and of tags of requests.

use super::Table;
use super::table::{Cell, heads};
use super::tables::{share, time};
use crate::engine::metrics::{MetricKind, Value};
use crate::report::figures::{FIGURES, figures};
use crate::report::own;
use crate::report::text::clean;
use crate::report::units::{count, number, percent};
use crate::report::{Document, RateTime};

/// Returns a table for each kind of metric that there is.
pub(super) fn metrics(document: &Document<'_>) -> Vec<Table> {
    let metrics = own::metrics(&document.outcome.finished.totals);
    let tables = [
        (MetricKind::Counter, "Counters", "Counter", &["sum", "per second"][..]),
        (MetricKind::Gauge, "Gauges", "Gauge", &["last", "min", "max"]),
        (MetricKind::Trend, "Trends", "Trend", &["count", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"]),
        (MetricKind::Rate, "Rates", "Rate", &["rate", "true", "of"]),
    ];
    let table = |(kind, caption, head, numbers): (MetricKind, &'static str, &'static str, &[&'static str])| {
        let of_kind = metrics.iter().filter(|metric| metric.kind == kind);
        let rows = of_kind.flat_map(|metric| {
            let row = |tags: &str, value: &Value| {
                let unit = metric.unit.map(clean).unwrap_or_default();
                let mut row = vec![Cell::text(metric.name), Cell::text(tags), Cell::text(unit)];
                row.extend(cells(value, document.rates));
                row
            };
            let total = row("", &metric.total);
            std::iter::once(total).chain(metric.by_tags.iter().map(move |(tags, value)| row(tags, value)))
        });
        let mut table = Table::new(caption, heads([head, "Tags", "Unit"], numbers), rows.collect());
        table.is_sortable = true;
        table.unless_empty()
    };
    tables.into_iter().filter_map(table).collect()
}

/// Returns the cells of a value.
fn cells(value: &Value, rates: RateTime) -> Vec<Cell> {
    let shown =
        |figure: Option<f64>| figure.map_or_else(|| Cell::text("-"), |figure| Cell::number(number(figure), figure));
    match value {
        Value::Counter(sum) => {
            let rated = if rates.counts_after_load { sum.sum() } else { sum.sum() - sum.after_load() };
            let rate = rates.number_per_second(rated);
            vec![shown(Some(sum.sum())), Cell::number(number(rate) + "/s", rate)]
        }
        Value::Gauge(level) => [level.last, level.min, level.max].map(|figure| shown(Some(figure))).into(),
        Value::Trend(numbers) => {
            let mut cells = vec![Cell::number(count(numbers.count()), numbers.count())];
            cells.extend(own::figures(numbers).map(shown));
            cells
        }
        Value::Rate(of) => vec![
            Cell::number(percent(of.part, of.of), share(of.part, of.of)),
            Cell::number(count(of.part), of.part),
            Cell::number(count(of.of), of.of),
        ],
        Value::Group(_) => Vec::new(),
    }
}

/// Returns the durations of groups.
pub(super) fn groups(document: &Document<'_>) -> Option<Table> {
    let rows = own::groups(&document.outcome.finished.totals).into_iter().map(|(name, group)| {
        let all = group.durations.count();
        let mut row = vec![
            Cell::text(name),
            Cell::number(count(all), all),
            Cell::number(percent(group.failed, all), share(group.failed, all)).bad_if(group.failed > 0),
            Cell::number(count(group.interrupted), group.interrupted),
        ];
        row.extend(figures(&group.durations).map(time));
        row
    });
    let mut numbers = vec!["count", "failed", "cut off"];
    numbers.extend(FIGURES);
    Table::new("Durations of groups, the most time spent first", heads(["Group"], &numbers), rows.collect())
        .unless_empty()
}

/// Returns the requests by each value of their tags.
pub(super) fn request_tags(document: &Document<'_>) -> Option<Table> {
    let rows = own::request_tags(&document.outcome.finished.totals).into_iter().map(|((key, value), requests)| {
        let (all, failed, tried) = (requests.count(), requests.failed(), requests.tried());
        let mut row = vec![
            Cell::text(clean(key)),
            Cell::text(clean(value)),
            Cell::number(count(all), all),
            Cell::number(percent(failed, tried), share(failed, tried)).bad_if(failed > 0),
        ];
        row.extend(figures(&requests.all.durations).map(time));
        row
    });
    let mut numbers = vec!["count", "failed"];
    numbers.extend(FIGURES);
    let mut table =
        Table::new("Requests by each value of their tags", heads(["Tag", "Value"], &numbers), rows.collect());
    table.is_sortable = true;
    table.unless_empty()
}
