//! Tables of `csv=`: requests, measured steps, the run over time, tags, metrics, and errors.

use std::{borrow::Cow, io};

use super::figures::{FIGURES, figures, quantiles};
use super::outputs::{FileOutput, OutputKind, WriteReport};
use super::requests::Requests;
use super::route::Route;
use super::tags::{other, other_values, spread, values};
use super::{RateTime, Timeline, own};
use crate::engine::metrics::{GROUP_DURATION, MetricKind, Value};
use crate::engine::phases::Phase;
use crate::engine::{Finished, series::Label};

pub(super) const KIND: OutputKind = OutputKind {
    name: "csv",
    example: "csv=PREFIX",
    files: |prefix| TABLES.map(|(suffix, _)| format!("{prefix}{suffix}").into()).into(),
    check: |_| Ok(()),
    open: |prefix| {
        let files = TABLES.map(|(suffix, write)| (format!("{prefix}{suffix}").into(), write));
        FileOutput::open(KIND.name, files)
    },
};

/// The files of a prefix. Locust has the same names, but for measured steps and tags.
const TABLES: [(&str, WriteReport); 8] = [
    ("_stats.csv", |outcome, to| stats(&outcome.finished, to)),
    ("_steps.csv", |outcome, to| steps(&outcome.finished, to)),
    ("_stats_history.csv", |outcome, to| stats_history(&outcome.timeline, &outcome.finished, to)),
    ("_scenarios.csv", |outcome, to| scenarios(&outcome.finished, to)),
    ("_tags.csv", |outcome, to| tags(&outcome.finished, to)),
    ("_request_tags.csv", |outcome, to| request_tags(&outcome.finished, to)),
    ("_metrics.csv", |outcome, to| metrics(&outcome.finished, to)),
    ("_failures.csv", |outcome, to| failures(&outcome.finished, to)),
];

/// Figures of each phase of a route.
const FIGURES_OF_PHASES: [&str; 4] = ["avg", "p50", "p95", "max"];

/// Writes a row for each route, those with the most time spent first, then a row with the total.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn stats(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let requests = Requests::of(&finished.totals);
    let mut table = csv::Writer::from_writer(to);
    let first = ["method", "origin", "route", "requests", "failed", "requests_per_second"];
    let of_phase = |phase: Phase| FIGURES_OF_PHASES.map(|figure| format!("{}_{figure}_ms", phase.name()));
    let of_phases = Phase::ALL.into_iter().flat_map(of_phase);
    table.write_record(heads(&first, &["redirects"]).into_iter().chain(of_phases))?;
    let total = Label::new("", "total", "");
    let routes = requests.routes.named.iter().map(|(_, label, route)| (label, route));
    for (label, route) in routes.chain([(&total, &requests.routes.total)]) {
        let names = [&label.method, &label.origin, &label.route].map(|text| harmless(text).into_owned());
        let redirects = route.redirects.to_string();
        let amounts = amounts(route, finished).into_iter().chain([redirects]);
        table.write_record(names.into_iter().chain(amounts).chain(phases(route)))?;
    }
    table.flush()
}

/// Writes a row for each measured step, those with the most time spent first, then a row with the total.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn steps(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let steps = Requests::of(&finished.totals).steps;
    let mut table = csv::Writer::from_writer(to);
    table.write_record(heads(&["step", "count", "failed", "per_second"], &[]))?;
    for (name, step) in steps.rows().chain([("total", &steps.total)]) {
        table.write_record(std::iter::once(harmless(name).into_owned()).chain(amounts(step, finished)))?;
    }
    table.flush()
}

/// Writes a row for each scenario, if there are several.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn scenarios(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(to);
    let counts = ["scenario", "due", "done", "failed", "interrupted", "dropped", "per_second"];
    table.write_record(owned(&counts).into_iter().chain(FIGURES.map(|name| format!("{name}_ms"))))?;
    for row in super::scenarios::rows(finished) {
        let of = row.triggers;
        let counts = [of.due, of.done, of.failed, of.interrupted, of.dropped()].map(|count| count.to_string());
        let mut cells = vec![harmless(row.name).into_owned()];
        cells.extend(counts);
        cells.push(format!("{:.3}", row.rate));
        cells.extend(figures(&of.service).map(milliseconds));
        table.write_record(cells)?;
    }
    table.flush()
}

