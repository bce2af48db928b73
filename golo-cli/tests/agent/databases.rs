//! Agent databases that are damaged, missing or from an older golo.

use std::sync::{Arc, Mutex};

use golo_proto::results::{Record, record};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::collector::{Collector, Kept};
use crate::support::{Agent, Start, decoded, kind};

pub(crate) const DATABASE: &str = "results.db";

/// Runs a job and kills the agent. Returns its data folder, the job's ID and its records.
async fn left_behind(start: &Start) -> (Arc<TempDir>, String, Vec<Record>) {
    let agent = start.agent();
    let job = json!({"binary": agent.load_test().await, "duration": "1s", "run": "run-1", "agent": "left"});
    let id = agent.queue(job).await;
    let records = agent.records(&id).await;
    agent.until_kept(&id, "how much there is", |kept| kept["records"] == records.len()).await;
    (Arc::clone(&agent.data), id, records)
}

/// Runs SQL in the database of a stopped agent and moves the write-ahead log into the file.
fn change(data: &TempDir, sql: &str) {
    let database = Connection::open(data.path().join(DATABASE)).unwrap();
    database.execute_batch(sql).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

pub(crate) fn part() -> (String, String) {
    ("run-1".to_owned(), "left".to_owned())
}

/// Asserts that the collector receives as many records as there were: the same ones, except for those that the job
/// reports as missing.
pub(crate) async fn assert_sent(agent: &Agent, id: &str, store: &Mutex<Kept>, records: &[Record]) {
    let job = agent.until_it(id, "committed", |job| job["committed"] == records.len()).await;
    let sent = store.lock().unwrap().records[&part()].clone();
    let kinds = (kind(&sent[0]), kind(&sent[sent.len() - 1]));
    assert_eq!((sent.len(), kinds, &job["state"]), (records.len(), ("begun", "ended"), &json!("completed")));
    // The last one reports what is missing, and the first and the last are made again if they are damaged.
    let inner = 1..records.len() - 1;
    let lost = inner.clone().filter(|&number| sent[number] != records[number]).count();
    let Some(record::Record::Ended(ended)) = &sent[sent.len() - 1].record else { panic!("{sent:?}") };
    match job["missing"].as_str() {
        Some(missing) => assert!((1..=inner.len()).contains(&lost) && ended.missing == missing, "{lost} lost: {job}"),
        None => assert!(lost == 0 && ended.missing.is_empty(), "{lost} lost: {job}"),
    }
}

async fn ended(agent: &Agent, id: &str) -> String {
    let records = agent.records(id).await;
    let Some(record::Record::Ended(ended)) = &records.last().unwrap().record else { panic!("{records:?}") };
    ended.reason.clone()
}

#[tokio::test]
async fn agent_does_not_start_with_a_damaged_database() {
    let (data, ..) = left_behind(&Start::with(&[])).await;
    change(&data, "");
    let path = data.path().join(DATABASE);
    let whole = std::fs::read(&path).unwrap();
    let begins =
        |bytes: &[u8]| bytes.iter().copied().chain(std::iter::repeat(0xff)).take(whole.len()).collect::<Vec<_>>();
    for (damaged, reason) in [
        (begins(&whole[..8192]), "it is damaged: try `sqlite3 FILE .recover` on it, and continue with a new one"),
        (begins(&whole[..100]), "it is damaged: try `sqlite3"),
        (begins(b""), "it is not a database"),
    ] {
        std::fs::write(&path, damaged).unwrap();
        let (code, said) = Start::with(&["--addr", "127.0.0.1:0"]).refused_in(data.path());
        let expected = format!("cannot open {}: {reason}", path.display());
        assert!(code == 104 && said.lines().count() == 1 && said.contains(&expected), "{said}");
    }
    std::fs::write(&path, whole).unwrap();
    Start::with(&[]).agent_in(data);
}

#[tokio::test]
async fn damaged_record_is_reported_and_the_others_are_sent() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
    let (address, url) = (collector.address, format!("http://{}", collector.address));
    drop(collector);
    let start = Start::with(&["--collector", &url]);
    let (data, id, records) = left_behind(&start).await;
    change(&data, "UPDATE records SET record = x'ff' WHERE number = 2");

    let agent = start.agent_in(data);
    let (status, answer) = agent.get(&format!("/jobs/{id}/records")).await;
    let reason = answer["error"].as_str().unwrap();
    assert!(status == 500 && reason.starts_with("the records cannot be read: the database is damaged"), "{answer}");
    let _collector = Collector::at(address, Arc::clone(&store)).await;
    assert_sent(&agent, &id, &store, &records).await;
    let missing = agent.job(&id).await["missing"].as_str().unwrap().to_owned();
    assert!(missing.starts_with("a record is missing: record 2: the database is damaged"), "{missing}");
    assert!(agent.said().contains(&format!("record 2 of job {id} is sent without its content")), "{}", agent.said());
    let sent = store.lock().unwrap().records[&part()].last().unwrap().clone();
    let Some(record::Record::Ended(ended)) = sent.record else { panic!("{sent:?}") };
    assert_eq!(ended.missing, missing);
    // Other jobs are still run.
    let job = json!({"binary": agent.load_test().await, "duration": "100ms"});
    let other = agent.queue(job).await;
    agent.until(&other, "completed").await;
}

