//! Rows of feeds that are shared by the agents of one run.

use std::collections::BTreeMap;

use super::fleet::{Call, FEEDS, Fleet};

/// Runs the load test with feeds on two agents. Returns how often each row was used. It needs no target.
async fn dealt(fleet: &Fleet, flags: &str) -> BTreeMap<String, u64> {
    let ran = Call::new(fleet, FEEDS, "", flags).finish().await;
    ran.assert_ended_with(0, "PASSED");
    let summary = ran.summary();
    let check =
        |check: &serde_json::Value| (check["name"].as_str().unwrap().to_owned(), check["passed"].as_u64().unwrap());
    summary["checks"].as_array().unwrap().iter().map(check).collect()
}

/// Returns these rows, each used this many times.
fn rows(numbers: std::ops::Range<u64>, times: u64) -> BTreeMap<String, u64> {
    numbers.map(|number| (format!("row {number:02}"), times)).collect()
}

#[tokio::test]
async fn unique_rows_are_used_once_across_agents() {
    let fleet = Fleet::start(2).await;
    assert_eq!(dealt(&fleet, "-i 20 -u 4 -e ORDER=unique").await, rows(0..20, 1));
    // Each agent runs 12 triggers and owns 10 rows.
    let mut expected = rows(0..20, 1);
    expected.insert("no row left".to_owned(), 4);
    assert_eq!(dealt(&fleet, "-i 24 -u 2 --workers 2 -e ORDER=unique").await, expected);
    fleet.assert_idle().await;
}

#[tokio::test]
async fn unique_rows_are_used_once_even_if_setup_takes_some() {
    let fleet = Fleet::start(2).await;
    // `setup` runs on each agent before the plan is known there, and takes one row.
    let mut expected = rows(0..20, 1);
    expected.insert("no row left".to_owned(), 2);
    assert_eq!(dealt(&fleet, "-i 20 -u 2 -e ORDER=unique -e IN_SETUP=1").await, expected);
}

#[tokio::test]
async fn sequential_rows_are_used_evenly_across_agents() {
    let fleet = Fleet::start(2).await;
    let flags = "-i 40 -u 2 -e ORDER=sequential";
    assert_eq!(dealt(&fleet, flags).await, rows(0..20, 2));
    // The number of rows and the number of agents have no common factor.
    assert_eq!(dealt(&fleet, &format!("{flags} -e ROWS=5")).await, rows(0..5, 8));
}