/// Returns heads that begin with `first` and end with `last`.
fn heads(first: &[&str], last: &[&str]) -> Vec<String> {
    let mut heads = owned(first);
    heads.extend(owned(&["received_bytes", "sent_bytes"]));
    heads.extend(FIGURES.map(|name| format!("{name}_ms")));
    heads.extend(owned(&["interrupted", "after_load", "passed_p95_ms", "failed_p95_ms"]));
    heads.extend(owned(last));
    heads
}

fn owned(heads: &[&str]) -> Vec<String> {
    heads.iter().map(|head| (*head).to_owned()).collect()
}

/// Returns the cells after the name of a route or of a step.
fn amounts(route: &Route, finished: &Finished) -> Vec<String> {
    let rate = route.per_second(RateTime::of(finished));
    let mut row = [route.count(), route.failed()].map(|number| number.to_string()).to_vec();
    row.push(format!("{rate:.3}"));
    row.extend([route.all.received, route.all.sent].map(|number| number.to_string()));
    row.extend(figures(&route.all.durations).map(milliseconds));
    row.extend([route.interrupted, route.all.after_load].map(|number| number.to_string()));
    let apart = route.apart().map(|apart| apart.map(|durations| milliseconds(durations.quantile(0.95))));
    row.extend(apart.unwrap_or_default());
    row
}

/// Returns the cells of the phases of a route; empty ones if they are unknown.
fn phases(route: &Route) -> impl Iterator<Item = String> {
    Phase::ALL.into_iter().flat_map(|phase| {
        let durations = route.phases.distribution(phase);
        let [p50, p95, max] = quantiles(&durations, [0.5, 0.95, 1.0]);
        // `as` saturates.
        [durations.mean().map(|mean| mean as u64), p50, p95, max].map(milliseconds)
    })
}

/// Writes a row for each second, or for longer steps if the run was long.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn stats_history(timeline: &Timeline, finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(to);
    let mut heads = owned(&["end_seconds", "length_seconds", "users", "asked_per_second", "due", "done", "failed"]);
    heads.extend(owned(&["dropped", "interrupted", "requests", "requests_failed", "received_bytes"]));
    heads.extend(FIGURES[2..].iter().map(|name| format!("{name}_ms")));
    heads.extend(owned(&["steps", "steps_failed"]));
    table.write_record(&heads)?;
    let mut end = std::time::Duration::ZERO;
    for point in timeline.points() {
        let asked = finished.plan.rate_at(end + point.length / 2);
        end += point.length;
        let durations = &point.durations;
        let mut row = vec![format!("{:.3}", end.as_secs_f64()), format!("{:.3}", point.length.as_secs_f64())];
        row.push(point.users.to_string());
        row.push(asked.map_or_else(String::new, |asked| format!("{asked:.3}")));
        let numbers = [point.due, point.done, point.failed, point.dropped, point.interrupted, durations.count()];
        row.extend(numbers.map(|number| number.to_string()));
        row.extend([point.requests_failed, point.received].map(|number| number.to_string()));
        row.extend(figures(durations).into_iter().skip(2).map(milliseconds));
        row.extend([point.steps.count(), point.steps_failed].map(|number| number.to_string()));
        table.write_record(&row)?;
    }
    table.flush()
}

/// Writes a row for each distinct error, the most frequent first.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn failures(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(to);
    table.write_record(["kind", "error", "count", "first_seen_seconds"])?;
    for (kind, text, seen) in finished.totals.errors.by_count() {
        let first = format!("{:.3}", seen.first.as_secs_f64());
        table.write_record([&*kind.to_string(), &*harmless(text), &*seen.count.to_string(), &*first])?;
    }
    table.flush()
}

