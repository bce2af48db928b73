//! Helpers: records of made-up runs, databases in temporary folders, and a collector in this process.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use golo::engine::errors::ErrorKind;
use golo::engine::histogram::Histogram;
use golo::engine::series::{Label, Outcome, Series};
use golo::engine::snapshot::{Measure, Snapshot};
use golo::wire::event;
use golo_cli::collector::Collector;
use golo_cli::http::server::Statuses;
use golo_cli::results::store::{Batch, Ingested, Store, StoreError};
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::ended::State;
use golo_proto::results::{Begun, Ended, Record, record};
use prost::Message as _;
use tempfile::TempDir;

/// 2026-11-22T10:05:13Z
pub(crate) const START: u64 = 1_795_341_913_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A temporary folder for a database.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.0.path().join("runs.db")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.db()).unwrap()
    }

    /// Opens the database with plain SQLite.
    pub(crate) fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.db()).unwrap()
    }
}

pub(crate) fn plan(of: u64, index: u64, seconds: u64) -> pb::Plan {
    let users = pb::Curve { start: 10, stages: Vec::new() };
    let load = pb::Load {
        duration: Some(seconds * SECOND),
        model: Some(pb::load::Model::Closed(pb::Closed { users: Some(users), pace: None })),
        ..pb::Load::default()
    };
    let share = Some(pb::Share { index, of });
    pb::Plan {
        needs: 1,
        load: Some(load),
        share,
        job_name: "shop".to_owned(),
        workers: 2,
        seed: 7,
        outputs: false,
        speaks: 1,
        ..pb::Plan::default()
    }
}

pub(crate) fn told(at: u64, event: pb::Event) -> Record {
    Record { at, record: Some(record::Record::Event(event)) }
}

pub(crate) fn begun(run: &str, agent: &str, plan: pb::Plan) -> Record {
    let begun = Begun {
        run: run.to_owned(),
        agent: agent.to_owned(),
        job: format!("job-of-{agent}"),
        load_test: "shop-load-test".to_owned(),
        plan: Some(plan),
        thresholds: vec!["http_req_failed rate<1%".to_owned(), "http_req_duration p(99)<1s".to_owned()],
        binary: "ab".repeat(32),
        version: "0.1.0".to_owned(),
    };
    Record { at: START - 2, record: Some(record::Record::Begun(begun)) }
}

pub(crate) fn second(number: u64, users: u64, snapshot: &Snapshot) -> Record {
    let elapsed = (number + 1) * SECOND;
    told(
        START + elapsed,
        event(Event::Second(pb::Second { elapsed, users, snapshot: Some(snapshot.into()), connections: 3 })),
    )
}

pub(crate) fn started() -> Record {
    told(START - 1, event(Event::Started(pb::Started { at: START, ahead: 0 })))
}

pub(crate) fn finished(seconds: u64, rest: &Snapshot, plan: &pb::Plan) -> Record {
    let finished = pb::Finished {
        rest: Some(rest.into()),
        started_at: Some(START),
        load_time: seconds * SECOND,
        whole_time: seconds * SECOND + 5,
        most_users: 10,
        workers: 2,
        load: plan.load.clone(),
        lost: vec!["worker 1".to_owned()],
        ..pb::Finished::default()
    };
    told(START + seconds * SECOND + 6, event(Event::Finished(finished)))
}

pub(crate) fn ended(state: State, reason: &str) -> Record {
    let ended = Ended { state: state.into(), reason: reason.to_owned(), ..Ended::default() };
    Record { at: START + 99 * SECOND, record: Some(record::Record::Ended(ended)) }
}

/// Pseudo-random numbers, the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Returns a duration around 2 ms; one in 50 is far longer.
    pub(crate) fn duration(&mut self) -> u64 {
        let tail = if self.next().is_multiple_of(50) { 20 } else { 1 };
        (1_000_000 + self.next() % 2_000_000) * tail
    }
}

pub(crate) fn label(route: u64) -> Label {
    let method = if route.is_multiple_of(2) { "GET" } else { "POST" };
    Label::new("http://127.0.0.1:1", format!("/{route}/{{id}}"), method)
}

