//! Runs that `golo submit --detach` leaves to their agents, and that `golo attach` follows.

use golo_tests::{Signal, command, until};
use serde_json::json;
use tempfile::TempDir;

use super::fleet::{Call, Fleet, JOBS, Ran, SETUPS, sample};

/// Starts a run that is left to its agents, and returns its ID.
async fn detach(call: Call) -> String {
    let ran = call.finish().await.finished;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let [run] = &ran.stdout[..] else { panic!("{ran:#?}") };
    assert_eq!(ran.said(&format!("golo attach {} --agent ", &run[..8])), 1, "{ran:#?}");
    run.clone()
}

/// Flags of a run that is slow enough to be followed by a busy machine.
const SLOW: &str = "-u 4 --pace 50ms --max-lag 10s";

#[tokio::test]
async fn run_is_followed_while_it_goes_on_and_after_its_end() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let mut call = Call::detached(&fleet, JOBS, target.url(), &format!("{SLOW} -d 6"));
    call.command.args(["-t", "iterations count>5"]);
    let run = detach(call).await;
    for job in fleet.last_jobs().await {
        // The duration, the grace of triggers and users, and the rest.
        assert_eq!((&job["run"], &job["lease"]), (&json!(run), &json!(6.0 + 2.0 * 30.0 + 600.0)), "{job}");
    }
    let first = Call::attach(&fleet, &run, "").finish().await;
    first.assert_ended_with(0, "PASSED");
    assert!(fleet.last_jobs().await.iter().all(|job| job["state"] == "completed"));
    let seen = target.counter().seen;
    assert_eq!(first.requests(), seen);
    let thresholds = |ran: &Ran| ran.summary()["thresholds"].as_array().unwrap().len();
    assert_eq!(thresholds(&first), 1, "that of `submit`");

    let mut again = Call::attach(&fleet, &run[..8], "");
    again.command.args(["-t", "iterations count<5"]);
    let again = again.finish().await;
    again.assert_ended_with(99, "FAILED: iterations count<5 was ");
    assert_eq!((again.requests(), thresholds(&again)), (seen, 2));
    assert_eq!(first.summary()["requests"], again.summary()["requests"]);
    assert_eq!(target.counter().seen, seen, "the load has ended with the plan");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn run_goes_on_when_attach_is_killed() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let run = detach(Call::detached(&fleet, JOBS, target.url(), &format!("{SLOW} -d 8"))).await;
    let mut attached = Call::attach(&fleet, &run, "").spawn();
    attached.program.stderr.wait_for("started together").await;
    attached.program.signal(Signal::KILL);
    attached.finish().await;
    fleet.until_all("completed").await;
    // Two at once.
    let (one, other) = tokio::join!(Call::attach(&fleet, &run, "").finish(), Call::attach(&fleet, &run, "-q").finish());
    for ran in [one, other] {
        ran.assert_ended_with(0, "PASSED");
        assert_eq!(ran.requests(), target.counter().seen);
    }
}

#[tokio::test]
async fn signal_to_attach_stops_the_run_and_is_reported_later_too() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let run = detach(Call::detached(&fleet, JOBS, target.url(), &format!("{SLOW} -d 600"))).await;
    let mut watching = Call::attach(&fleet, &run, "").spawn();
    watching.program.stderr.wait_for("started together").await;
    let mut stopping = Call::attach(&fleet, &run, "").spawn();
    stopping.program.stderr.wait_for("started together").await;
    stopping.program.signal(Signal::INT);
    let ran = stopping.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal after");
    let seen = target.counter().seen;
    assert_eq!(ran.requests(), seen);
    fleet.assert_idle().await;
    assert!(fleet.last_jobs().await.iter().all(|job| job["reason"] == "the run was stopped"));
    for ran in [watching.finish().await, Call::attach(&fleet, &run, "").finish().await] {
        ran.assert_ended_with(105, "STOPPED by a signal after");
        assert_eq!(ran.requests(), seen);
    }
    assert_eq!(target.counter().seen, seen);
}

#[tokio::test]
async fn teardown_of_the_whole_run_waits_for_attach() {
    let fleet = Fleet::start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let lines = || std::fs::read_to_string(&notes).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let count = |word: &str| lines().iter().filter(|line| line.starts_with(word)).count();
    let flags = format!("-e NOTES={} -u 4 -i 8", notes.display());
    let run = detach(Call::detached(&fleet, SETUPS, "", &flags)).await;
    until("all triggers have run", || count("trigger") == 8).await;
    golo_tests::within("the other member is over", async {
        while fleet.last_jobs().await[1]["state"] != "completed" {}
    })
    .await;
    assert_eq!(fleet.last_jobs().await[0]["state"], "running", "it waits for the others' end");
    assert_eq!(fleet.last_jobs().await[0]["lease"], json!(7.0 * 24.0 * 3600.0), "the end of the plan is open");
    assert_eq!(count("teardown"), 0);
    Call::attach(&fleet, &run, "").finish().await.assert_ended_with(0, "PASSED");
    assert!(lines().last().unwrap().starts_with("teardown") && count("teardown") == 1, "{:?}", lines());
    fleet.assert_idle().await;
}

