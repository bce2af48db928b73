//! The tables and views, read by plain SQL.

use std::collections::BTreeMap;

use golo::engine::errors::ErrorKind;
use golo::engine::histogram::Histogram;
use golo::engine::series::{Label, Outcome, Series};
use golo::engine::snapshot::Snapshot;
use golo_proto::results::Record;
use proptest::prelude::*;

use crate::support::*;

const OUTCOMES: [Outcome; 5] = [
    Outcome::Answered { status: 200, failed: false },
    Outcome::Answered { status: 500, failed: true },
    Outcome::Answered { status: 404, failed: false },
    Outcome::Failed(ErrorKind::Reset),
    Outcome::Interrupted,
];

/// Requests of one second: route, outcome, duration.
type Requests = Vec<(u64, usize, u64)>;

fn requests() -> impl Strategy<Value = Requests> {
    let duration = (0.0..(60e9_f64).ln()).prop_map(|exponent: f64| exponent.exp() as u64);
    prop::collection::vec((0..3u64, 0..OUTCOMES.len(), duration), 0..60)
}

fn records((agent, index, of): (&str, u64, u64), seconds: &[Requests]) -> Vec<Record> {
    let plan = plan(of, index, 9);
    let snapshot = |requests: &Requests| {
        let mut snapshot = Snapshot::default();
        for (route, outcome, duration) in requests {
            add(&mut snapshot, Series { label: label(*route).into(), outcome: OUTCOMES[*outcome] }, *duration);
        }
        snapshot.triggers.due = requests.len() as u64;
        snapshot
    };
    let mut records = vec![begun("r", agent, plan.clone()), started()];
    let told = seconds.len() - 1;
    records.extend((0..).zip(&seconds[..told]).map(|(number, requests)| second(number, 5, &snapshot(requests))));
    records.push(finished(told as u64, &snapshot(&seconds[told]), &plan));
    records
}

fn milliseconds(nanoseconds: Option<u64>) -> Option<f64> {
    nanoseconds.map(|nanoseconds| nanoseconds as f64 / 1e6)
}

/// Returns the columns of a row that contain durations, in milliseconds.
fn durations(histogram: &Histogram) -> Vec<Option<f64>> {
    let mean = histogram.mean().map(|mean| mean / 1e6);
    let mut row = vec![milliseconds(histogram.min()), mean];
    row.extend(histogram.quantiles(&[0.5, 0.9, 0.95, 0.99, 0.999]).into_iter().map(milliseconds));
    row.push(milliseconds(histogram.max()));
    row
}

fn read(row: &rusqlite::Row<'_>, from: usize) -> Vec<Option<f64>> {
    (from..from + 8).map(|at| row.get(at).unwrap()).collect()
}

