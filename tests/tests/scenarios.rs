//! Scenarios: weights and loads of their own, in every way to run. The target counts the requests of each scenario, which
//! has a route of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "golo_submit/fleet.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fleet;

use std::collections::BTreeMap;
use std::fs;

use golo_tests::{Finished, Program, command, connect, context, job, output, trigger};
use sample_service::SampleService;
use serde_json::Value;

use fleet::{Call, Fleet, sample};

const SCENARIOS: &str = env!("CARGO_BIN_EXE_scenarios");

/// Route of each scenario's request.
const ROUTES: [(&str, &str); 5] = [
    ("browse", "/"),
    ("search", "/items"),
    ("buy", "/items/{id}"),
    ("audit", "/status/{code}"),
    ("restock", "/bytes/{n}"),
];

/// Number of requests of each scenario that the target has seen. Those without any are left out.
fn seen(target: &SampleService) -> BTreeMap<String, u64> {
    let routes = target.counter().routes;
    let count =
        |(name, route): &(&str, &str)| Some(((*name).to_owned(), *routes.get(*route).filter(|seen| **seen > 0)?));
    ROUTES.iter().filter_map(count).collect()
}

fn expected(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Number of triggers of each scenario in a summary.
fn reported(summary: &Value) -> BTreeMap<String, u64> {
    let row = |row: &Value| (row["name"].as_str().unwrap().to_owned(), row["done"].as_u64().unwrap());
    summary["scenarios"].as_array().unwrap().iter().map(row).collect()
}

/// Runs a program with these arguments. Returns how it ended, and its summary.
async fn run(program: &str, target: &SampleService, arguments: &str) -> (Finished, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("summary.json");
    let mut command = command(program);
    command.env("TARGET_URL", target.url()).env("GOLO_NO_KEEP", "1").args(arguments.split_whitespace());
    command.arg("--out").arg(format!("summary={}", file.display()));
    let finished = Program::spawn(command).finish().await;
    let summary = fs::read(&file).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    (finished, summary)
}

const GOLO: &str = env!("CARGO_BIN_EXE_golo-command");

#[tokio::test]
async fn weights_are_dealt_exactly_alone_and_on_workers() {
    for (program, arguments) in [
        (SCENARIOS, "run -u 4 -i 1000 --workers 1".to_owned()),
        (SCENARIOS, "run -u 7 -i 1000 --workers 4".to_owned()),
        (SCENARIOS, "run -r 2000/s -i 1000 --workers 4 --max-users 2000 --max-lag 1m".to_owned()),
        (SCENARIOS, "run -u 4 --pace 1ms -i 1000 --warm-up 100ms --seed 7 --max-lag 1m".to_owned()),
        (GOLO, format!("run {SCENARIOS} -u 5 -i 1000 --workers 4")),
        (
            GOLO,
            format!(
                "run {SCENARIOS} -u 5 -i 1000 --workers 4 --drive trigger --scenario browse:weight=70 \
                        --scenario search:weight=25 --scenario buy:weight=5"
            ),
        ),
    ] {
        let target = sample();
        let flags = format!("{arguments} --scenario restock:weight=0");
        let (finished, summary) = run(program, &target, &flags).await;
        assert_eq!(finished.code, Some(0), "{flags}: {finished:#?}");
        let counts = expected(&[("browse", 700), ("search", 250), ("buy", 50)]);
        assert_eq!(reported(&summary), counts, "{flags}");
        if !flags.contains("warm-up") {
            assert_eq!(seen(&target), counts, "{flags}");
        }
    }
}

#[tokio::test]
async fn weights_are_dealt_exactly_on_agents() {
    let fleet = Fleet::start(3).await;
    let target = sample();
    let flags = "-u 6 -i 1000 --scenario restock:weight=0";
    let ran = Call::new(&fleet, SCENARIOS, target.url(), flags).finish().await;
    ran.assert_ended_with(0, "\u{2713} iteration_failed{scenario:buy} rate<50%");
    let counts = expected(&[("browse", 700), ("search", 250), ("buy", 50)]);
    assert_eq!((seen(&target), reported(&ran.summary())), (counts.clone(), counts));
    fleet.assert_idle().await;
}

#[tokio::test]
async fn agent_refuses_a_completed_plan_beyond_its_limits() {
    let agent = fleet::Agent::start_with(1, &["--max-users", "50"]).await;
    let fleet = Fleet { agents: vec![agent] };
    let target = sample();
    let ran = Call::new(&fleet, SCENARIOS, target.url(), "-u 6 -d 2").finish().await;
    ran.assert_ended_with(107, "10006 users exceed this agent's `--max-users` of 50");
    assert_eq!(seen(&target), BTreeMap::new(), "nothing was sent");
    let ran = Call::new(&fleet, SCENARIOS, target.url(), "-u 6 -i 20 --scenario restock:weight=0").finish().await;
    ran.assert_ended_with(0, "PASSED");
}

#[tokio::test]
async fn scenario_with_its_own_load_runs_beside_the_others() {
    let fleet = Fleet::start(2).await;
    for way in ["run", "golo run", "submit"] {
        let target = sample();
        let flags = "-u 2 -d 3s --max-lag 1m";
        let summary = match way {
            "run" => run(SCENARIOS, &target, &format!("run {flags}")).await.1,
            "golo run" => run(GOLO, &target, &format!("run {SCENARIOS} {flags}")).await.1,
            _ => Call::new(&fleet, SCENARIOS, target.url(), flags).finish().await.summary(),
        };
        let (seen, reported) = (seen(&target), reported(&summary));
        assert_eq!(seen, reported, "{way}");
        assert_eq!(seen["restock"], 20, "{way}: 20/s for 1 s");
        let plan =
            "browse 70, search 25, buy 5: 2 users for 3s; restock: 20/s for 1s, at most 10000 in flight, from 1s on";
        assert_eq!(summary["run"]["plan"], plan, "{way}");
        assert_eq!(summary["run"]["model"], "mixed", "{way}");
        // Its requests came in its own second.
        let points = summary["timeline"]["points"].as_array().unwrap();
        assert!(points.len() >= 3, "{way}: {points:#?}");
    }
}

#[tokio::test]
async fn one_scenario_is_run_or_triggered_alone() {
    let target = sample();
    let (finished, summary) = run(SCENARIOS, &target, "run --only audit -i 5 -u 1").await;
    assert_eq!((finished.code, seen(&target)), (Some(0), expected(&[("audit", 5)])), "{finished:#?}");
    assert_eq!(summary["scenarios"], Value::Array(Vec::new()), "one scenario needs no table");
    target.reset_counter();
    let (finished, _) = run(GOLO, &target, &format!("run {SCENARIOS} --only restock")).await;
    // It starts at once.
    assert_eq!((finished.code, seen(&target)), (Some(0), expected(&[("restock", 20)])), "{finished:#?}");
    target.reset_counter();
    let mut once = command(SCENARIOS);
    once.env("TARGET_URL", target.url()).args(["once", "--scenario", "buy"]);
    let finished = Program::spawn(once).finish().await;
    assert_eq!((finished.code, seen(&target)), (Some(0), expected(&[("buy", 1)])), "{finished:#?}");
    let cleared = ["the prices /items/3 are cleared", "the load test is cleared"];
    assert!(cleared.iter().all(|line| finished.said(line) == 1), "{finished:#?}");
}

#[tokio::test]
async fn job_file_sets_scenarios_and_their_thresholds() {
    let (target, folder) = (sample(), tempfile::tempdir().unwrap());
    let file = folder.path().join("job.toml");
    let job = "users = 3\niterations = 40\n[scenario.browse]\nweight = 3\n[scenario.search]\nweight = 1\n\
               [scenario.buy]\nweight = 0\n[scenario.restock]\nusers = 1\niterations = 7\nstart = 0\nduration = '5s'\n\
               threshold = ['iterations count>=8', 'iteration_failed rate<1%']\n";
    fs::write(&file, job).unwrap();
    for (program, arguments) in [(SCENARIOS, "run".to_owned()), (GOLO, format!("run {SCENARIOS}"))] {
        target.reset_counter();
        let (finished, summary) = run(program, &target, &format!("{arguments} --file {}", file.display())).await;
        assert_eq!(finished.code, Some(99), "{finished:#?}");
        assert_eq!(seen(&target), expected(&[("browse", 30), ("search", 10), ("restock", 7)]));
        let verdicts: Vec<_> = summary["thresholds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["threshold"].as_str().unwrap().to_owned(), one["passed"].as_bool().unwrap()))
            .collect();
        assert!(verdicts.contains(&("iterations{scenario:restock} count>=8".to_owned(), false)), "{verdicts:?}");
        assert!(verdicts.contains(&("iteration_failed{scenario:restock} rate<1%".to_owned(), true)), "{verdicts:?}");
    }
}

#[tokio::test]
async fn wrong_scenario_is_an_error_before_any_load() {
    let target = sample();
    for (arguments, expected) in [
        (
            "run --only bye",
            "the load test has no scenario `bye`: expected `browse`, `search`, `buy`, `audit` or `restock`",
        ),
        ("run --scenario browze:weight=1", "the load test has no scenario `browze`: did you mean `browse`?"),
        ("run --scenario buy:user=1", "`user` is no setting of a scenario: did you mean `users`?"),
        ("run --scenario buy", "expected NAME:KEY=VALUE,…, as in `buy:rate=10/s,start=30s`"),
        (
            "run -d 1s --scenario buy:users=1,start=2s",
            "in the scenario `buy`: it starts after the end of the run, which takes 1s",
        ),
        ("once --scenario bye", "the load test has no scenario `bye`"),
    ] {
        let mut command = command(SCENARIOS);
        command.env("TARGET_URL", target.url()).args(arguments.split_whitespace());
        let finished = Program::spawn(command).finish().await;
        assert_eq!(finished.code, Some(104), "{arguments}: {finished:#?}");
        assert!(finished.stderr.join(" ").contains(expected), "{arguments}: {finished:#?}");
    }
    let (finished, _) = run(GOLO, &target, &format!("run {SCENARIOS} --only browze")).await;
    assert_eq!(finished.code, Some(107), "{finished:#?}");
    let said = finished.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the load test has no scenario `browze`: did you mean `browse`?"), "{said}");
    let mut alone = command(env!("CARGO_BIN_EXE_jobs"));
    alone.args(["run", "--only", "buy"]);
    let finished = Program::spawn(alone).finish().await;
    assert_eq!(finished.code, Some(104), "{finished:#?}");
    assert!(finished.stderr.join(" ").contains("the load test has no scenarios"), "{finished:#?}");
    assert_eq!(target.counter().seen, 0);
}

#[tokio::test]
async fn served_load_test_triggers_the_named_scenario_or_deals_one() {
    let target = sample();
    let mut command = command(SCENARIOS);
    command.env("TARGET_URL", target.url());
    let program = Program::serve(command).await;
    let channel = connect(&program.address).await;
    let named = |user, scenario: &str| {
        let context = golo::Context { scenario: Some(scenario.to_owned()), ..context("shop", user, 0) };
        trigger(&channel, context)
    };
    // The second one needs another state of the same user.
    for scenario in ["browse", "restock", "audit"] {
        let response = named(1, scenario).await.unwrap();
        assert!(!response.error, "{scenario}: {response:?}");
    }
    let response = named(1, "bye").await.unwrap();
    assert_eq!(
        response.output,
        "the load test has no scenario `bye`: expected `browse`, `search`, `buy`, `audit` or `restock`"
    );
    for _ in 0..20 {
        let response = trigger(&channel, job("shop")).await.unwrap();
        assert!(!response.error, "{response:?}");
    }
    let counts = [("audit", 1), ("browse", 15), ("buy", 1), ("restock", 1), ("search", 5)];
    assert_eq!(seen(&target), expected(&counts), "of any 20, 14 browse, 5 search and one buys");
    let finished = program.stop().await;
    assert_eq!(finished.stdout.len(), 23);
    for line in &finished.stdout {
        output(line);
    }
}

#[tokio::test]
async fn shown_run_has_the_scenarios_of_the_load_test() {
    let (target, folder) = (sample(), tempfile::tempdir().unwrap());
    let golo = |arguments: &str| {
        let mut command = command(GOLO);
        command
            .env("TARGET_URL", target.url())
            .env_remove("GOLO_NO_KEEP")
            .env("GOLO_DB", folder.path().join("runs.db"));
        command.args(arguments.split_whitespace());
        Program::spawn(command).finish()
    };
    let ran =
        golo(&format!("run {SCENARIOS} -u 2 -i 60 --scenario restock:users=1,iterations=5,start=0,duration=9s")).await;
    let shown = golo("show latest").await;
    assert_eq!((ran.code, shown.code), (Some(0), Some(0)), "{ran:#?}");
    assert_eq!(ran.stdout, shown.stdout);
    let text = shown.stdout.join("\n");
    let thresholds =
        ["\u{2713} iteration_failed{scenario:buy} rate<50%", "\u{2713} http_reqs{scenario:buy} count>=1         3"];
    for line in ["Scenarios ", "  browse ", "  restock "].iter().chain(&thresholds) {
        assert!(text.contains(line), "{line}: {text}");
    }
}