#[tokio::test]
async fn agent_that_is_not_given_or_away_is_reported_and_the_run_goes_on() {
    let mut fleet = Fleet::start(2).await;
    let target = sample();
    let run = detach(Call::detached(&fleet, JOBS, target.url(), &format!("{SLOW} -d 600"))).await;
    let first = format!("--agent {}", fleet.agents[0].name);
    let alone = |flags: &str| Call::attach(&fleet, &run, flags).alone().args(&first);
    let ran = alone("").finish().await;
    ran.assert_ended_with(104, ", without share 2 of 2: give all agents of the run");
    assert!(fleet.last_jobs().await.iter().all(|job| job["state"] == "running"));
    for (called, said) in [("nothing", "no run `nothing` on the given agents"), ("", "no run `` on the given agents")] {
        Call::attach(&fleet, called, "").finish().await.assert_ended_with(104, said);
    }
    let mut attached = alone("--on-agent-loss continue").spawn();
    attached.program.stderr.wait_for("without share 2 of 2").await;
    let name = fleet.agents[1].name.clone();
    fleet.agents[1].kill().await;
    let both = Call::attach(&fleet, &run, "").finish().await;
    both.assert_ended_with(107, &format!("the agent {name}: "));
    assert_eq!(fleet.agents[0].jobs().await[0]["state"], "running");
    attached.program.stderr.wait_for("Ctrl-C stops it").await;
    attached.program.signal(Signal::INT);
    attached.finish().await.assert_ended_with(105, "share 2 of 2");
    fleet.assert_idle().await;
}

#[tokio::test]
async fn run_without_one_of_its_agents_is_invalid() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let run = detach(Call::detached(&fleet, JOBS, target.url(), "-u 2 --max-lag 10s -i 20 --pace 50ms")).await;
    fleet.until_all("completed").await;
    let first = format!("--on-agent-loss continue --agent {}", fleet.agents[0].name);
    let ran = Call::attach(&fleet, &run, &first).alone().finish().await;
    ran.assert_ended_with(96, "INVALID");
    assert_eq!(ran.requests(), 10, "the share of the other one is missing");
}

#[tokio::test]
async fn attach_stores_the_run_once() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let run = detach(Call::detached(&fleet, JOBS, target.url(), "-u 4 -i 40 --pace 20ms --max-lag 10s")).await;
    let store = TempDir::new().unwrap();
    let db = store.path().join("runs.db");
    let golo = |arguments: &[&str]| {
        let mut golo = command(env!("CARGO_BIN_EXE_golo-command"));
        golo.args(arguments).arg("--db").arg(&db);
        golo_tests::Program::spawn(golo)
    };
    for _ in 0..2 {
        let mut attach = Call::attach(&fleet, &run, "");
        attach.command.env_remove("GOLO_NO_KEEP").env("GOLO_DB", &db);
        let ran = attach.finish().await;
        ran.assert_ended_with(0, "PASSED: 40 requests");
        assert_eq!(ran.finished.said(&format!("stored as {}", &run[..8])), 1, "{:#?}", ran.finished);
        let shown = golo(&["show", &run]).finish().await;
        assert!(shown.stdout.join(" ").contains("PASSED: 40 requests"), "{shown:#?}");
    }
    let listed = golo(&["runs"]).finish().await.stdout.join("\n");
    assert_eq!(listed.matches(&run[..8]).count(), 1, "{listed}");
}

#[tokio::test]
async fn signal_before_the_start_leaves_no_job() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let busy = format!("--agent {}", fleet.agents[1].name);
    let first = detach(Call::detached(&fleet, JOBS, target.url(), "-u 1 -d 600").alone().args(&busy)).await;
    let mut second = Call::detached(&fleet, JOBS, target.url(), "-u 2 -d 1").spawn();
    second.program.stderr.wait_for("which has a job before this one").await;
    second.program.signal(Signal::INT);
    let ran = second.finish().await;
    ran.assert_ended_with(105, "not started: a signal stopped it");
    assert!(ran.finished.stdout.is_empty(), "{:#?}", ran.finished);
    assert!(fleet.last_jobs().await.iter().all(|job| job["state"] == "cancelled"));
    let mut attached = Call::attach(&fleet, &first, "").spawn();
    attached.program.stderr.wait_for("Ctrl-C stops it").await;
    attached.program.signal(Signal::INT);
    attached.finish().await.assert_ended_with(105, "STOPPED by a signal");
    fleet.assert_idle().await;
}
