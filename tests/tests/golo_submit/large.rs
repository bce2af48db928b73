//! Records that are larger than a collector accepts, of a load test that does not limit what it reports.

use serde_json::Value;

use super::fleet::Call;
use super::kept::Kept;

const PRETENDER: &str = env!("CARGO_BIN_EXE_pretender");

/// Runs the load test on one agent. Returns its job, once the collector has all records.
async fn run(kept: &mut Kept, what: &str) -> Value {
    kept.fleet.agents.truncate(1);
    let mut call = Call::new(&kept.fleet, PRETENDER, "", "-u 1 -d 2");
    call.command.env_remove("GOLO_NO_KEEP").env("GOLO_DB", kept.own()).args(["-e", &format!("PRETEND={what}")]);
    let ran = call.finish().await;
    assert_eq!(ran.finished.code, Some(0), "{:#?}", ran.finished);
    let mut job = kept.fleet.last_jobs().await.remove(0);
    let started = std::time::Instant::now();
    while job["committed"] != job["records"] {
        assert!(started.elapsed() < golo_tests::PATIENCE, "{job:#}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        job = kept.fleet.last_jobs().await.remove(0);
    }
    job
}

#[tokio::test]
async fn large_record_reaches_the_collector_in_pieces() {
    let mut kept = Kept::start().await;
    let job = run(&mut kept, "to have many long journeys").await;
    assert_eq!((&job["state"], &job["missing"]), (&"completed".into(), &Value::Null), "{job:#}");
    let shown = kept.ask_collector(&["show", "--json"]).await;
    let document: Value = serde_json::from_str(&shown.stdout.join("\n")).unwrap();
    assert_eq!((&document["verdict"]["word"], &document["load"]["done"]), (&"PASSED".into(), &3.into()));
    let slowest = document["journeys"]["slowest"].as_array().unwrap();
    assert_eq!(slowest.iter().filter(|slow| slow["sequence_id"].as_str().unwrap().len() > 2 << 20).count(), 10);
}

#[tokio::test]
async fn refused_record_does_not_stop_the_others_and_is_reported() {
    let mut kept = Kept::start().await;
    let job = run(&mut kept, "to have a giant journey").await;
    let missing = job["missing"].as_str().unwrap();
    let expected = "2 records are missing; the first is record 3: the collector refuses it: it has 17 MiB";
    assert!(missing.starts_with(expected), "{missing}");
    assert_eq!((&job["state"], &job["refused"]), (&"completed".into(), &Value::Null), "{job:#}");
    let agent = &kept.fleet.agents[0];
    assert_eq!(agent.metric("golo_agent_records_missing").await, 2);
    let shown = kept.ask_collector(&["show", "--json"]).await;
    let document: Value = serde_json::from_str(&shown.stdout.join("\n")).unwrap();
    assert_eq!((&document["verdict"]["word"], &document["load"]["done"]), (&"INVALID".into(), &3.into()));
    assert!(document["verdict"]["text"].as_str().unwrap().ends_with(missing), "{document:#}");
}
