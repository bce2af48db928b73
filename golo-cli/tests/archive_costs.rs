//! Cost of listing, showing and comparing stored runs:
//!
//! ```text
//! cargo test --release -p golo-cli --test archive_costs -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it is a measurement")]

use std::process::{Command, Stdio};
use std::time::Instant;

use golo::engine::histogram::Histogram;
use golo::engine::plan::{Asked, Plan};
use golo_cli::results::store::{Batch, Store};
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::{Begun, Ended, Record, record};

const RUNS: u64 = 100;
const SECONDS: u64 = 600;
const SERIES: u64 = 10;
const SECOND: u64 = 1_000_000_000;

fn record(record: record::Record) -> Record {
    Record { at: 1_800_000_000 * SECOND, record: Some(record) }
}

fn event(event: Event) -> Record {
    record(record::Record::Event(pb::Event { event: Some(event) }))
}

fn begun(run: u64) -> Record {
    let plan =
        Plan::new(Asked { duration: Some(std::time::Duration::from_secs(SECONDS)), ..Asked::default() }).unwrap();
    let plan = pb::Plan { needs: 1, load: Some((&plan).into()), workers: 2, ..pb::Plan::default() };
    record(record::Record::Begun(Begun {
        run: format!("run-{run:03}"),
        agent: "here".to_owned(),
        load_test: "shop".to_owned(),
        plan: Some(plan),
        ..Begun::default()
    }))
}

/// Returns a second with 50 requests per series, with a spread similar to that of a real service.
fn second(run: u64, number: u64) -> Record {
    let series = |series: u64| {
        let mut durations = Histogram::new();
        for request in 0..50 {
            let noise = (run * 7919 + number * 104_729 + series * 1299 + request * request * 31) % 997;
            durations.record(2_000_000 + noise * noise * 10);
        }
        pb::Series {
            label: Some(pb::Label {
                origin: "http://127.0.0.1:8765".to_owned(),
                route: format!("/items/{series}"),
                method: "GET".to_owned(),
                priority: 0,
                tags: Vec::new(),
            }),
            outcome: Some(pb::series::Outcome::Answered(200)),
            durations: Some((&durations).into()),
            received: 5000,
            sent: 0,
            is_content: false,
        }
    };
    let triggers = pb::Triggers { due: 500, done: 500, ..pb::Triggers::default() };
    let snapshot = pb::Snapshot {
        requests: (0..SERIES).map(series).collect(),
        triggers: Some(triggers),
        ..pb::Snapshot::default()
    };
    event(Event::Second(pb::Second { elapsed: number * SECOND, users: 25, snapshot: Some(snapshot), connections: 0 }))
}

fn end() -> [Record; 2] {
    let plan = Plan::new(Asked::default()).unwrap();
    let finished = pb::Finished {
        started_at: Some(1_800_000_000 * SECOND),
        load_time: SECONDS * SECOND,
        whole_time: SECONDS * SECOND,
        load: Some((&plan).into()),
        workers: 2,
        ..pb::Finished::default()
    };
    [event(Event::Finished(finished)), record(record::Record::Ended(Ended::default()))]
}

#[test]
#[ignore = "a measurement of minutes"]
fn queries_over_a_hundred_runs_of_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.db");
    let mut store = Store::open(&path).unwrap();
    for run in 0..RUNS {
        let seconds = (1..=SECONDS).map(|number| second(run, number));
        let records = std::iter::once(begun(run)).chain(seconds).chain(end()).collect();
        store
            .ingest(Batch { run: format!("run-{run:03}"), agent: "here".to_owned(), job: None, from: 0, records })
            .unwrap();
    }
    println!("{RUNS} runs of {SECONDS} s, {SERIES} series each: {} MB", store.bytes() / 1_000_000);
    drop(store);
    // The first listing computes the summaries that are not stored yet.
    for call in [
        "runs --limit 100",
        "runs --limit 100",
        "runs",
        "show latest",
        "show run-000 --html page.html",
        "compare run-000 latest",
    ] {
        let started = Instant::now();
        let mut golo = Command::new(env!("CARGO_BIN_EXE_golo"));
        golo.args(call.split_whitespace()).env("GOLO_DB", &path).current_dir(&folder).stdout(Stdio::null());
        let status = golo.status().unwrap();
        println!("golo {call}: {:.2} s, {status}", started.elapsed().as_secs_f64());
    }
}
