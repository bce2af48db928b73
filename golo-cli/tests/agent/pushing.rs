//! What was measured, given to a collector.

use std::sync::{Arc, Mutex};

use golo_proto::results::Record;
use rustix::process::Signal;
use serde_json::json;

use crate::{
    collector::{Collector, Kept},
    support::{Agent, Start, kind, until},
};

fn part() -> (String, String) {
    ("run-1".to_owned(), "left".to_owned())
}

async fn queued(agent: &Agent, duration: &str) -> String {
    let binary = agent.load_test().await;
    agent.queue(json!({"binary": binary, "duration": duration, "run": "run-1", "agent": "left"})).await
}

/// Waits until the collector has all of a job, and gives that.
async fn committed(agent: &Agent, id: &str) -> Vec<Record> {
    let records = agent.records(id).await;
    agent.until_it(id, "committed", |job| job["committed"] == records.len()).await;
    records
}

#[tokio::test]
async fn a_collector_has_it_while_it_is_measured() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::at(([127, 0, 0, 1], 0).into(), Arc::clone(&store)).await;
    let url = format!("http://{}/", collector.address);
    let agent = Start::with(&["--collector", &url]).env("GOLO_COLLECTOR_TOKEN", "hush-hush").agent();
    let id = queued(&agent, "600s").await;
    agent.until_it(&id, "committed", |job| job["committed"].as_u64().unwrap() >= 4).await;
    agent.call(reqwest::Method::DELETE, &format!("/jobs/{id}"), None).await;
    let records = committed(&agent, &id).await;
    let kept = store.lock().unwrap().records[&part()].clone();
    assert!(kept == records, "{} of {}", kept.len(), records.len());
    assert!(store.lock().unwrap().tokens.iter().all(|token| token == "Bearer hush-hush"));
    assert!(!store.lock().unwrap().tokens.is_empty() && !agent.said().contains("hush"));
}

#[tokio::test]
async fn a_collector_that_was_away_for_the_whole_run_has_all_of_it_in_the_end() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::at(([127, 0, 0, 1], 0).into(), Arc::clone(&store)).await;
    let address = collector.address;
    drop(collector);
    let url = format!("http://{address}");
    let agent = Start::with(&["--collector", &url]).agent();
    let id = queued(&agent, "1s").await;
    let job = agent.until(&id, "completed").await;
    assert_eq!(job["committed"], 0);
    let _collector = Collector::at(address, Arc::clone(&store)).await;
    let records = committed(&agent, &id).await;
    let kept = store.lock().unwrap().records[&part()].clone();
    assert!(kept == records, "{} of {}", kept.len(), records.len());
    until("that is said", || agent.said().contains("the collector is there again")).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_whoever_ends_in_between() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::at(([127, 0, 0, 1], 0).into(), Arc::clone(&store)).await;
    let address = collector.address;
    let url = format!("http://{address}");
    let agent = Start::with(&["--collector", &url]).agent();
    let id = queued(&agent, "600s").await;
    agent.until_it(&id, "committed", |job| job["committed"].as_u64().unwrap() >= 4).await;
    drop(collector);
    let before = agent.job(&id).await["records"].as_u64().unwrap();
    agent.until_it(&id, "measured on", |job| job["records"].as_u64().unwrap() > before + 1).await;
    agent.signal(Signal::KILL);
    let data = Arc::clone(&agent.data);
    drop(agent);
    let _collector = Collector::at(address, Arc::clone(&store)).await;
    let agent = Start::with(&["--collector", &url]).agent_in(data);
    let records = committed(&agent, &id).await;
    let kept = store.lock().unwrap().records[&part()].clone();
    assert!(kept == records, "{} of {}", kept.len(), records.len());
    assert_eq!((kind(&kept[0]), kind(kept.last().unwrap())), ("begun", "ended"));
    let job = agent.job(&id).await;
    assert_eq!((&job["state"], &job["reason"]), (&json!("failed"), &json!("the agent ended while it ran")));
}

#[tokio::test]
async fn what_was_committed_is_swept_away_and_still_listed() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::at(([127, 0, 0, 1], 0).into(), Arc::clone(&store)).await;
    let url = format!("http://{}", collector.address);
    let agent = Start::with(&["--collector", &url, "--keep", "0"]).agent();
    let id = queued(&agent, "100ms").await;
    committed(&agent, &id).await;
    let data = Arc::clone(&agent.data);
    drop(agent);
    // It is looked for when an agent starts, and once a minute.
    let agent = Start::with(&["--collector", &url, "--keep", "0"]).agent_in(data);
    let path = format!("/jobs/{id}/records");
    let started = std::time::Instant::now();
    while agent.get(&path).await.0 != 410 {
        assert!(started.elapsed() < crate::support::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(agent.job(&id).await["state"], "completed");
}
