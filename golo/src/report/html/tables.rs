//! The tables of the page, built from the document.

use super::{
    Table, Tone,
    table::{Cell, heads},
};
use crate::report::{
    Distribution, Document,
    document::{Amounts, Model, OnePoint, Spread, other_values},
    text::clean,
    units::{bytes, count, nanoseconds, number, per_second, percent},
};

pub(super) fn thresholds(document: &Document<'_>) -> Option<Table> {
    let rows = document.thresholds.iter().map(|threshold| {
        let (word, tone) = if threshold.passed { ("✓ passed", Tone::Good) } else { ("✗ failed", Tone::Bad) };
        let shown = threshold.reason.map_or_else(|| threshold.shown.clone(), clean);
        let actual = threshold.note.map_or_else(|| shown.clone(), |note| format!("{shown} ({})", clean(note)));
        vec![Cell::text(word).toned(tone), Cell::text(clean(&threshold.threshold)), Cell::text(actual)]
    });
    let heads = heads(["Verdict", "Threshold", "Actual"], &[]);
    Table::new("Thresholds, and what each came to", heads, rows.collect()).unless_empty()
}

pub(super) fn routes(document: &Document<'_>) -> Option<Table> {
    let requests = &document.requests;
    let rows: Vec<_> = requests.routes.iter().map(|route| (&*route.name, &route.amounts)).collect();
    amounts_table("Requests by route, the most time spent first", "Route", &rows, &requests.total)
}

/// Returns the table of measured steps. They are not requests.
pub(super) fn steps(document: &Document<'_>) -> Option<Table> {
    let steps = &document.steps;
    let rows: Vec<_> = steps.steps.iter().map(|step| (&*step.name, &step.amounts)).collect();
    amounts_table("Measured steps, the most time spent first", "Step", &rows, &steps.total)
}