/// Returns a second with this many routes and requests per route. Every tenth request has another outcome than 200.
pub(crate) fn measured(numbers: &mut Numbers, routes: u64, requests: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for route in 0..routes {
        for request in 0..requests {
            let outcome = match request % 40 {
                9 => Outcome::Answered { status: 503, failed: true },
                19 => Outcome::Failed(ErrorKind::Timeout),
                29 => Outcome::Interrupted,
                39 => Outcome::Answered { status: 404, failed: false },
                _ => Outcome::Answered { status: 200, failed: false },
            };
            let duration = numbers.duration();
            add(&mut snapshot, Series { label: label(route).into(), outcome }, duration);
            snapshot.triggers.service.record(duration + 1000);
            snapshot.triggers.response.record(duration + 2000);
        }
    }
    snapshot.triggers.due = routes * requests;
    snapshot.triggers.done = routes * requests;
    snapshot.triggers.dropped_busy = 3;
    snapshot.generator.lag.record(1000);
    // As golo 0.1 recorded it.
    snapshot.waiting.record(numbers.duration());
    snapshot.errors.add(ErrorKind::Timeout, "timeout: 1 s", std::time::Duration::from_secs(1));
    snapshot.checks.insert("is complete".into(), golo::engine::snapshot::Check { passed: 2, failed: 1 });
    snapshot
}

pub(crate) fn add(snapshot: &mut Snapshot, series: Series, duration: u64) {
    let measure: &mut Measure = snapshot.requests.entry(series).or_default();
    measure.durations.record(duration);
    measure.received += 100;
    measure.sent += 10;
    let waited = std::time::Duration::from_nanos(duration / 2);
    measure.phases.get_or_insert_default().record_waiting(waited);
}

/// Returns all records of one part: `seconds` seconds, and one record for the rest.
pub(crate) fn part(run: &str, (agent, index, of): (&str, u64, u64), seconds: u64) -> Vec<Record> {
    let mut numbers = Numbers(index + 1);
    let plan = plan(of, index, seconds);
    let mut records =
        vec![begun(run, agent, plan.clone()), told(START - 1, event(Event::Ready(pb::Ready { users: 10 }))), started()];
    records.extend((0..seconds).map(|number| second(number, 10, &measured(&mut numbers, 3, 40))));
    records.push(finished(seconds, &measured(&mut numbers, 2, 3), &plan));
    records.push(ended(State::Completed, ""));
    records
}

pub(crate) fn ingest(
    store: &mut Store,
    (run, agent): (&str, &str),
    from: u64,
    records: &[Record],
) -> Result<Ingested, StoreError> {
    store.ingest(Batch { run: run.to_owned(), agent: agent.to_owned(), job: None, from, records: records.to_vec() })
}

/// Encodes records as they are sent.
pub(crate) fn body(records: &[Record]) -> Vec<u8> {
    records.iter().flat_map(|record| record.encode_length_delimited_to_vec()).collect()
}

/// Sorts the series in each record, so that two lists of records can be compared.
pub(crate) fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    for record in &mut records {
        let Some(record::Record::Event(pb::Event { event: Some(event) })) = &mut record.record else { continue };
        let snapshot = match event {
            Event::Second(second) => second.snapshot.as_mut(),
            Event::Finished(finished) => finished.rest.as_mut(),
            _ => None,
        };
        if let Some(snapshot) = snapshot {
            snapshot.requests.sort_by_key(|series| series.encode_to_vec());
        }
    }
    records
}

/// Returns the stored records of a part.
pub(crate) fn kept(store: &Store, run: &str, agent: &str) -> Vec<Record> {
    let parts = store.parts(&store.find(run).unwrap()).unwrap();
    let part = parts.iter().find(|part| part.agent == agent).unwrap();
    store.records(part, 0).collect::<Result<_, _>>().unwrap()
}

/// Expected results of some requests.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Truth {
    pub(crate) failed: u64,
    pub(crate) interrupted: u64,
    pub(crate) durations: Histogram,
}

/// Computes the expected results per second and route from the records of all parts.
pub(crate) fn truth(parts: &[Vec<Record>]) -> BTreeMap<(u64, Label), Truth> {
    let mut truth: BTreeMap<(u64, Label), Truth> = BTreeMap::new();
    for records in parts {
        let mut next = 0;
        for record in records {
            let Some(record::Record::Event(pb::Event { event: Some(event) })) = &record.record else { continue };
            let (number, snapshot) = match event {
                Event::Second(second) => (second.elapsed / SECOND - 1, second.snapshot.as_ref()),
                Event::Finished(finished) => (next, finished.rest.as_ref()),
                _ => continue,
            };
            next = number + 1;
            for (series, measure) in &Snapshot::try_from(snapshot.unwrap()).unwrap().requests {
                let truth = truth.entry((number, Label::clone(&series.label))).or_default();
                match series.outcome {
                    Outcome::Interrupted => truth.interrupted += measure.durations.count(),
                    outcome => {
                        truth.failed += if outcome.is_failed() { measure.durations.count() } else { 0 };
                        truth.durations.merge(&measure.durations);
                    }
                }
            }
        }
    }
    truth
}

/// Starts a collector on a free loopback port, without access control. Returns its address.
pub(crate) async fn collector(store: Store) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Collector::start(store, Statuses::default()).unwrap().router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// Returns an HTTP client.
pub(crate) fn client() -> reqwest::Client {
    // Another test may already have installed it.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