fn close(one: &[Option<f64>], other: &[Option<f64>]) -> bool {
    one.iter().zip(other).all(|pair| match pair {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs(),
        (None, None) => true,
        _ => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn views_add_up_all_parts_and_outcomes_per_second(
        parts in prop::collection::vec(prop::collection::vec(requests(), 1..4), 1..4),
        pieces in 1..4usize,
    ) {
        let place = Place::new();
        let mut store = place.store();
        let of = parts.len() as u64;
        let parts: Vec<_> = (0..).zip(&parts).map(|(index, seconds)| records((&format!("a{index}"), index, of), seconds)).collect();
        for (index, records) in parts.iter().enumerate() {
            let mut from = 0;
            for piece in records.chunks(pieces) {
                from = ingest(&mut store, ("r", &format!("a{index}")), from, piece).unwrap().next;
            }
        }
        let mut truth = truth(&parts);
        let sql = place.sql();
        let mut select = sql.prepare(
            "SELECT second, origin, route, method, requests, failed, interrupted, min_ms, avg_ms, p50_ms, p90_ms, p95_ms,
                 p99_ms, p999_ms, max_ms, time FROM requests_by_second WHERE run = 'r'",
        ).unwrap();
        let mut rows = select.query([]).unwrap();
        let mut all: BTreeMap<u64, Truth> = BTreeMap::new();
        while let Some(row) = rows.next().unwrap() {
            let text = |at| row.get::<_, String>(at).unwrap().into_boxed_str();
            let second: u64 = row.get::<_, i64>(0).unwrap().unsigned_abs();
            let label = Label::new(text(1), text(2), text(3));
            let expected = truth.remove(&(second, label)).unwrap();
            let counts: [i64; 3] = [4, 5, 6].map(|at| row.get(at).unwrap());
            prop_assert_eq!(counts.map(i64::unsigned_abs), [expected.durations.count(), expected.failed, expected.interrupted]);
            prop_assert!(close(&read(row, 7), &durations(&expected.durations)));
            prop_assert_eq!(row.get::<_, i64>(15).unwrap().unsigned_abs(), START / 1_000_000_000 + second);
            let all = all.entry(second).or_default();
            all.failed += expected.failed;
            all.interrupted += expected.interrupted;
            all.durations.merge(&expected.durations);
        }
        prop_assert!(truth.is_empty(), "without a row: {:?}", truth);

        let mut select = sql.prepare(
            "SELECT second, requests, failed, interrupted, min_ms, avg_ms, p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms,
                 triggers_due FROM run_by_second WHERE run = 'r' ORDER BY second",
        ).unwrap();
        let mut rows = select.query([]).unwrap();
        let mut due = 0;
        while let Some(row) = rows.next().unwrap() {
            let expected = all.remove(&row.get::<_, i64>(0).unwrap().unsigned_abs()).unwrap_or_default();
            let counts: [i64; 3] = [1, 2, 3].map(|at| row.get(at).unwrap());
            prop_assert_eq!(counts.map(i64::unsigned_abs), [expected.durations.count(), expected.failed, expected.interrupted]);
            prop_assert!(close(&read(row, 4), &durations(&expected.durations)));
            due += row.get::<_, i64>(12).unwrap();
        }
        prop_assert!(all.is_empty());
        let asked: usize = parts.iter().flatten().map(snapshot_due).sum();
        prop_assert_eq!(due, asked as i64);
    }
}

fn snapshot_due(record: &Record) -> usize {
    use golo_proto::{engine::event::Event, results::record};
    let Some(record::Record::Event(event)) = &record.record else { return 0 };
    let snapshot = match event.event.as_ref().unwrap() {
        Event::Second(second) => second.snapshot.as_ref(),
        Event::Finished(finished) => finished.rest.as_ref(),
        _ => None,
    };
    snapshot.and_then(|snapshot| snapshot.triggers.as_ref()).map_or(0, |triggers| triggers.due as usize)
}

#[test]
fn every_table_and_view_has_a_comment() {
    let place = Place::new();
    drop(place.store());
    let sql = place.sql();
    let mut select = sql.prepare("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')").unwrap();
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for row in rows {
        let (name, sql) = row.unwrap();
        assert!(sql.contains("-- "), "nothing says what {name} is");
    }
}

#[test]
fn run_list_shows_times_as_text() {
    let place = Place::new();
    ingest(&mut place.store(), ("r", "a"), 0, &part("r", ("a", 0, 1), 2)).unwrap();
    let row = place.sql().query_row("SELECT run, plan, state, started_at, ended_at FROM run_list", [], |row| {
        (0..5).map(|at| row.get::<_, String>(at)).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(row.unwrap(), ["r", "10 users for 2s", "completed", "2026-11-22T10:05:13Z", "2026-11-22T10:06:52Z"]);
}

#[test]
fn tags_are_stored_per_second() {
    let place = Place::new();
    let plan = plan(1, 0, 9);
    let snapshot = |from: u64| {
        let mut snapshot = Snapshot::default();
        for number in from..from + 20 {
            let status = if number % 4 == 0 { "500" } else { "200" };
            let tags = golo::tagify([("status", status.to_owned()), ("size", number.to_string())]);
            snapshot.tags.record(&tags, number % 4 == 0);
        }
        snapshot
    };
    let records =
        vec![begun("r", "a", plan.clone()), started(), second(0, 5, &snapshot(0)), finished(1, &snapshot(20), &plan)];
    ingest(&mut place.store(), ("r", "a"), 0, &records).unwrap();
    let sql = place.sql();
    let mut select =
        sql.prepare("SELECT second, key, value, passed, failed FROM tags_by_second ORDER BY 1, 2, 3").unwrap();
    let rows = select.query_map([], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, i64>(3)?,
            row.get::<_, i64>(4)?,
        ))
    });
    let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    let row = |second, value: &str, passed, failed| (second, "status".to_owned(), value.to_owned(), passed, failed);
    assert_eq!(rows, [row(0, "200", 15, 0), row(0, "500", 0, 5), row(1, "200", 15, 0), row(1, "500", 0, 5)]);
    let size = "SELECT passed + failed, number_avg, number_min, number_max FROM tags WHERE key = 'size' AND second = 1";
    let size = sql.query_row(size, [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?, row.get::<_, f64>(2)?, row.get::<_, f64>(3)?))
    });
    assert_eq!(size.unwrap(), (20, 29.5, 20.0, 39.0));
}