#[tokio::test]
async fn job_with_missing_records_fails_with_the_reason() {
    let start = Start::with(&[]);
    let (data, id, records) = left_behind(&start).await;
    change(&data, "DELETE FROM records WHERE number > 2; UPDATE parts SET next_record = 3, state = 'running'");
    let agent = start.agent_in(Arc::clone(&data));
    assert_eq!(ended(&agent, &id).await, "the records from 3 on are lost");
    assert_eq!(agent.records(&id).await[..3], records[..3]);
    let job = agent.until(&id, "failed").await;
    assert_eq!(job["reason"], "the records from 3 on are lost");
    drop(agent);

    for file in ["results.db", "results.db-wal", "results.db-shm"] {
        _ = std::fs::remove_file(data.path().join(file));
    }
    let agent = start.agent_in(data);
    assert_eq!(ended(&agent, &id).await, "the records from 0 on are lost");
    let kinds: Vec<_> = agent.records(&id).await.iter().map(kind).collect();
    assert_eq!(kinds, ["begun", "ended"]);
}

#[tokio::test]
async fn killed_agent_keeps_all_records_that_it_reported() {
    let mut data = Arc::new(tempfile::tempdir().unwrap());
    let mut jobs: Vec<(String, Vec<Record>)> = Vec::new();
    for round in 0..5 {
        let agent = Start::with(&[]).agent_in(Arc::clone(&data));
        for (id, reported) in &jobs {
            let records = agent.records(id).await;
            assert!(records.starts_with(reported), "{} of {}", records.len(), reported.len());
            assert_eq!(agent.until(id, "failed").await["reason"], "the agent ended while the job was running");
        }
        let id = agent.queue(json!({"binary": agent.load_test().await, "duration": 600, "users": 2})).await;
        agent.until(&id, "running").await;
        // Each change of the load is a record, so the agent is killed while it writes many records.
        let path = format!("/jobs/{id}");
        let changing = async {
            for users in (1..=3).cycle() {
                agent.call(reqwest::Method::PATCH, &path, Some(json!({ "users": users }))).await;
            }
        };
        _ = tokio::time::timeout(std::time::Duration::from_millis(100 + 70 * round), changing).await;
        let reported = agent.call(reqwest::Method::GET, &format!("{path}/records"), None).await;
        jobs.push((id, decoded(&reported.bytes().await.unwrap())));
        data = Arc::clone(&agent.data);
        agent.signal(rustix::process::Signal::KILL);
    }
}

#[test]
fn agent_does_not_start_with_records_of_an_older_golo() {
    let data = tempfile::tempdir().unwrap();
    let records = data.path().join("jobs/0d3b8e0e/records");
    std::fs::create_dir_all(records.parent().unwrap()).unwrap();
    std::fs::write(&records, "what was measured").unwrap();
    std::fs::write(data.path().join("golo-agent.lock"), "").unwrap();
    let (code, said) = Start::with(&["--addr", "127.0.0.1:0"]).refused_in(data.path());
    let expected = format!("`{}` contains records of an older golo, which this version cannot read", records.display());
    assert!(code == 104 && said.lines().count() == 1 && said.contains(&expected), "{said}");
    assert_eq!(std::fs::read(&records).unwrap(), b"what was measured");
    assert!(!data.path().join(DATABASE).exists());
}