fn amounts_table(
    caption: &'static str,
    head: &'static str,
    rows: &[(&str, &Amounts)],
    total: &Amounts,
) -> Option<Table> {
    let row = |name: &str, amounts: &Amounts| {
        let mut row = vec![Cell::text(name)];
        row.extend(amounts_of(amounts));
        row.extend(durations_of(&amounts.duration));
        row.extend(apart_of(amounts));
        row
    };
    let mut numbers =
        vec!["count", "failed", "rate", "received", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
    if total.apart.is_some() || rows.iter().any(|(_, amounts)| amounts.apart.is_some()) {
        numbers.extend(["p95 of passed", "p95 of failed"]);
    }
    let mut table = Table::new(caption, heads([head], &numbers), rows.iter().map(|(name, of)| row(name, of)).collect());
    table.total = Some(row("total", total));
    table.is_sortable = true;
    table.unless_empty()
}

/// Returns the cells of the two columns that a table has only if one of its rows needs them.
fn apart_of(amounts: &Amounts) -> [Cell; 2] {
    let apart = amounts.apart.as_ref();
    [apart.and_then(|apart| apart.passed.p95), apart.and_then(|apart| apart.failed.p95)].map(time)
}

fn amounts_of(amounts: &Amounts) -> [Cell; 4] {
    let number = amounts.duration.count;
    let share = if amounts.all() == 0 { 0.0 } else { amounts.failed as f64 / amounts.all() as f64 };
    [
        Cell::number(count(number), number),
        Cell::number(percent(amounts.failed, amounts.all()), share).bad_if(amounts.failed > 0),
        Cell::number(per_second(amounts.rate), amounts.rate),
        Cell::number(bytes(amounts.received), amounts.received),
    ]
}

fn durations_of(duration: &Distribution) -> impl Iterator<Item = Cell> {
    let mean = duration.mean.map(|mean| mean as u64);
    let Distribution { min, max, p50, p90, p95, p99, p999, .. } = *duration;
    [mean, min, p50, p90, p95, p99, p999, max].into_iter().map(time)
}

/// Returns the cell of a duration, which is sorted by its nanoseconds.
fn time(nanos: Option<u64>) -> Cell {
    Cell::number(nanoseconds(nanos), nanos.map_or_else(String::new, |nanos| nanos.to_string()))
}

/// Returns the durations of triggers, from their start and from their due time, and those of requests for comparison.
pub(super) fn triggers(document: &Document<'_>) -> Option<Table> {
    let triggers = &document.triggers;
    let measured: &[(&str, &Distribution)] = &match document.run.model {
        Model::Closed => vec![("triggers", &triggers.service)],
        Model::Paced | Model::Open => {
            vec![
                ("triggers: service, from start", &triggers.service),
                ("triggers: response, from due", &triggers.response),
            ]
        }
    };
    let requests = [
        ("requests, whole", &document.requests.total.duration),
        ("requests, to the headers", &document.requests.waiting),
        ("measured steps", &document.steps.total.duration),
    ];
    let all = measured.iter().chain(&requests).filter(|(_, duration)| duration.count > 0);
    let rows = all.map(|(name, duration)| {
        let mut row = vec![Cell::text(*name), Cell::number(count(duration.count), duration.count)];
        row.extend(durations_of(duration));
        row
    });
    let heads = heads(["Latency of"], &["count", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    Table::new("Latencies of triggers and of requests", heads, rows.collect()).unless_empty()
}

/// Returns the data of the charts over time. It has measured steps in place of requests if there is no request.
pub(super) fn history(document: &Document<'_>) -> Option<Table> {
    let of_steps = document.requests.total.duration.count == 0 && document.steps.total.duration.count > 0;
    let rows = document.timeline.points.iter().map(|point| at_a_time(point, of_steps)).collect();
    let (ended, failed) = if of_steps { ("steps", "failed steps") } else { ("requests", "failed requests") };
    let load = if document.run.model == Model::Open { "in flight" } else { "users" };
    let numbers =
        ["until", load, "asked", "started", "dropped", "failed", ended, failed, "p50", "p90", "p95", "p99", "max"];
    Table::new("The run over time", heads([], &numbers), rows).unless_empty()
}

fn at_a_time(point: &OnePoint, of_steps: bool) -> Vec<Cell> {
    let per_length = |number: u64| crate::report::units::rate(number, std::time::Duration::from_nanos(point.length));
    let started = point.due.saturating_sub(point.dropped);
    let (ended, failed, duration) = match of_steps {
        true => (point.steps, point.steps_failed, &point.step_duration),
        false => (point.requests, point.requests_failed, &point.duration),
    };
    let mut row = vec![
        time(Some(point.at)),
        Cell::number(count(point.users), point.users),
        Cell::text(point.asked_rate.map_or_else(|| "-".to_owned(), per_second)),
        Cell::text(per_length(started)),
    ];
    for (number, is_bad) in [(point.dropped, true), (point.failed, true), (ended, false), (failed, true)] {
        row.push(Cell::number(count(number), number).bad_if(is_bad && number > 0));
    }
    row.extend([duration.p50, duration.p90, duration.p95, duration.p99, duration.max].map(time));
    row
}

pub(super) fn statuses(document: &Document<'_>) -> Option<Table> {
    let total = document.requests.total.duration.count;
    let rows = document.statuses.iter().map(|status| {
        let verdict = if status.failed { Cell::text("✗ failed").toned(Tone::Bad) } else { Cell::text("ok") };
        let share = percent(status.count, total);
        vec![
            Cell::text(status.status.to_string()),
            verdict,
            Cell::number(count(status.count), status.count),
            Cell::text(share),
        ]
    });
    let heads = heads(["Status", "Counts as"], &["count", "share"]);
    Table::new("Responses by their status", heads, rows.collect()).unless_empty()
}

pub(super) fn journeys(document: &Document<'_>) -> Option<Table> {
    let duration = &document.journeys.duration;
    let ended = document.requests.total.duration.count.saturating_add(document.steps.total.duration.count);
    if document.journeys.are_requests(ended) {
        return None;
    }
    let mut row = vec![Cell::text("all journeys"), Cell::number(count(duration.count), duration.count)];
    row.extend(durations_of(duration));
    let heads = heads([""], &["count", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    Some(Table::new("How long journeys took, think time left out", heads, vec![row]))
}

/// Returns the checks, those that failed most first.
pub(super) fn checks(document: &Document<'_>) -> Option<Table> {
    let mut checks: Vec<_> = document.checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.failed));
    let rows = checks.into_iter().map(|check| {
        let share = percent(check.failed, check.passed.saturating_add(check.failed));
        let (word, tone) = if check.failed == 0 { ("✓", Tone::Good) } else { ("✗", Tone::Bad) };
        vec![
            Cell::text(format!("{word} {}", clean(check.name))).toned(tone),
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
    for tag in &document.tags.keys {
        let other = tag.other.iter().map(|other| (other_values(), other));
        for (name, value) in tag.values.iter().map(|value| (clean(value.value), value)).chain(other) {
            let (all, failed) = (value.count(), value.failed);
            let share = if all == 0 { 0.0 } else { failed as f64 / all as f64 };
            rows.push(vec![
                Cell::text(clean(tag.key)),
                Cell::text(name),
                Cell::number(count(all), all),
                Cell::text(percent(all, tag.count())),
                Cell::number(percent(failed, all), share).bad_if(failed > 0),
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
    let row = |name: String, spread: Spread| {
        let mut row = vec![Cell::text(name), Cell::number(count(spread.count), spread.count)];
        row.extend(spread.figures().map(|figure| Cell::number(number(figure), figure)));
        row
    };
    let rows = document.tags.keys.iter().flat_map(|tag| {
        let has_both = tag.passed > 0 && tag.failed > 0;
        let by_outcome = [("passed", tag.numbers_passed), ("failed", tag.numbers_failed)];
        let by_outcome = by_outcome
            .into_iter()
            .filter(|_| has_both)
            .filter_map(|(outcome, spread)| Some((format!("{}, {outcome}", clean(tag.key)), spread?)));
        let all = tag.numbers.map(|spread| (clean(tag.key), spread));
        all.into_iter().chain(by_outcome).collect::<Vec<_>>()
    });
    let rows = rows.map(|(name, spread)| row(name, spread)).collect();
    let heads = heads(["Tag"], &["count", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    Table::new("Tags whose values are numbers", heads, rows).unless_empty()
}

/// Returns the errors, the most frequent first.
pub(super) fn errors(document: &Document<'_>) -> Option<Table> {
    let rows = document.errors.iter().map(|error| {
        vec![
            Cell::text(error.kind.clone()),
            Cell::text(clean(error.text)),
            Cell::number(count(error.count), error.count),
            time(Some(error.first_seen)),
        ]
    });
    let heads = heads(["Kind", "Error"], &["count", "first at"]);
    Table::new("Errors by kind, the most frequent first", heads, rows.collect()).unless_empty()
}
