//! Faults of agents: each is reported, and none leaves a job or a process behind.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use golo_tests::{Signal, until};

use super::fleet::{Call, Fleet, JOBS, sample};

#[tokio::test]
async fn unreachable_agent_is_named_and_no_job_is_queued() {
    let mut fleet = Fleet::start(2).await;
    fleet.agents[1].kill().await;
    let target = sample();
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 1").finish().await;
    let said = format!("NOT STARTED: the agent {}: it cannot be reached: connection refused", fleet.agents[1].name);
    ran.assert_ended_with(107, &said);
    assert_eq!(ran.summary()["verdict"]["exit_code"], 107, "reports are written all the same");
    assert!(fleet.agents[0].jobs().await.is_empty());

    let stranger = format!("--agent {}", target.url());
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 1").alone().args(&stranger).finish().await;
    ran.assert_ended_with(107, "it does not answer like a golo agent");
}

#[tokio::test]
async fn same_agent_under_two_names_is_refused() {
    let fleet = Fleet::start(1).await;
    let target = sample();
    let port = fleet.agents[0].name.rsplit_once(':').unwrap().1;
    let other = format!("--agent localhost:{port}");
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 1").args(&other).finish().await;
    ran.assert_ended_with(107, "are the same agent: give each agent once");
    fleet.assert_idle().await;
    assert_eq!(target.counter().seen, 0);
}

#[tokio::test]
async fn load_test_refused_by_an_agent_is_not_started() {
    let fleet = Fleet::start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let program = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let ran = Call::new(&fleet, &program("other", b"MZ and more"), "", "-u 2 -d 1").finish().await;
    ran.assert_ended_with(107, "is a program for Windows");
    let ran = Call::new(&fleet, &program("text", b"no program"), "", "-u 2 -d 1").finish().await;
    ran.assert_ended_with(107, "is not a program");
    for agent in &fleet.agents {
        assert!(agent.jobs().await.is_empty());
    }

    // Only the agents find out that this program cannot start.
    let path = program("broken", b"#!/bin/sh\necho no licence >&2; exit 3\n");
    let ran = Call::new(&fleet, &path, "", "-u 2 -d 1").finish().await;
    ran.assert_ended_with(107, "NOT STARTED: the agent ");
    assert!(ran.finished.said("no licence") > 0, "{:#?}", ran.finished);
    fleet.assert_idle().await;
}

#[tokio::test]
async fn job_refused_by_one_agent_is_removed_from_the_others() {
    let mut fleet = Fleet::start(1).await;
    fleet.agents.push(super::Agent::start_with(2, &["--max-users", "3"]).await);
    let target = sample();
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 10 -d 600").finish().await;
    let said = format!("the agent {}: 5 users exceed this agent's `--max-users` of 3", fleet.agents[1].name);
    ran.assert_ended_with(107, &said);
    fleet.assert_idle().await;
    assert_eq!(target.counter().seen, 0);
}

