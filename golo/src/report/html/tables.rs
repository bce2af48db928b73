//! The tables of the page.

use super::Table;
use super::table::{Cell, Head, heads};
use crate::engine::histogram::Histogram;
use crate::metrics::output;
use crate::report::facts::Tone;
use crate::report::figures::{FIGURES, figures};
use crate::report::requests::Routes;
use crate::report::route::Route;
use crate::report::scenarios::rows;
use crate::report::summary::{are_shown, checks_by_failures, has_due_times};
use crate::report::tags::{other, other_values, spreads, values};
use crate::report::text::clean;
use crate::report::timeline::TimedPoint;
use crate::report::units::{bytes, count, nanoseconds, number, per_second, percent, rate};
use crate::report::{self, Document};

pub(super) fn thresholds(document: &Document<'_>) -> Option<Table> {
    let rows = document.outcome.thresholds.iter().map(|judged| {
        let (word, tone) = if judged.passed { ("✓ passed", Tone::Good) } else { ("✗ failed", Tone::Bad) };
        let said = [judged.threshold.to_string(), judged.said()].map(|text| Cell::text(clean(&text)));
        std::iter::once(Cell::text(word).toned(tone)).chain(said).collect()
    });
    let heads = heads(["Verdict", "Threshold", "Actual"], &[]);
    Table::new("Thresholds, and what each came to", heads, rows.collect()).unless_empty()
}

/// Returns the table of requests.
pub(super) fn routes(document: &Document<'_>) -> Option<Table> {
    let caption = "Requests by route, the most time spent first";
    amounts_table(caption, "Route", &document.requests.routes, document)
}

/// Returns the table of measured steps. They are not requests.
pub(super) fn steps(document: &Document<'_>) -> Option<Table> {
    amounts_table("Measured steps, the most time spent first", "Step", &document.requests.steps, document)
}

fn amounts_table(caption: &'static str, head: &'static str, routes: &Routes, document: &Document<'_>) -> Option<Table> {
    let row = |name: &str, route: &Route| {
        let (number, failed, all) = (route.count(), route.failed(), route.tried());
        let rate = route.per_second(document.rates);
        let mut row = vec![
            Cell::text(name),
            Cell::number(count(number), number),
            Cell::number(percent(failed, all), share(failed, all)).bad_if(failed > 0),
            Cell::number(per_second(rate), rate),
            Cell::number(bytes(route.all.received), route.all.received),
        ];
        row.extend(figures(&route.all.durations).map(time));
        // The table has these two columns only if one of its rows needs them.
        let apart = route.apart().map(|apart| apart.map(|durations| durations.quantile(0.95)));
        row.extend(apart.unwrap_or_default().map(time));
        row
    };
    let mut numbers = vec!["count", "failed", "rate", "received"];
    numbers.extend(FIGURES);
    if routes.total.apart().is_some() || routes.rows().any(|(_, route)| route.apart().is_some()) {
        numbers.extend(["p95 of passed", "p95 of failed"]);
    }
    let rows = routes.rows().map(|(name, route)| row(name, route)).collect();
    let mut table = Table::new(caption, heads([head], &numbers), rows);
    table.total = Some(row("total", &routes.total));
    table.is_sortable = true;
    table.unless_empty()
}

pub(super) fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// Returns the cell of a duration, which is sorted by its nanoseconds.
pub(super) fn time(nanos: Option<u64>) -> Cell {
    Cell::number(nanoseconds(nanos), nanos.map_or_else(String::new, |nanos| nanos.to_string()))
}

/// Returns the heads of a table of distributions.
fn heads_of_figures(text: &'static str) -> Vec<Head> {
    let mut numbers = vec!["count"];
    numbers.extend(FIGURES);
    heads([text], &numbers)
}

/// Returns a row of a table of distributions.
fn row_of_figures(name: &str, durations: &Histogram) -> Vec<Cell> {
    let mut row = vec![Cell::text(name), Cell::number(count(durations.count()), durations.count())];
    row.extend(figures(durations).map(time));
    row
}

