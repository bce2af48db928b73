//! A `setup` that runs once for all agents.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use golo_tests::{Finished, Signal, until};
use tempfile::TempDir;

use super::fleet::{Call, Fleet, SETUPS};

/// The steps of a run, one line each.
struct Notes {
    folder: TempDir,
}

impl Notes {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("notes")
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.path()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn call(&self, fleet: &Fleet, flags: &str) -> Call {
        Call::new(fleet, SETUPS, "", &format!("-e NOTES={} {flags}", self.path().display()))
    }

    /// Waits until `setup` has begun.
    async fn wait_for_setup(&self) {
        until("`setup` has begun", || self.lines() == ["setup begins"]).await;
    }
}

#[tokio::test]
async fn setup_and_teardown_run_once_and_all_agents_have_the_value() {
    let fleet = Fleet::start(2).await;
    let notes = Notes::new();
    let ran = notes.call(&fleet, "-u 4 -i 8").finish().await;
    ran.assert_ended_with(0, "PASSED");
    let lines = notes.lines();
    let [begins, setup, triggers @ .., teardown] = &lines[..] else { panic!("{lines:?}") };
    let token = setup.strip_prefix("setup ").unwrap();
    assert_eq!((&**begins, teardown.strip_prefix("teardown ")), ("setup begins", Some(token)));
    let processes: BTreeSet<_> =
        triggers.iter().map(|line| line.strip_prefix("trigger ").unwrap().strip_suffix(token).unwrap()).collect();
    assert_eq!((triggers.len(), processes.len()), (8, 2), "{lines:?}");
    // It could be a secret.
    let Finished { stdout, stderr, .. } = &ran.finished;
    assert!(!format!("{stdout:?}{stderr:?}{}", ran.summary()).contains(token));
    for agent in &fleet.agents {
        assert!(!agent.has_stored(token), "{}", agent.name);
    }
    fleet.assert_idle().await;
}

#[tokio::test]
async fn setup_runs_on_a_single_agent_too() {
    let fleet = Fleet::start(1).await;
    let notes = Notes::new();
    notes.call(&fleet, "-u 1 -i 1").finish().await.assert_ended_with(0, "PASSED");
    assert_eq!(notes.lines().len(), 4, "{:?}", notes.lines());
}

#[tokio::test]
async fn setup_that_fails_starts_no_run_and_all_agents_know_why() {
    let fleet = Fleet::start(2).await;
    for (setup, reason) in
        [("fails", "the shop is closed"), ("is large", "is 1500016 bytes of JSON, and at most 1048576")]
    {
        let notes = Notes::new();
        let mut call = notes.call(&fleet, "-u 4 -i 8");
        call.command.arg("-e").arg(format!("SETUP={setup}"));
        let ran = call.finish().await;
        ran.assert_ended_with(107, reason);
        assert!(!ran.finished.stderr.join(" ").contains("hush"));
        assert_eq!(notes.lines().iter().filter(|line| line.starts_with("trigger")).count(), 0);
        for (agent, job) in fleet.agents.iter().zip(fleet.last_jobs().await) {
            let ended = agent.end(job["id"].as_str().unwrap()).await;
            assert!(format!("{} {ended:?}", job["reason"]).contains(reason), "{}: {job}, {ended:?}", agent.name);
        }
    }
    fleet.assert_idle().await;
}

#[tokio::test]
async fn interrupt_ends_a_setup_that_others_wait_for() {
    let fleet = Fleet::start(2).await;
    let notes = Notes::new();
    let running = notes.call(&fleet, "-u 4 -i 8 -e SETUP=hangs").spawn();
    notes.wait_for_setup().await;
    running.program.signal(Signal::INT);
    running.finish().await.assert_ended_with(105, "getting the agents ready");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn agent_that_dies_in_setup_leaves_nobody_waiting() {
    let mut fleet = Fleet::start(2).await;
    let notes = Notes::new();
    let running = notes.call(&fleet, "-u 4 -i 8 -e SETUP=hangs").spawn();
    notes.wait_for_setup().await;
    fleet.agents[0].kill().await;
    let name = fleet.agents[0].name.clone();
    running.finish().await.assert_ended_with(107, &format!("the agent {name}: "));
    fleet.assert_idle().await;
}

#[tokio::test]
async fn lost_agent_is_not_waited_for_by_teardown() {
    let fleet = Fleet::start(2).await;
    let notes = Notes::new();
    let running = notes.call(&fleet, "-u 4 --pace 50ms -d 4 --on-agent-loss continue").spawn();
    until("triggers run", || notes.lines().len() > 4).await;
    fleet.agents[1].kill_load_test();
    running.finish().await.assert_ended_with(96, "INVALID");
    fleet.assert_idle().await;
    let lines = notes.lines();
    let ends: Vec<_> = lines.iter().filter(|line| line.starts_with("teardown")).collect();
    assert_eq!(ends, [lines.last().unwrap()]);
}
