//! Rows of feeds, dealt by agents that run one plan together.

use std::collections::BTreeMap;

use super::fleet::{Call, FEEDS, Fleet};

/// Runs the load test with feeds on two agents, and returns how often each row was dealt: no target is needed.
async fn dealt(fleet: &Fleet, flags: &str) -> BTreeMap<String, u64> {
    let ran = Call::new(fleet, FEEDS, "", flags).finish().await;
    ran.assert_ended_with(0, "PASSED");
    let summary = ran.summary();
    let check =
        |check: &serde_json::Value| (check["name"].as_str().unwrap().to_owned(), check["passed"].as_u64().unwrap());
    summary["checks"].as_array().unwrap().iter().map(check).collect()
}

/// Rows of these numbers, each dealt so often.
fn rows(numbers: std::ops::Range<u64>, times: u64) -> BTreeMap<String, u64> {
    numbers.map(|number| (format!("row {number:02}"), times)).collect()
}

#[tokio::test]
async fn unique_rows_are_dealt_once_over_all_agents() {
    let fleet = Fleet::start(2).await;
    assert_eq!(dealt(&fleet, "-i 20 -u 4 -e ORDER=unique").await, rows(0..20, 1));
    // Each agent makes 12 triggers and owns 10 rows.
    let mut expected = rows(0..20, 1);
    expected.insert("no row left".to_owned(), 4);
    assert_eq!(dealt(&fleet, "-i 24 -u 2 --workers 2 -e ORDER=unique").await, expected);
    fleet.assert_idle().await;
}

#[tokio::test]
async fn unique_rows_are_dealt_once_even_if_setup_takes_some() {
    let fleet = Fleet::start(2).await;
    // `setup` runs on each agent before the plan is known there, and takes one row.
    let mut expected = rows(0..20, 1);
    expected.insert("no row left".to_owned(), 2);
    assert_eq!(dealt(&fleet, "-i 20 -u 2 -e ORDER=unique -e IN_SETUP=1").await, expected);
}

#[tokio::test]
async fn sequential_rows_are_even_over_all_agents() {
    let fleet = Fleet::start(2).await;
    let flags = "-i 40 -u 2 -e ORDER=sequential";
    assert_eq!(dealt(&fleet, flags).await, rows(0..20, 2));
    // Their number and that of the agents have no factor in common.
    assert_eq!(dealt(&fleet, &format!("{flags} -e ROWS=5")).await, rows(0..5, 8));
}
