//! Records that the agent sends to a collector.

use std::sync::{Arc, Mutex};

use golo_proto::results::Record;
use rustix::process::Signal;
use serde_json::json;

use crate::collector::{Collector, Kept};
use crate::support::{Agent, PATIENCE, Start, kind, until};

fn part() -> (String, String) {
    ("run-1".to_owned(), "left".to_owned())
}

async fn queued(agent: &Agent, duration: &str) -> String {
    let binary = agent.load_test().await;
    agent.queue(json!({"binary": binary, "duration": duration, "run": "run-1", "agent": "left"})).await
}

/// Waits until the collector has committed all records of a job. Returns the records.
async fn committed(agent: &Agent, id: &str) -> Vec<Record> {
    let records = agent.records(id).await;
    agent.until_it(id, "committed", |job| job["committed"] == records.len()).await;
    records
}

/// Waits until the records of a job are deleted.
async fn swept(agent: &Agent, id: &str) {
    let path = format!("/jobs/{id}/records");
    let started = std::time::Instant::now();
    while agent.get(&path).await.0 != 410 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn collector_receives_records_during_the_run() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
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
async fn collector_that_was_away_during_the_run_receives_everything_later() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
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
    until("it is reported", || agent.said().contains("the collector is reachable again")).await;
}

#[tokio::test]
async fn no_record_is_lost_or_repeated_when_collector_and_agent_restart() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
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
    assert_eq!(
        (&job["state"], &job["reason"]),
        (&json!("failed"), &json!("the agent ended while the job was running"))
    );
}

#[tokio::test]
async fn part_sent_by_another_job_is_refused_once() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
    let url = format!("http://{}", collector.address);
    // Like two agents with the same name on one machine.
    let agent = Start::with(&["--collector", &url, "--name", "here"]).agent();
    let job = json!({"binary": agent.load_test().await, "duration": "100ms", "run": "run-1", "agent": "left"});
    let id = agent.queue(job.clone()).await;
    let records = committed(&agent, &id).await;

    let other = Start::with(&["--collector", &url, "--name", "here", "--keep", "0"]).agent();
    other.load_test().await;
    let id = other.queue(job).await;
    let ended =
        other.until_it(&id, "refused and over", |job| job["refused"].is_string() && job["state"] == "completed");
    let ended = ended.await;
    assert_eq!((&ended["refused"], &ended["committed"]), (&json!("told by another job"), &json!(0)), "{ended}");
    assert!(store.lock().unwrap().records[&part()] == records, "nothing of it was taken");
    // The refusal is logged once, and the agent does not ask again for every record.
    let before = store.lock().unwrap().asked;
    other.queue(json!({"binary": other.load_test().await, "duration": "2s", "run": "run-2", "agent": "left"})).await;
    until("the next job is given", || store.lock().unwrap().records.keys().any(|(run, _)| run == "run-2")).await;
    let said = other.said();
    assert_eq!(said.matches("refuses job").count(), 1, "{said}");
    let asked = store.lock().unwrap().asked - before;
    assert!(asked < 20, "asked {asked} times");
    // A refused job is swept away like a committed one.
    let data = Arc::clone(&other.data);
    drop(other);
    let other = Start::with(&["--collector", &url, "--keep", "0"]).agent_in(data);
    swept(&other, &id).await;
    assert_eq!(other.job(&id).await["refused"], "told by another job");
}

#[tokio::test]
async fn server_that_is_no_collector_counts_as_away() {
    let elsewhere = Agent::start();
    let agent = Start::with(&["--collector", &elsewhere.url]).agent();
    let id = queued(&agent, "100ms").await;
    until("it is reported", || agent.said().contains("there is no collector at http://")).await;
    let job = agent.until(&id, "completed").await;
    assert_eq!((&job["committed"], &job["refused"]), (&json!(0), &json!(null)));
    assert_eq!(agent.said().matches("collector").count(), agent.said().matches("there is no collector").count() + 1);
}

#[tokio::test]
async fn committed_records_are_deleted_and_the_job_stays_listed() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
    let url = format!("http://{}", collector.address);
    let agent = Start::with(&["--collector", &url, "--keep", "0"]).agent();
    let id = queued(&agent, "100ms").await;
    committed(&agent, &id).await;
    // If the agent were killed before this, it would have to ask the collector again, and would sweep a minute later.
    agent.until_kept(&id, "that it is committed", |kept| kept["committed_at"].is_u64() && kept["records"] != 0).await;
    let data = Arc::clone(&agent.data);
    drop(agent);
    // An agent sweeps when it starts, and then once a minute.
    let agent = Start::with(&["--collector", &url, "--keep", "0"]).agent_in(data);
    swept(&agent, &id).await;
    let job = agent.job(&id).await;
    assert_eq!((&job["state"], &job["records"]), (&json!("completed"), &job["committed"]));
    // After a restart the agent does not report the deleted records as lost.
    let data = Arc::clone(&agent.data);
    drop(agent);
    let agent = Start::with(&["--collector", &url]).agent_in(data);
    assert_eq!(agent.job(&id).await, job);
}
