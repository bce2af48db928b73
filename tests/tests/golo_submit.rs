//! `golo submit`: agents that run one plan together. The report must match the requests that the target received and
//! the records of the agents. Nothing may remain on any agent.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "golo_submit/certificates.rs"]
mod certificates;
#[path = "golo_submit/data.rs"]
mod data;
#[path = "golo_submit/detached.rs"]
mod detached;
#[path = "golo_submit/faults.rs"]
mod faults;
#[path = "golo_submit/feeds.rs"]
mod feeds;
#[path = "golo_submit/fleet.rs"]
mod fleet;
#[path = "golo_submit/kept.rs"]
mod kept;
#[path = "golo_submit/large.rs"]
mod large;
#[path = "golo_submit/leases.rs"]
mod leases;
#[path = "golo_submit/setup.rs"]
mod setup;
#[path = "golo_submit/steered.rs"]
mod steered;

use std::{collections::BTreeSet, fs};

use golo::engine::histogram::Histogram;
use golo::pb::engine::event::Event;
use golo::pb::results::record::Record as Kind;
use golo::wire;
use golo_tests::{Program, Signal, until};
use serde_json::Value;

use fleet::{Agent, BINARY, Call, Fleet, JOBS, sample};

const REPORTS: &str = env!("CARGO_BIN_EXE_reports");

/// The route is unnamed but selected by a threshold. It fails only after so many other paths that the series are full.
#[tokio::test]
async fn failures_of_a_selected_route_are_not_hidden_by_other_paths() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let flags = "-u 4 -i 2800 --name unnamed -t http_req_failed{route:/status/{id}}rate<1%";
    let ran = Call::new(&fleet, REPORTS, target.url(), flags).finish().await;
    ran.assert_ended_with(99, "33.");
}

#[tokio::test]
async fn report_matches_the_target_and_the_agents_records() {
    let fleet = Fleet::start(3).await;
    for (flags, expected) in [
        ("-u 10 -d 2", None),
        ("-r 301/s -d 1", Some(301)),
        ("-u 7 -i 300 --workers 2", Some(300)),
        ("-u 4 --pace 100ms -d 1", Some(40)),
    ] {
        let target = sample();
        let ran = Call::new(&fleet, JOBS, target.url(), flags).finish().await;
        let is_late = ran.finished.code == Some(96) && ran.finished.stdout.join(" ").contains("starts were late");
        ran.assert_ended_with(if is_late { 96 } else { 0 }, "Requests");
        let seen = target.counter().seen;
        assert_eq!(ran.requests(), seen, "{flags}");
        assert!(expected.is_none_or(|expected| seen == expected), "{flags}: {seen}");

        // Each agent has its share, and the shares add up to the plan.
        let jobs = fleet.last_jobs().await;
        let shares: Vec<_> = jobs.iter().map(|job| job["share"].to_string()).collect();
        let expected = [r#"{"index":0,"of":3}"#, r#"{"index":1,"of":3}"#, r#"{"index":2,"of":3}"#];
        assert_eq!(shares, expected, "{flags}");
        let sum: u64 = jobs.iter().map(|job| job["requests"].as_u64().unwrap()).sum();
        assert_eq!(sum, seen, "{flags}");
        assert!(jobs.iter().all(|job| job["state"] == "completed"), "{jobs:?}");
        assert_eq!(jobs.iter().map(|job| job["run"].as_str()).collect::<BTreeSet<_>>().len(), 1, "one run");

        // Percentiles are computed from one merged histogram of all agents.
        let mut all = Histogram::new();
        for (agent, job) in fleet.agents.iter().zip(&jobs) {
            for record in agent.records(job["id"].as_str().unwrap()).await {
                let Some(Kind::Event(event)) = record.record else { continue };
                let snapshot = match event.event {
                    Some(Event::Second(second)) => second.snapshot,
                    Some(Event::Finished(finished)) => finished.rest,
                    _ => None,
                };
                let Some(snapshot) = snapshot else { continue };
                for series in &snapshot.requests {
                    all.merge(&wire_histogram(series.durations.as_ref().unwrap()));
                }
            }
        }
        let total = &ran.summary()["requests"]["total"]["duration"];
        assert_eq!(total["count"], all.count(), "{flags}");
        for (key, quantile) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
            assert_eq!(total[key].as_u64(), all.quantile(quantile), "{flags}: {key}");
        }
    }
}

