//! Cost of storing results: `cargo test --release -p golo-cli --test collector costs -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "what it measures is all that it is for")]

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use golo::engine::series::{Outcome, Series};
use golo::engine::snapshot::Snapshot;
use golo_proto::results::Record;

use crate::support::*;

/// Returns a second of 10 series with 1000 requests each.
fn measured(numbers: &mut Numbers) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for route in 0..10 {
        for _ in 0..1000 {
            let duration = numbers.duration();
            let outcome = Outcome::Answered { status: 200, failed: false };
            add(&mut snapshot, Series { label: label(route).into(), outcome }, duration);
            snapshot.triggers.service.record(duration);
            snapshot.triggers.response.record(duration + 10);
            snapshot.generator.lag.record(duration / 1000);
            snapshot.waiting.record(duration / 2);
        }
    }
    snapshot
}

fn run(run: &str, agents: u64, seconds: u64) -> Vec<(String, Vec<Record>)> {
    let mut numbers = Numbers(1);
    let of_agent = |index| {
        let agent = format!("agent-{index}");
        let mut records = vec![begun(run, &agent, plan(agents, index, seconds)), started()];
        records.extend((0..seconds).map(|number| second(number, 100, &measured(&mut numbers))));
        (agent, records)
    };
    (0..agents).map(of_agent).collect()
}

/// Returns the CPU time of this process, or 0 if the system does not report it.
fn cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().map(|task| {
        let ran = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
        ran.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(tasks.sum())
}

#[test]
#[ignore = "measures"]
fn storing_a_run_in_the_database() {
    for (agents, at_once) in [(1, 1), (1, 10), (8, 1)] {
        let place = Place::new();
        let mut store = place.store();
        let seconds = 120;
        let parts = run("r", agents, seconds);
        let told: usize = parts.iter().map(|(_, records)| body(records).len()).sum();
        let empty = store.bytes();
        let (begun, used) = (Instant::now(), cpu());
        let length = parts[0].1.len();
        for from in (0..length).step_by(at_once) {
            for (agent, records) in &parts {
                ingest(&mut store, ("r", agent), from as u64, &records[from..(from + at_once).min(length)]).unwrap();
            }
        }
        let (took, used) = (begun.elapsed(), cpu() - used);
        drop(store);
        let bytes = fs::metadata(place.db()).unwrap().len();
        let snapshots = (agents * seconds) as f64;
        println!(
            "{agents} agents, {at_once} seconds at once: {:.0} snapshots/s, {:.2} ms of CPU each; in the database {:.0} bytes a second and part (as told {:.0}), empty {empty}",
            snapshots / took.as_secs_f64(),
            used.as_secs_f64() * 1e3 / snapshots,
            bytes as f64 / snapshots,
            told as f64 / snapshots,
        );
        let store = golo_cli::results::store::Store::open_to_read(&place.db()).unwrap();
        let found = store.find("r").unwrap();
        let begun = Instant::now();
        let records: usize = store.parts(&found).unwrap().iter().map(|part| store.records(part, 0).count()).sum();
        let read = begun.elapsed();
        let begun = Instant::now();
        let merged = store.merged(&found, 0..u64::MAX).unwrap();
        println!(
            "  read back: {records} records in {read:?}, {} merged seconds in {:?}",
            merged.len(),
            begun.elapsed()
        );
    }
}

async fn post(address: SocketAddr, client: &reqwest::Client, path: &str, body: Vec<u8>) {
    let answer = client.post(format!("http://{address}{path}")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn ingestion_over_http() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let client = client();
    let seconds = 60;
    let parts = run("r", 16, seconds);
    let begun = Instant::now();
    let sending = parts.into_iter().map(|(agent, records)| {
        let client = client.clone();
        tokio::spawn(async move {
            for (number, record) in records.iter().enumerate() {
                let path = format!("/api/runs/r/agents/{agent}/records?from={number}");
                post(address, &client, &path, body(std::slice::from_ref(record))).await;
            }
        })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap();
    }
    println!(
        "16 agents of one run at once, over HTTP: {:.0} snapshots/s",
        (16 * seconds) as f64 / begun.elapsed().as_secs_f64()
    );

    let line = r#"{"sequenceID":"0d3b8e0e-5a0b-4f5c-9d0e-7a1b2c3d4e5f","url":"http://127.0.0.1:8765/items/17","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":412345,"error":null}"#;
    for (length, times, senders) in [(1, 400, 4), (100, 100, 4), (5000, 20, 4)] {
        let body = format!("[{}]", vec![line; length].join(","));
        let (before, begun) = (fs::metadata(place.db()).unwrap().len(), Instant::now());
        let sending = (0..senders).map(|_| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move {
                for _ in 0..times {
                    post(address, &client, "/push/db", body.clone().into_bytes()).await;
                }
            })
        });
        for sent in sending.collect::<Vec<_>>() {
            sent.await.unwrap();
        }
        let outputs = (length * times * senders) as f64;
        let grown = fs::metadata(place.db()).unwrap().len().saturating_sub(before);
        println!(
            "/push, {length} outputs at once by {senders}: {:.0} outputs/s, {:.0} bytes each",
            outputs / begun.elapsed().as_secs_f64(),
            grown as f64 / outputs
        );
    }
}