#[tokio::test]
async fn full_queue_is_reported_and_other_jobs_are_cancelled() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let full = format!("--agent {}", fleet.agents[1].name);
    let first = Call::new(&fleet, JOBS, target.url(), "-u 1 -d 600").alone().args(&full).spawn();
    until("there is load", || target.counter().seen > 0).await;
    let binary = fleet.agents[1].jobs().await[0]["binary"].as_str().unwrap().to_owned();
    for _ in 0..32 {
        fleet.agents[1].queue(&format!(r#"{{"name": "get", "binary": "{binary}", "iterations": 1}}"#)).await;
    }
    let ran = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 600").finish().await;
    ran.assert_ended_with(107, "32 jobs are already waiting");
    assert!(fleet.agents[0].jobs().await.iter().all(|job| job["state"] == "cancelled"));
    first.program.signal(Signal::INT);
    first.finish().await.assert_ended_with(105, "STOPPED by a signal after");
}

#[tokio::test]
async fn lost_agent_ends_the_run_unless_it_may_continue() {
    let mut fleet = Fleet::start(3).await;
    let target = sample();
    let lost = fleet.agents[2].name.clone();
    let mut running = Call::new(&fleet, JOBS, target.url(), "-u 6 -d 600").spawn();
    running.program.stderr.wait_for("started together").await;
    until("there is load", || target.counter().seen > 50).await;
    fleet.agents[2].kill().await;
    running.program.stderr.wait_for(&format!("the agent {lost} was lost: it cannot be reached")).await;
    let ran = running.finish().await;
    ran.assert_ended_with(107, &format!("the agent {lost} was lost"));
    assert!(ran.requests() > 0 && ran.requests() <= target.counter().seen);
    fleet.assert_idle().await;

    fleet.agents[2].start_again().await;
    let target = sample();
    let flags = "-u 6 -d 15 --on-agent-loss continue";
    let running = Call::new(&fleet, JOBS, target.url(), flags).spawn();
    until("there is load", || target.counter().seen > 50).await;
    fleet.agents[2].kill().await;
    let ran = running.finish().await;
    ran.assert_ended_with(96, &format!("the agent {lost} was lost"));
    let summary = ran.summary();
    let loss = &summary["generator"]["lost_agents"][0];
    assert_eq!(loss["agent"], lost.as_str(), "{loss}");
    assert!(loss["from"].as_u64().unwrap() < 15_000_000_000, "{loss}");
    assert!(loss["reason"].as_str().unwrap().contains("it cannot be reached"), "{loss}");
    assert!(summary["run"]["load_time"].as_u64().is_none_or(|time| time >= 15_000_000_000), "the others went on");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn restarted_agent_counts_as_lost() {
    let mut fleet = Fleet::start(2).await;
    let target = sample();
    let running = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 600").spawn();
    until("there is load", || target.counter().seen > 10).await;
    fleet.agents[1].kill().await;
    fleet.agents[1].start_again().await;
    let ran = running.finish().await;
    ran.assert_ended_with(107, "its job failed: the agent ended while the job was running");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn load_test_killed_on_one_agent_loses_that_agent() {
    let fleet = Fleet::start(2).await;
    for (flags, code) in [("", 107), ("--on-agent-loss continue", 96)] {
        let target = sample();
        let flags = format!("-u 2 -d 4 {flags}");
        let running = Call::new(&fleet, JOBS, target.url(), &flags).spawn();
        until("there is load", || target.counter().seen > 10).await;
        fleet.agents[0].kill_load_test();
        let ran = running.finish().await;
        ran.assert_ended_with(code, &format!("the agent {} was lost", fleet.agents[0].name));
        fleet.assert_idle().await;
    }
}

#[tokio::test]
async fn job_stopped_on_an_agent_is_reported() {
    let mut fleet = Fleet::start(1).await;
    let target = sample();
    let running = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 600 --on-agent-loss continue").spawn();
    until("there is load", || target.counter().seen > 10).await;
    fleet.agents[0].program.as_ref().unwrap().signal(Signal::TERM);
    let ran = running.finish().await;
    // With a single agent, no agent is left to continue.
    ran.assert_ended_with(107, "was lost: its job was stopped");
    let agent = fleet.agents[0].program.take().unwrap();
    agent.finish().await;
    fleet.assert_idle().await;
}

#[tokio::test]
async fn standstill_on_one_agent_makes_the_run_invalid() {
    let fleet = Fleet::start(2).await;
    let time = Duration::from_millis(1500);
    for is_agent in [true, false] {
        let target = sample();
        let running = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 4").spawn();
        until("there is load", || target.counter().seen > 20).await;
        let agent = &fleet.agents[1];
        if is_agent {
            agent.program.as_ref().unwrap().freeze(time).await;
        } else {
            agent.freeze_load_test(time).await;
        }
        let ran = running.finish().await;
        ran.assert_ended_with(96, "INVALID");
        ran.finished.assert_stood_still();
        fleet.assert_idle().await;
    }
}

#[tokio::test]
async fn standstill_of_golo_submit_harms_no_run() {
    let fleet = Fleet::start(1).await;
    let target = sample();
    let running = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 4").spawn();
    until("there is load", || target.counter().seen > 20).await;
    running.program.freeze(Duration::from_millis(1500)).await;
    running.finish().await.assert_ended_with(0, "PASSED");
}

#[tokio::test]
async fn loss_of_the_terminal_stops_the_agents() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let running = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 600").spawn();
    until("there is load", || target.counter().seen > 20).await;
    running.program.signal(Signal::HUP);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal after");
    assert_eq!(ran.requests(), target.counter().seen);
    fleet.assert_idle().await;
}
