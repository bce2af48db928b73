//! The shop in every way to run: what golo counts is what the service counts.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use golo_tests::{Finished, Program, command};
use sample_service::SampleService;
use serde_json::Value;

const SHOP: &str = env!("CARGO_BIN_EXE_shop");

/// Returns the command `golo`, which is built first if it is not there.
fn golo() -> PathBuf {
    let path = Path::new(SHOP).with_file_name("golo");
    if !path.exists() {
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "golo-cli", "--bin", "golo"]);
        assert!(build.status().unwrap().success());
    }
    path
}

/// Runs a program with these flags. Returns its summary.
async fn run(program: &Path, target: &SampleService, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    let mut command = command(&program.display().to_string());
    command.env("GOLO_NO_KEEP", "1").env("TARGET_URL", target.url()).args(arguments);
    command.arg("-e").arg(format!("TARGET_URL={}", target.url()));
    command.arg("--out").arg(format!("summary={}", file.display()));
    let finished: Finished = Program::spawn(command).finish().await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Compares a summary with the counts of the service.
#[track_caller]
fn assert_counts(way: &str, summary: &Value, target: &SampleService) {
    let seen = target.counter().routes;
    let seen = |route: &str| seen.get(route).copied().unwrap_or_default();
    let rows = |key: &str| summary[key].as_array().unwrap().clone();
    let scenarios: BTreeMap<_, _> = rows("scenarios")
        .iter()
        .map(|row| (row["name"].as_str().unwrap().to_owned(), row["done"].as_u64().unwrap()))
        .collect();
    let [browsed, searched, bought] =
        ["browse", "search", "buy"].map(|name| scenarios.get(name).copied().unwrap_or_default());
    assert_eq!([browsed, searched + bought, bought, bought], ["/", "/items", "/items/{id}", "/buy"].map(seen), "{way}");
    let users = seen("/login");
    assert!((1..=20).contains(&users), "{way}: {users} logins, one for each user");
    let total = summary["requests"]["total"]["duration"]["count"].as_u64().unwrap();
    assert_eq!(total, browsed + searched + 3 * bought, "{way}: logins are no load");

    let groups = rows("groups");
    assert_eq!(groups[0]["duration"]["count"], bought, "{way}: {groups:#?}");
    let metrics = summary["metrics"]["metrics"].as_array().unwrap();
    let value = metrics.iter().find(|metric| metric["name"] == "cart_value").unwrap();
    assert_eq!(value["total"]["count"], bought, "{way}: {value:#?}");
    let tags = summary["request_tags"]["values"].as_array().unwrap();
    let of_tier = tags.iter().filter(|row| row["key"] == "tier");
    let tiers: u64 = of_tier.map(|row| row["duration"]["count"].as_u64().unwrap()).sum();
    assert_eq!(tiers, total, "{way}: each request has a tier");
    let thresholds = rows("thresholds");
    assert!(thresholds.len() == 4 && thresholds.iter().all(|one| one["passed"] == true), "{way}: {thresholds:#?}");
}

#[tokio::test]
async fn counts_equal_those_of_the_service_in_every_way() {
    let target = sample_service::start().unwrap();
    for scenario in ["browse", "search", "buy"] {
        let mut once = command(SHOP);
        once.env("TARGET_URL", target.url()).args(["once", "--scenario", scenario]);
        let finished = Program::spawn(once).finish().await;
        assert_eq!(finished.code, Some(0), "{finished:#?}");
    }
    let seen = target.counter().routes;
    assert_eq!([seen["/"], seen["/items"], seen["/items/{id}"], seen["/buy"], seen["/login"]], [1, 2, 1, 1, 3]);

    let stages = ["--stage", "1s:6,1s:6,1s:0"];
    target.reset_counter();
    let summary = run(Path::new(SHOP), &target, &[&["run"], &stages[..]].concat()).await;
    assert_counts("run", &summary, &target);

    target.reset_counter();
    let summary = run(&golo(), &target, &[&["run", SHOP], &stages[..]].concat()).await;
    assert_counts("golo run", &summary, &target);

    let (mut agents, mut folders) = (Vec::new(), Vec::new());
    for number in 1..=2 {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = command(&golo().display().to_string());
        agent.args(["agent", "--addr", &format!("127.0.0.{number}:0"), "--data"]).arg(folder.path());
        agents.push(Program::listen(agent).await);
        folders.push(folder);
    }
    target.reset_counter();
    let addresses: Vec<_> = agents.iter().flat_map(|(_, address)| ["--agent", address]).collect();
    let summary = run(&golo(), &target, &[&["submit", SHOP], &stages[..], &addresses].concat()).await;
    assert_counts("submit", &summary, &target);
    for (agent, _) in agents {
        agent.stop().await;
    }
}