/// Returns the phases of all requests.
pub(super) fn phases(document: &Document<'_>) -> Option<Table> {
    let rows = report::phases::rows(&document.requests.routes.total.phases)?;
    let rows = rows.iter().map(|(name, durations)| row_of_figures(name, durations)).collect();
    Table::new("Phases of all requests", heads_of_figures("Phase"), rows).unless_empty()
}

/// Returns the durations of triggers, from their start and from their due time, and those of requests for comparison.
pub(super) fn triggers(document: &Document<'_>) -> Option<Table> {
    let (finished, requests) = (&document.outcome.finished, &document.requests);
    let (triggers, waits) = (&finished.totals.triggers, finished.totals.waits());
    let mut measured = match has_due_times(&finished.plan) {
        false => vec![("triggers", &triggers.service)],
        true => vec![
            ("triggers: service, from start", &triggers.service),
            ("triggers: response, from due", &triggers.response),
        ],
    };
    measured.extend([
        ("requests, whole", &requests.routes.total.all.durations),
        ("requests, to the headers", &waits),
        ("measured steps", &requests.steps.total.all.durations),
    ]);
    let all = measured.into_iter().filter(|(_, durations)| !durations.is_empty());
    let rows = all.map(|(name, durations)| row_of_figures(name, durations)).collect();
    Table::new("Latencies of triggers and of requests", heads_of_figures("Latency of"), rows).unless_empty()
}

/// Returns the triggers of each scenario, if there are several.
pub(super) fn scenarios(document: &Document<'_>) -> Option<Table> {
    let rows = rows(&document.outcome.finished).into_iter().map(|row| {
        let triggers = row.triggers;
        let (failed, tried) = (triggers.failed, triggers.done.saturating_add(triggers.interrupted));
        let mut cells = vec![
            Cell::text(clean(row.name)),
            Cell::number(count(triggers.done), triggers.done),
            Cell::number(percent(failed, tried), share(failed, tried)).bad_if(failed > 0),
            Cell::number(per_second(row.rate), row.rate),
        ];
        cells.extend(figures(&triggers.service).map(time));
        cells
    });
    let mut numbers = vec!["count", "failed", "rate"];
    numbers.extend(FIGURES);
    Table::new("Triggers of each scenario, from their start", heads(["Scenario"], &numbers), rows.collect())
        .unless_empty()
}

/// Returns the data of the charts over time. It has measured steps in place of requests if there is no request.
pub(super) fn history(document: &Document<'_>) -> Option<Table> {
    let (outcome, requests) = (document.outcome, &document.requests);
    let of_steps = requests.routes.total.count() == 0 && requests.steps.total.count() > 0;
    let rows = outcome.timeline.timed(&outcome.finished).map(|timed| at_a_time(timed, of_steps)).collect();
    let (ended, failed) = if of_steps { ("steps", "failed steps") } else { ("requests", "failed requests") };
    let load = if outcome.finished.plan.is_open() { "in flight" } else { "users" };
    let numbers =
        ["until", load, "asked", "started", "dropped", "failed", ended, failed, "p50", "p90", "p95", "p99", "max"];
    Table::new("The run over time", heads([], &numbers), rows).unless_empty()
}

fn at_a_time(TimedPoint { point, at, asked_rate }: TimedPoint<'_>, of_steps: bool) -> Vec<Cell> {
    let (failed, durations) = match of_steps {
        true => (point.steps_failed, &point.steps),
        false => (point.requests_failed, &point.durations),
    };
    let mut row = vec![
        time(Some(at)),
        Cell::number(count(point.users), point.users),
        Cell::text(asked_rate.map_or_else(|| "-".to_owned(), per_second)),
        Cell::text(rate(point.due.saturating_sub(point.dropped), point.length)),
    ];
    for (number, is_bad) in [(point.dropped, true), (point.failed, true), (durations.count(), false), (failed, true)] {
        row.push(Cell::number(count(number), number).bad_if(is_bad && number > 0));
    }
    let [_, _, p50, p90, p95, p99, _, max] = figures(durations);
    row.extend([p50, p90, p95, p99, max].map(time));
    row
}