fn wire_histogram(written: &golo::pb::engine::Histogram) -> Histogram {
    Histogram::try_from(written).map_err(|error: wire::WireError| error.to_string()).unwrap()
}

#[tokio::test]
async fn unreachable_target_fails_the_run_of_all_agents() {
    let fleet = Fleet::start(2).await;
    let refused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let ran = Call::new(&fleet, JOBS, &refused, "--name get -u 4 -i 20").finish().await;
    ran.assert_ended_with(99, "FAILED: nothing succeeded: every request failed: connect: ");
    let wanted = Call::new(&fleet, JOBS, &refused, "--name get -u 4 -i 20 -t http_req_failed{error:connect}rate==100%");
    wanted.finish().await.assert_ended_with(0, "PASSED, but every request failed");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn agents_start_together_and_the_skew_is_reported() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 1").finish().await;
    ran.assert_ended_with(0, "PASSED");
    assert_eq!(ran.finished.said("started together within "), 1, "{:#?}", ran.finished.stderr);
    assert_eq!(ran.finished.said("(clocks known to ±"), 1, "{:#?}", ran.finished.stderr);
    for agent in &fleet.agents {
        assert_eq!(ran.finished.said(&format!("  {}  +", agent.name)), 1, "{:#?}", ran.finished.stderr);
    }
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 1 -q").finish().await;
    ran.assert_ended_with(0, "PASSED");
    assert!(ran.finished.stderr.is_empty(), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn load_test_is_uploaded_once_to_each_agent_without_it() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let one = fleet.agents[0].name.clone();
    let flags = format!("-i 2 --agent {one}");
    let ran = Call::new(&fleet, BINARY, target.url(), "").alone().args(&flags).finish().await;
    ran.assert_ended_with(0, "PASSED");
    assert_eq!(ran.finished.said(&format!("to {one}")), 1, "{:#?}", ran.finished.stderr);
    let ran = Call::new(&fleet, BINARY, target.url(), "-i 4").finish().await;
    ran.assert_ended_with(0, "PASSED: 4 requests");
    assert_eq!(ran.finished.said(&format!("to {}", fleet.agents[1].name)), 1, "{:#?}", ran.finished.stderr);
    let ran = Call::new(&fleet, BINARY, target.url(), "-i 4").finish().await;
    assert_eq!(ran.finished.said("uploading"), 0, "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn agents_without_a_share_are_not_used() {
    let fleet = Fleet::start(3).await;
    let target = sample();
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -i 8").finish().await;
    ran.assert_ended_with(0, "PASSED: 8 requests");
    let said = format!("the agent {} is not used", fleet.agents[2].name);
    assert_eq!(ran.finished.said(&said), 1, "{:#?}", ran.finished.stderr);
    assert!(fleet.agents[2].jobs().await.is_empty());
}

#[tokio::test]
async fn thresholds_apply_to_all_agents_together_and_can_abort_the_run() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let mut call = Call::new(&fleet, JOBS, target.url(), "--name fail -i 10");
    call.command.args(["-t", "iteration_failed rate<1%", "-t", "iterations count>=10"]);
    let ran = call.finish().await;
    ran.assert_ended_with(99, "FAILED: iteration_failed rate<1% was 100%");
    assert_eq!(ran.summary()["errors"][0]["text"], "out of stock");
    assert_eq!(ran.summary()["thresholds"][1]["passed"], true, "neither has made 10");

    let mut call = Call::new(&fleet, JOBS, target.url(), "-u 4 -d 600 --abort-on-fail");
    call.command.args(["--name", "take half a second", "-t", "iterations count<5"]);
    let ran = call.finish().await;
    ran.assert_ended_with(99, "FAILED after");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn windows_are_judged_over_all_agents_together() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    // Each agent alone has half of the triggers.
    let mut call = Call::new(&fleet, JOBS, target.url(), "-u 4 --pace 100ms -d 600 --abort-on-fail --max-lag 10s");
    call.command.args(["-t", "iterations count>=1 over 2s", "-t", "iterations count<50 over 2s"]);
    let ran = call.finish().await;
    ran.assert_ended_with(99, "FAILED after");
    let thresholds = &ran.summary()["thresholds"];
    assert_eq!([&thresholds[0]["passed"], &thresholds[1]["passed"]], [true, false], "{thresholds}");
    assert_eq!(thresholds[1]["windows"]["failed"], 1, "{thresholds}");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn samples_of_all_agents_are_merged() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut call = Call::new(&fleet, REPORTS, target.url(), "--name fail -u 4 -i 60");
    call.command.args(["--mask", "x-account", "-o", &format!("failures={}", file.path().display())]);
    let ran = call.finish().await;
    ran.assert_ended_with(99, "FAILED: nothing succeeded");
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(text.lines().count(), 10, "of one route and kind: {text}");
    assert!(text.lines().all(|line| line.contains(r#""kind":"status","error":"status 500""#)), "{text}");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn signal_stops_every_agent_and_the_report_is_written() {
    let fleet = Fleet::start(3).await;
    let target = sample();
    let running = Call::new(&fleet, JOBS, target.url(), "-u 6 -d 600").spawn();
    until("there is load", || target.counter().seen > 50).await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal after");
    assert_eq!(ran.requests(), target.counter().seen);
    fleet.assert_idle().await;

    // A second signal interrupts the triggers in flight.
    let target = sample();
    let mut running = Call::new(&fleet, JOBS, target.url(), "--name hang -u 6 -d 600").spawn();
    until("each user waits", || target.counter().seen == 6).await;
    running.program.signal(Signal::INT);
    running.program.stderr.wait_for("finishing the triggers in flight").await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "6 of 6 triggers cut off");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn signal_during_the_wait_in_a_queue_removes_the_jobs() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let busy = fleet.agents[1].name.clone();
    let first = Call::new(&fleet, JOBS, target.url(), "-u 1 -d 600").alone().args(&format!("--agent {busy}")).spawn();
    until("there is load", || target.counter().seen > 0).await;
    let mut second = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 1").spawn();
    second.program.stderr.wait_for(&format!("waiting for {busy}, which has a job before this one")).await;
    second.program.signal(Signal::INT);
    second.program.stderr.wait_for("giving up getting the agents ready").await;
    let ran = second.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal");
    let states = |jobs: &[Value]| jobs.iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(states(&fleet.agents[0].jobs().await), ["cancelled"]);
    assert_eq!(states(&fleet.agents[1].jobs().await), ["running", "cancelled"]);
    first.program.signal(Signal::INT);
    first.finish().await.assert_ended_with(105, "STOPPED by a signal after");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn signal_during_an_upload_leaves_no_job() {
    let fleet = Fleet::start(2).await;
    let mut running = Call::new(&fleet, BINARY, "", "-u 2 -d 600").spawn();
    running.program.stderr.wait_for("uploading").await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal");
    assert!(fleet.agents[0].jobs().await.is_empty() && fleet.agents[1].jobs().await.is_empty());
    fleet.assert_idle().await;
}

#[tokio::test]
async fn agent_with_tls_is_trusted_through_its_ca() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(file("cert.pem"), certified.cert.pem()).unwrap();
    fs::write(file("key.pem"), certified.signing_key.serialize_pem()).unwrap();
    let flags = ["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")];
    let fleet = Fleet { agents: vec![Agent::start_with(1, &flags).await] };
    let secure = format!("--agent https://{}", fleet.agents[0].name);
    let call = |flags: &str| Call::new(&fleet, JOBS, target.url(), "-i 4").alone().args(flags).finish();
    call(&format!("{secure} --ca {}", file("cert.pem"))).await.assert_ended_with(0, "PASSED: 4 requests");
    call(&secure).await.assert_ended_with(107, "its certificate is not trusted");
    call(&format!("--agent {}", fleet.agents[0].name)).await.assert_ended_with(107, "NOT STARTED: the agent");
    assert_eq!(target.counter().seen, 4);
}

#[tokio::test]
async fn hosts_and_token_can_be_set_in_the_environment_and_tokens_are_hidden() {
    let target = sample();
    let agent = Agent::start_with(1, &["--token", "hush-hush"]).await;
    let fleet = Fleet { agents: vec![agent] };
    let call = |token: Option<&str>| {
        let mut call = Call::new(&fleet, JOBS, target.url(), "-i 2").alone();
        call.command.env("GOLO_HOSTS", format!(" {},", fleet.agents[0].name));
        token.map(|token| call.command.env("GOLO_TOKEN", token));
        call
    };
    call(Some("hush-hush")).finish().await.assert_ended_with(0, "PASSED: 2 requests");
    for (token, said) in [(None, "it wants a token"), (Some("hush-not"), "it has another token")] {
        let ran = call(token).finish().await;
        ran.assert_ended_with(107, said);
        assert!(!format!("{:?}", ran.finished).contains("hush"), "{:?}", ran.finished);
    }
    assert_eq!(target.counter().seen, 2);
}

#[tokio::test]
async fn invalid_command_line_queues_no_job() {
    let fleet = Fleet::start(1).await;
    let name = &fleet.agents[0].name;
    for (flags, said) in [
        (format!("--agent {name} --agent {name}"), "is given twice"),
        (format!("--agent {name} --out jsonl=-"), "raw lines stay on the agents"),
        (format!("--agent {name} -u 3 -r 5/s"), "`--users` and `--rate` are two kinds of plan"),
        (format!("--agent {name} --on-agent-loss wait"), "expected `fail` or `continue`"),
        (
            format!("--agent {name} --detach -o summary=s.json"),
            "`--out summary=…` needs a process that follows the run",
        ),
        (format!("--agent {name} --detach --abort-on-fail"), "give it to `golo attach`"),
        (format!("--agent {name} --detach --web"), "`--web` needs a process that follows the run to its end"),
        (String::new(), "no agents: give each with `--agent HOST:PORT`"),
    ] {
        let mut command = golo_tests::command(env!("CARGO_BIN_EXE_golo-command"));
        command.env_remove("GOLO_HOSTS").args(["submit", JOBS]).args(flags.split_whitespace());
        let finished = Program::spawn(command).finish().await;
        let text = finished.stderr.join("\n");
        let is_said =
            text.contains(said) || (flags.contains("wait") && text.contains("possible values: fail, continue"));
        assert!(finished.code == Some(104) && is_said, "{flags}: {finished:#?}");
    }
    assert!(fleet.agents[0].jobs().await.is_empty());
}

#[tokio::test]
async fn tags_of_all_agents_are_merged() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let ran =
        Call::new(&fleet, JOBS, target.url(), "--name tag -u 4 -i 100").args("-t tag{number}count==100").finish().await;
    ran.assert_ended_with(0, "Tags");
    let summary = ran.summary();
    let tag =
        |key: &str| summary["tags"]["keys"].as_array().unwrap().iter().find(|tag| tag["key"] == key).unwrap().clone();
    assert_eq!((&tag("status")["values"][0]["value"], &tag("status")["passed"]), (&"200 OK".into(), &100.into()));
    assert_eq!(tag("number")["numbers"]["count"], 100);
}