/// Writes a row for each value of a key, the most frequent first. For each key whose values are numbers, it also writes
/// a row with their distribution: for all triggers, for those that passed and for those that failed.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn tags(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let tags = &finished.totals.tags;
    let mut table = csv::Writer::from_writer(to);
    table.write_record(["key", "value", "numbers_of", "count", "failed"].into_iter().chain(FIGURES))?;
    let mut write = |texts: [&str; 3], counts: [String; 2], figures: [String; 8]| {
        table.write_record(texts.map(String::from).into_iter().chain(counts).chain(figures))
    };
    for (key, tag) in tags.iter() {
        let key = harmless(key);
        let (values, other_values) = (values(tag), other_values());
        for (name, counts) in values.into_iter().chain(other(tag).map(|other| (&*other_values, other))) {
            let counts = [counts.all(), counts.failed].map(|number| number.to_string());
            write([&key, &harmless(name), ""], counts, Default::default())?;
        }
        let failed = tag.count(Some(true));
        for (of, failed, outcome) in [("all", failed, None), ("passed", 0, Some(false)), ("failed", failed, Some(true))]
        {
            if let Some(spread) = spread(tag, outcome) {
                let counts = [spread.count, failed].map(|number| number.to_string());
                write([&key, "", of], counts, spread.figures.map(|number| format!("{number:.3}")))?;
            }
        }
    }
    if tags.beyond() > 0 {
        write(["(other keys)", "", ""], [tags.beyond().to_string(), String::new()], Default::default())?;
    }
    table.flush()
}

/// Writes a row for each value of each tag of requests.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn request_tags(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(to);
    table.write_record(heads(&["key", "value", "requests", "failed", "requests_per_second"], &[]))?;
    for ((key, value), requests) in own::request_tags(&finished.totals) {
        let names = [key, value].map(|text| harmless(text).into_owned());
        table.write_record(names.into_iter().chain(amounts(&requests, finished)))?;
    }
    table.flush()
}

/// Writes a row for each metric of the load test's own and for each of its sets of tags, and a row for each group, whose
/// figures are milliseconds.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn metrics(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let rates = RateTime::of(finished);
    let mut table = csv::Writer::from_writer(to);
    let first = ["metric", "kind", "unit", "tags", "count", "sum", "per_second", "last", "share", "failed"];
    table.write_record(first.into_iter().chain(FIGURES))?;
    let mut write = |texts: [&str; 4], value: &Value| {
        let texts = texts.map(|text| harmless(text).into_owned());
        table.write_record(texts.into_iter().chain(own_cells(value, rates)))
    };
    for metric in own::metrics(&finished.totals) {
        let (kind, unit) = (metric.kind.name(), metric.unit.unwrap_or_default());
        write([metric.name, kind, unit, ""], &metric.total)?;
        for (tags, value) in &metric.by_tags {
            write([metric.name, kind, unit, tags], value)?;
        }
    }
    for (name, group) in own::groups(&finished.totals) {
        let tags = format!("group:{name}");
        write([GROUP_DURATION, MetricKind::Group.name(), "ms", &tags], &Value::Group(group))?;
    }
    table.flush()
}

/// Returns the cells of a metric after its tags.
fn own_cells(value: &Value, rates: RateTime) -> Vec<String> {
    let shown = |figure: Option<f64>| figure.map_or_else(String::new, |figure| format!("{figure:.3}"));
    let (mut count, mut figures) = (value.count(), [None; 8]);
    let (mut sum, mut rate, mut last, mut share, mut failed) = (None, None, None, None, String::new());
    match value {
        Value::Counter(of) => {
            let rated = if rates.counts_after_load { of.sum() } else { of.sum() - of.after_load() };
            (sum, rate) = (Some(of.sum()), Some(rates.number_per_second(rated)));
        }
        Value::Gauge(level) => (last, figures[1], figures[7]) = (Some(level.last), Some(level.min), Some(level.max)),
        Value::Trend(numbers) => (sum, figures) = (Some(numbers.sum()), own::figures(numbers)),
        Value::Rate(of) => (sum, share) = (Some(of.part as f64), (of.of > 0).then(|| of.part as f64 / of.of as f64)),
        Value::Group(group) => {
            count = group.durations.count();
            failed = group.failed.to_string();
            figures = super::figures::figures(&group.durations).map(|nanos| nanos.map(|nanos| nanos as f64 / 1e6));
        }
    }
    let mut cells = vec![count.to_string()];
    cells.extend([sum, rate, last, share].map(shown));
    cells.push(failed);
    cells.extend(figures.map(shown));
    cells
}