pub(super) fn statuses(document: &Document<'_>) -> Option<Table> {
    let total = document.requests.routes.total.count();
    let rows = document.requests.statuses.iter().map(|(&(status, failed), &number)| {
        let verdict = if failed { Cell::text("✗ failed").toned(Tone::Bad) } else { Cell::text("ok") };
        let share = Cell::text(percent(number, total));
        vec![Cell::text(status.to_string()), verdict, Cell::number(count(number), number), share]
    });
    let heads = heads(["Status", "Counts as"], &["count", "share"]);
    Table::new("Responses by their status", heads, rows.collect()).unless_empty()
}

pub(super) fn journeys(document: &Document<'_>) -> Option<Table> {
    let totals = &document.outcome.finished.totals;
    let rows = are_shown(totals, &document.requests).then(|| row_of_figures("all journeys", &totals.journeys));
    let caption = "How long journeys took, think time left out";
    Table::new(caption, heads_of_figures(""), rows.into_iter().collect()).unless_empty()
}

/// Returns the checks, those that failed most first.
pub(super) fn checks(document: &Document<'_>) -> Option<Table> {
    let rows = checks_by_failures(&document.outcome.finished.totals).into_iter().map(|(name, check)| {
        let share = percent(check.failed, check.passed.saturating_add(check.failed));
        let (word, tone) = if check.failed == 0 { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        vec![
            Cell::text(format!("{word} {}", clean(name))).toned(tone),
            Cell::number(count(check.passed), check.passed),
            Cell::number(count(check.failed), check.failed).bad_if(check.failed > 0),
            Cell::text(share).bad_if(check.failed > 0),
        ]
    });
    let heads = heads(["Check"], &["passed", "failed", "failed share"]);
    Table::new("Checks, those that failed most first", heads, rows.collect()).unless_empty()
}

/// Returns the count of each value of a tag.
pub(super) fn tag_values(document: &Document<'_>) -> Option<Table> {
    let mut rows = Vec::new();
    for (key, tag) in document.outcome.finished.totals.tags.iter() {
        let values = values(tag).into_iter().map(|(value, counts)| (clean(value), counts));
        for (name, counts) in values.chain(other(tag).map(|other| (other_values(), other))) {
            let (all, failed) = (counts.all(), counts.failed);
            rows.push(vec![
                Cell::text(clean(key)),
                Cell::text(name),
                Cell::number(count(all), all),
                Cell::text(percent(all, tag.count(None))),
                Cell::number(percent(failed, all), share(failed, all)).bad_if(failed > 0),
            ]);
        }
    }
    let heads = heads(["Tag", "Value"], &["count", "share", "failed triggers"]);
    let mut table = Table::new("How often each value of a tag came, the most frequent first", heads, rows);
    table.is_sortable = true;
    table.unless_empty()
}

/// Returns the distributions of tags with numeric values.
pub(super) fn tag_numbers(document: &Document<'_>) -> Option<Table> {
    let tags = document.outcome.finished.totals.tags.iter();
    let rows = tags.flat_map(|(key, tag)| spreads(&clean(key), tag)).map(|(name, spread)| {
        let mut row = vec![Cell::text(name), Cell::number(count(spread.count), spread.count)];
        row.extend(spread.figures.map(|figure| Cell::number(number(figure), figure)));
        row
    });
    Table::new("Tags whose values are numbers", heads_of_figures("Tag"), rows.collect()).unless_empty()
}

/// Returns the errors, the most frequent first.
pub(super) fn errors(document: &Document<'_>) -> Option<Table> {
    let rows = document.outcome.finished.totals.errors.by_count().into_iter().map(|(kind, text, seen)| {
        vec![
            Cell::text(kind.to_string()),
            Cell::text(clean(text)),
            Cell::number(count(seen.count), seen.count),
            time(Some(output::nanoseconds(seen.first))),
        ]
    });
    let heads = heads(["Kind", "Error"], &["count", "first at"]);
    Table::new("Errors by kind, the most frequent first", heads, rows.collect()).unless_empty()
}
