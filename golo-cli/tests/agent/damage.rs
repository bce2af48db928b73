//! An agent's database that is damaged or removed while the agent is running.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use golo_proto::results::{Record, record};
use rusqlite::Connection;
use serde_json::json;

use crate::collector::{Collector, Kept};
use crate::databases::{DATABASE, assert_sent, part};
use crate::support::{Agent, Start, kind};

/// An agent whose job has ended, and whose collector is away.
struct Left {
    agent: Agent,
    id: String,
    collector: std::net::SocketAddr,
    store: Arc<Mutex<Kept>>,
}

impl Left {
    async fn alone() -> Self {
        let store = Arc::new(Mutex::new(Kept::default()));
        let collector = Collector::start(Arc::clone(&store)).await.address;
        let agent = Start::with(&["--collector", &format!("http://{collector}")]).agent();
        let job = json!({"binary": agent.load_test().await, "duration": "2s", "run": "run-1", "agent": "left"});
        let id = agent.queue(job).await;
        agent.until_kept(&id, "its end", |kept| kept["records"].as_u64().unwrap() > 0).await;
        // The write-ahead log is moved into the file, so that the file has everything.
        let database = Connection::open(agent.data.path().join(DATABASE)).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        Self { agent, id, collector, store }
    }

    /// Returns the records of the job. The agent then has a connection that reads them.
    async fn records(&self) -> Vec<Record> {
        self.agent.records(&self.id).await
    }

    fn path(&self) -> PathBuf {
        self.agent.data.path().join(DATABASE)
    }

    /// Starts the collector. Asserts that it receives all records that are not damaged.
    async fn assert_sent(&self, records: &[Record]) {
        let _collector = Collector::at(self.collector, Arc::clone(&self.store)).await;
        assert_sent(&self.agent, &self.id, &self.store, records).await;
    }
}

/// Overwrites every place of the file that has these bytes.
fn overwrite(path: &std::path::Path, bytes: &[u8]) {
    let content = fs::read(path).unwrap();
    let places: Vec<_> = (0..content.len() - bytes.len()).filter(|&at| content[at..].starts_with(bytes)).collect();
    assert!(!places.is_empty());
    let file = File::options().write(true).open(path).unwrap();
    for at in places {
        file.write_all_at(&vec![0xff; bytes.len()], at as u64).unwrap();
    }
}

#[tokio::test]
async fn overwritten_record_is_reported_and_the_others_are_sent() {
    let left = Left::alone().await;
    let blob: Vec<u8> = Connection::open(left.path())
        .unwrap()
        .query_row("SELECT record FROM records WHERE number = 3", [], |row| row.get(0))
        .unwrap();
    let records = left.records().await;
    overwrite(&left.path(), &blob);
    left.assert_sent(&records).await;
}

#[tokio::test]
async fn end_of_a_truncated_database_is_reported_and_every_job_ends_at_the_collector() {
    for part_left in [2, 1000] {
        let left = Left::alone().await;
        let records = left.records().await;
        let file = File::options().write(true).open(left.path()).unwrap();
        file.set_len(file.metadata().unwrap().len() / part_left).unwrap();
        left.assert_sent(&records).await;
    }
}

#[tokio::test]
async fn records_of_a_removed_database_are_sent() {
    let left = Left::alone().await;
    for name in ["results.db", "results.db-wal", "results.db-shm"] {
        _ = fs::remove_file(left.agent.data.path().join(name));
    }
    let _collector = Collector::at(left.collector, Arc::clone(&left.store)).await;
    let job = left.agent.until_it(&left.id, "committed", |job| job["committed"] == job["records"]).await;
    let sent = left.store.lock().unwrap().records[&part()].clone();
    let kinds: Vec<_> = sent.iter().map(kind).collect();
    assert_eq!(
        (&kinds[..3], &kinds[kinds.len() - 2..]),
        (&["begun", "ready", "started"][..], &["finished", "ended"][..])
    );
    assert_eq!((&job["records"], &job["missing"]), (&json!(sent.len()), &json!(null)));
}

#[tokio::test]
async fn job_whose_database_is_removed_fails_and_its_records_are_sent() {
    let store = Arc::new(Mutex::new(Kept::default()));
    let collector = Collector::start(Arc::clone(&store)).await;
    let agent = Start::with(&["--collector", &format!("http://{}", collector.address)]).agent();
    let job = json!({"binary": agent.load_test().await, "duration": "600s", "run": "run-1", "agent": "left"});
    let id = agent.queue(job).await;
    agent.until_it(&id, "running", |job| job["records"].as_u64().unwrap() >= 4).await;
    fs::remove_file(agent.data.path().join(DATABASE)).unwrap();
    let job = agent.until(&id, "failed").await;
    let expected = "results.db was removed or replaced while it was in use: start this program again";
    assert!(job["reason"].as_str().unwrap().ends_with(expected), "{job}");
    // The job has failed before its last record is sent.
    let is_ended = |record: &Record| kind(record) == "ended";
    let has_last = || store.lock().unwrap().records[&part()].last().is_some_and(is_ended);
    let job = agent.until_it(&id, "committed", |job| job["committed"] == job["records"] && has_last()).await;
    let sent = store.lock().unwrap().records[&part()].clone();
    assert_eq!((json!(sent.len()), kind(&sent[0])), (job["records"].clone(), "begun"));
    let Some(record::Record::Ended(ended)) = &sent[sent.len() - 1].record else { panic!("{sent:?}") };
    assert!(ended.reason.ends_with(expected), "{ended:?}");
    // The next job fails too, and says why.
    let next = agent.queue(json!({"binary": agent.load_test().await, "duration": "1s"})).await;
    let job = agent.until(&next, "failed").await;
    assert!(job["reason"].as_str().unwrap().ends_with(expected), "{job}");
}
