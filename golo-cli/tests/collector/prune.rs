//! `golo runs prune`.

use std::process::{Command, Output};

use golo_cli::results::store::Store;
use golo_cli::support::moments::now;
use serde_json::{Value, json};

use crate::support::*;

const DAY: u64 = 24 * 3600 * SECOND;

fn golo(place: &Place, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golo"));
    command.arg("runs").args(args).arg("--db").arg(place.db()).output().unwrap()
}

fn prune(place: &Place, flags: &[&str]) -> String {
    let output = golo(place, &[&["prune"], flags].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Stores a run of one part of which this much was heard this long ago.
fn store(place: &Place, run: &str, seconds: u64, age: u64) {
    ingest(&mut place.store(), (run, "a"), 0, &part(run, ("a", 0, 1), seconds)).unwrap();
    heard(place, run, age);
}

fn heard(place: &Place, run: &str, age: u64) {
    let update = "UPDATE parts SET heard_at_ns = ? WHERE run = (SELECT id FROM runs WHERE run = ?)";
    place.sql().execute(update, rusqlite::params![(now() - age) as i64, run]).unwrap();
}

/// Returns the IDs of the stored runs, newest first.
fn runs(place: &Place) -> Vec<String> {
    let listed: Value = serde_json::from_slice(&golo(place, &["--json"]).stdout).unwrap();
    listed.as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

/// Returns the size of the file.
fn size(place: &Place) -> u64 {
    place.db().metadata().unwrap().len()
}

#[test]
fn pruned_runs_are_gone_and_the_file_shrinks() {
    let place = Place::new();
    store(&place, "young", 3, 29 * DAY);
    place.sql().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let small = size(&place);
    let before = kept(&place.store(), "young", "a");
    store(&place, "old-1", 60, 31 * DAY);
    store(&place, "old-2", 60, 400 * DAY);
    place.sql().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(size(&place) > 3 * small, "{} and {small}", size(&place));

    let would = prune(&place, &["--keep", "30d", "--dry-run"]);
    assert!(would.ends_with("2 runs would be deleted\n") && would.contains("old-1"), "{would}");
    assert_eq!(runs(&place).len(), 3);

    let text = prune(&place, &["--keep", "30d"]);
    assert!(text.contains("\ndeleted 2 runs; the file has ") && text.contains("old-1"), "{text}");
    assert_eq!(runs(&place), ["young"]);
    assert!(size(&place) <= small + (64 << 10), "{} and {small}", size(&place));
    assert_eq!(kept(&place.store(), "young", "a"), before);
    for table in ["records", "seconds", "triggers", "merged_seconds", "routes", "series", "summaries"] {
        let rows = |of: &str| -> i64 {
            place.sql().query_row(&format!("SELECT count(*) FROM {table} {of}"), [], |row| row.get(0)).unwrap()
        };
        let parts = "WHERE part NOT IN (SELECT id FROM parts)";
        let of_runs = "WHERE run NOT IN (SELECT id FROM runs)";
        let of_routes = "WHERE route NOT IN (SELECT id FROM routes)";
        let left = match table {
            "records" | "seconds" | "triggers" => parts,
            "series" => of_routes,
            _ => of_runs,
        };
        assert_eq!(rows(left), 0, "{table}");
    }
    assert_eq!(prune(&place, &["--keep", "30d"]).split(';').next(), Some("deleted 0 runs"));
}

#[test]
fn file_that_cannot_shrink_is_rewritten() {
    let place = Place::new();
    store(&place, "young", 3, DAY);
    store(&place, "old", 120, 31 * DAY);
    // As golo 0.1 created it.
    place.sql().execute_batch("PRAGMA auto_vacuum = none; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let vacuums = || place.sql().pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0)).unwrap();
    let before = (size(&place), vacuums());
    prune(&place, &["--keep", "30d"]);
    assert_eq!((before.1, vacuums()), (0, 2));
    assert!(size(&place) * 2 < before.0, "{} and {}", size(&place), before.0);
    assert_eq!(runs(&place), ["young"]);
}

#[test]
fn run_that_may_go_on_is_kept() {
    let place = Place::new();
    let records = part("r", ("a", 0, 1), 3);
    let (begun, rest) = records.split_at(4);
    ingest(&mut place.store(), ("r", "a"), 0, begun).unwrap();
    heard(&place, "r", 59 * 60 * SECOND);
    assert!(prune(&place, &["--keep", "0s"]).starts_with("deleted 0 runs"));
    ingest(&mut place.store(), ("r", "a"), 4, rest).unwrap();
    assert_eq!(kept(&place.store(), "r", "a").len(), records.len());
    assert!(prune(&place, &["--keep", "0s"]).contains("deleted 1 run;"));
    assert_eq!(runs(&place), [""; 0]);
}

#[test]
fn run_that_never_ended_is_deleted_once_it_is_silent() {
    let place = Place::new();
    ingest(&mut place.store(), ("r", "a"), 0, &part("r", ("a", 0, 1), 3)[..4]).unwrap();
    heard(&place, "r", 31 * DAY);
    assert!(prune(&place, &["--keep", "30d"]).contains("deleted 1 run;"));
}

#[tokio::test]
async fn collector_goes_on_while_runs_are_pruned() {
    let place = Place::new();
    store(&place, "old", 60, 31 * DAY);
    let address = collector(place.store()).await;
    let output = json!([{
        "sequenceID": "0d3b", "url": "http://h/", "method": "GET", "status": 200, "size": 12,
        "timestamp": "2020-11-22T10:05:13Z", "duration": 412345, "error": null,
    }]);
    let push = async || {
        let sent = client().post(format!("http://{address}/push/db")).body(output.to_string()).send().await.unwrap();
        assert_eq!(sent.status(), 200);
    };
    push().await;
    let text = prune(&place, &["--keep", "30d"]);
    assert!(text.contains("deleted 1 run and 1 pushed request;"), "{text}");
    push().await;
    let runs = client().get(format!("http://{address}/api/runs")).send().await.unwrap();
    assert_eq!(runs.json::<Value>().await.unwrap()["runs"], json!([]));
}

#[test]
fn file_that_does_not_exist_is_an_error_and_is_not_created() {
    let place = Place::new();
    let output = golo(&place, &["prune", "--keep", "30d"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(104) && said.contains("nothing is stored yet: there is no "), "{output:?}");
    assert!(!place.db().exists());
}

#[test]
fn age_is_required() {
    let place = Place::new();
    drop(place.store());
    let output = golo(&place, &["prune"]);
    assert!(output.status.code() == Some(104) && String::from_utf8_lossy(&output.stderr).contains("--keep"));
    Store::open_to_read(&place.db()).unwrap();
}