/// Returns `text` as a cell that no spreadsheet takes for a formula. Text that looks like a formula is prefixed with
/// `'`.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if is_formula && text.parse::<f64>().is_err() { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Formats nanoseconds as milliseconds; empty if there are none.
fn milliseconds(nanos: Option<u64>) -> String {
    nanos.map_or_else(String::new, |nanos| format!("{:.6}", nanos as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Options;
    use crate::engine::errors::ErrorKind;
    use crate::engine::plan::{Asked, Plan};
    use crate::engine::series::{Outcome, Series};
    use crate::user::share::Share;

    #[test]
    fn formula_is_quoted_and_number_stays_a_number() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+cmd", "'+cmd"),
            ("-cmd", "'-cmd"),
            ("@sum(a1)", "'@sum(a1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("-5.25", "-5.25"),
            ("+5", "+5"),
            ("/items/{id}", "/items/{id}"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), cell);
        }
    }

    #[test]
    fn routes_and_errors_are_quoted_in_tables() {
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let mut finished = Finished::not_started(Plan::new(Asked::default()).unwrap(), options, None);
        let label = Label::new("", "=HYPERLINK(\"http://h/\")", "GET").into();
        let outcome = Outcome::Answered { status: 0, failed: false };
        finished.totals.requests.entry(Series { label, outcome }).or_default().durations.record(5_000_000);
        finished.totals.errors.add(ErrorKind::Other, "@cmd", std::time::Duration::ZERO);
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut table = Vec::new();
            write(&mut table);
            String::from_utf8(table).unwrap()
        };
        let table = written(&|to| stats(&finished, to).unwrap());
        let row = table.lines().find(|line| line.contains("HYPERLINK")).unwrap();
        assert!(row.starts_with(r#"GET,,"'=HYPERLINK(""http://h/"")",1,0,"#), "{row}");
        let table = written(&|to| failures(&finished, to).unwrap());
        assert_eq!(table.lines().nth(1), Some("other,'@cmd,1,0.000"));
    }

    #[test]
    fn phases_have_columns_at_the_end_of_each_route() {
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let mut finished = Finished::not_started(Plan::new(Asked::default()).unwrap(), options, None);
        let mut record = |route: &str| {
            let label = Label::new("http://h", route, "GET").into();
            let outcome = Outcome::Answered { status: 200, failed: false };
            let measure = finished.totals.requests.entry(Series { label, outcome }).or_default();
            measure.durations.record_n(5_000_000, 4);
            (route == "/known").then(|| {
                let opened = crate::Phases { connecting: Duration::from_millis(2), ..crate::Phases::default() };
                let phases = measure.phases.get_or_insert_default();
                [opened, crate::Phases::default()].iter().for_each(|request| phases.record(request));
            })
        };
        assert!(record("/known").is_some() && record("/unknown").is_none());
        let mut written = Vec::new();
        stats(&finished, &mut written).unwrap();
        let mut table = csv::Reader::from_reader(&*written);
        let heads = table.headers().unwrap().clone();
        let rows: Vec<_> = table.records().map(Result::unwrap).collect();
        let cells = |route: &str, column: &str| {
            let row = rows.iter().find(|row| &row[2] == route).unwrap();
            row[heads.iter().position(|head| head == column).unwrap()].to_owned()
        };
        assert_eq!(heads.iter().next_back(), Some("receiving_max_ms"));
        assert_eq!(cells("/known", "connecting_avg_ms"), "1.000000");
        assert_eq!(cells("/known", "connecting_p50_ms"), "0.000000");
        assert_eq!(cells("/known", "connecting_max_ms"), "2.000000");
        assert_eq!(cells("total", "connecting_p95_ms"), "2.000000");
        assert_eq!(cells("/known", "tls_handshaking_max_ms"), "0.000000");
        assert_eq!(cells("/unknown", "connecting_max_ms"), "");
    }
}
