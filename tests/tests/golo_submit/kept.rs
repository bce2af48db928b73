//! Results stored by `golo submit`, and by a collector of the same run.

use std::path::{Path, PathBuf};

use golo::pb::engine::event::Event;
use golo::pb::results::{Record, record::Record as Kind};
use golo_tests::{Finished, Program, Signal, command, until, within};
use serde_json::Value;
use tempfile::TempDir;

use super::fleet::{Agent, Call, Fleet, JOBS, Ran, sample};

const TOKEN: &str = "hush-hush";

/// Two agents, their collector, and a folder for databases.
pub(super) struct Kept {
    pub(super) fleet: Fleet,
    url: String,
    _collector: Program,
    folder: TempDir,
}

fn golo(arguments: &[&str]) -> tokio::process::Command {
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env("GOLO_TOKEN", TOKEN).env_remove("GOLO_CA").args(arguments);
    command
}

impl Kept {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = golo(&["collector", "--addr", "127.0.0.1:0"]);
        command.arg("--db").arg(folder.path().join("collected.db"));
        let (collector, place) = Program::listen(command).await;
        let url = format!("http://{place}");
        let mut agents = Vec::new();
        for number in 1..=2 {
            agents.push(Agent::start_with(number, &["--collector", &url, "--collector-token", TOKEN]).await);
        }
        Self { fleet: Fleet { agents }, url, _collector: collector, folder }
    }

    /// Returns the database of `golo submit`.
    pub(super) fn own(&self) -> PathBuf {
        self.folder.path().join("runs.db")
    }

    /// Returns the database of the collector.
    fn collected(&self) -> PathBuf {
        self.folder.path().join("collected.db")
    }

    fn call(&self, target: &str, flags: &str, db: &Path) -> Call {
        let mut call = Call::new(&self.fleet, JOBS, target, flags);
        call.command.env_remove("GOLO_NO_KEEP").env("GOLO_DB", db);
        call
    }

    async fn ask_file(&self, arguments: &[&str]) -> Finished {
        let mut command = golo(arguments);
        command.env("GOLO_DB", self.own());
        Program::spawn(command).finish().await
    }

    /// Asks the collector repeatedly, until it has received the whole run.
    pub(super) async fn ask_collector(&self, arguments: &[&str]) -> Finished {
        let asked = [arguments, &["--collector", &self.url]].concat();
        let all = async {
            loop {
                let finished = Program::spawn(golo(&asked)).finish().await;
                let is_whole = finished.stdout.first().is_some_and(|first| !first.starts_with("NOT ENDED"));
                if is_whole {
                    return finished;
                }
            }
        };
        within("the collector has it", all).await
    }

    async fn assert_shown_as_printed(&self, ran: &Ran) {
        let id = kept_as(&ran.finished);
        let out = ran.out();
        let arguments = ["show", &id, "-o", &out];
        let shown = self.ask_file(&arguments).await;
        assert_eq!((shown.code, &*shown.stderr), (Some(0), &[][..]));
        assert_eq!(shown.stdout, ran.finished.stdout, "from the file");
        let shown = self.ask_collector(&arguments).await;
        assert_eq!((shown.code, &*shown.stderr), (Some(0), &[][..]));
        assert_eq!(shown.stdout, ran.finished.stdout, "from the collector");
    }

    /// Asserts that both show the printed verdict. For runs of which not all measurements may have been stored.
    async fn assert_verdict_shown(&self, ran: &Ran) {
        let id = kept_as(&ran.finished);
        for shown in [self.ask_file(&["show", &id]).await, self.ask_collector(&["show", &id]).await] {
            assert_eq!(shown.stdout[0], ran.finished.stdout[0], "{shown:#?}, {:#?}", ran.finished);
        }
    }
}

/// Returns the ID under which a run is stored.
#[track_caller]
fn kept_as(ran: &Finished) -> String {
    let last = ran.stderr.last().unwrap();
    let (id, how) = last.strip_prefix("stored as ").and_then(|kept| kept.split_once(": ")).expect(last);
    assert_eq!(how, format!("golo show {id}"));
    id.to_owned()
}

#[tokio::test]
async fn stored_run_is_shown_as_printed_from_file_and_collector() {
    let kept = Kept::start().await;
    let target = sample();
    for (flags, code) in [
        ("-u 4 -d 2 --name get -t http_req_duration{route:/}p(95)<10s", 0),
        ("-r 100/s -d 1 --warm-up 1s", 0),
        ("-u 3 -i 30 --name fail --seed 7 --workers 1 -t iterations@count>=100", 99),
    ] {
        let flags: Vec<_> = flags.split(' ').map(|flag| flag.replace("}p(", "} p(").replace('@', " ")).collect();
        let mut call = kept.call(target.url(), "", &kept.own());
        call.command.args(flags);
        let ran = call.finish().await;
        let is_late = ran.finished.code == Some(96) && ran.finished.stdout.join(" ").contains("starts were late");
        assert!(is_late || ran.finished.code == Some(code), "{:#?}", ran.finished);
        kept.assert_shown_as_printed(&ran).await;
    }

    let target = sample();
    let running = kept.call(target.url(), "-u 2 --pace 20ms -d 600", &kept.own()).spawn();
    until("there is load", || target.counter().seen > 50).await;
    running.program.signal(Signal::INT);
    let stopped = running.finish().await;
    assert_eq!(stopped.finished.code, Some(105), "{:#?}", stopped.finished);
    kept.assert_shown_as_printed(&stopped).await;

    let (file, collector) = (kept.ask_file(&["runs"]).await, kept.ask_collector(&["runs"]).await);
    assert_eq!((file.code, file.stdout.len()), (Some(0), 1 + 2 * 4), "{file:#?}");
    assert_eq!(file.stdout, collector.stdout);
    kept.fleet.assert_idle().await;
}

/// The agents stop their load meanwhile, which is the fault of the process that stood still.
#[tokio::test]
async fn standing_still_for_longer_than_the_lease_is_shown_as_printed() {
    let kept = Kept::start().await;
    let target = sample();
    let mut running = kept.call(target.url(), "-u 2 --pace 20ms -d 600 --lease 3s", &kept.own()).spawn();
    running.program.stderr.wait_for("started together").await;
    until("there is load", || target.counter().seen > 50).await;
    running.program.signal(Signal::STOP);
    within("the agents stop", async {
        while kept.fleet.last_jobs().await.iter().any(|job| job["state"] != "failed") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    running.program.signal(Signal::CONT);
    let ran = running.finish().await;
    ran.assert_ended_with(107, "the lease of 3s ran out: the client gave no sign of life");
    assert!(ran.finished.stdout[0].starts_with("DIED after "), "{:#?}", ran.finished);
    assert_eq!(ran.finished.said("this process stood still for "), 1, "{:#?}", ran.finished);
    assert_eq!(ran.finished.said("was lost"), 0, "{:#?}", ran.finished);
    assert_eq!(ran.requests(), target.counter().seen, "all results are collected");
    kept.assert_shown_as_printed(&ran).await;
    kept.fleet.assert_idle().await;
}

#[tokio::test]
async fn reason_for_the_end_is_shown_as_printed() {
    let kept = Kept::start().await;
    let target = sample();
    let abort = |flags: &str| {
        let mut call = kept.call(target.url(), &format!("-u 2 -d 600 --abort-on-fail {flags}"), &kept.own());
        call.command.args(["-t", "vus max<1"]);
        call
    };
    let ran = abort("").finish().await;
    ran.assert_ended_with(99, "FAILED");
    kept.assert_shown_as_printed(&ran).await;
    let jobs = kept.fleet.last_jobs().await;
    assert!(jobs.iter().all(|job| job["reason"] == "`vus max<1` can no longer hold"), "{jobs:#?}");

    // Interrupt while the triggers in flight may still finish.
    let mut running = abort("--name hang").spawn();
    running.program.stderr.wait_for("stopping, since").await;
    running.program.signal(Signal::INT);
    running.program.stderr.wait_for("a second signal").await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED");
    kept.assert_verdict_shown(&ran).await;
    kept.fleet.assert_idle().await;
}

#[tokio::test]
async fn run_that_died_with_an_agent_has_ended_at_the_collector() {
    let mut kept = Kept::start().await;
    let target = sample();
    let running = kept.call(target.url(), "-u 2 -d 600", &kept.own()).spawn();
    until("there is load", || target.counter().seen > 50).await;
    kept.fleet.agents[1].kill().await;
    let ran = running.finish().await;
    ran.assert_ended_with(107, &format!("the agent {} was lost: it cannot be reached", kept.fleet.agents[1].name));
    // The lost agent never sent its end, and the run has ended anyway.
    kept.assert_verdict_shown(&ran).await;
}

#[tokio::test]
async fn lost_part_does_not_end_the_run() {
    let kept = Kept::start().await;
    let target = sample();
    let flags = "-u 2 -d 4 --on-agent-loss continue";
    let running = kept.call(target.url(), flags, &kept.own()).spawn();
    until("there is load", || target.counter().seen > 50).await;
    kept.fleet.agents[0].kill_load_test();
    let ran = running.finish().await;
    ran.assert_ended_with(96, &format!("the agent {} was lost", kept.fleet.agents[0].name));
    kept.assert_shown_as_printed(&ran).await;

    // An agent that is away for a while and comes back.
    let before = target.counter().seen;
    let flags = "-u 2 -d 16 --on-agent-loss continue";
    let mut running = kept.call(target.url(), flags, &kept.own()).spawn();
    until("there is load", || target.counter().seen > before + 50).await;
    let agent = kept.fleet.agents[1].program.as_ref().unwrap();
    agent.signal(Signal::STOP);
    running.program.stderr.wait_for("was lost").await;
    agent.signal(Signal::CONT);
    let ran = running.finish().await;
    ran.assert_ended_with(96, &format!("the agent {} was lost", kept.fleet.agents[1].name));
    let id = kept_as(&ran.finished);
    let shown = kept.ask_file(&["show", &id]).await;
    assert_eq!(shown.stdout[..2], ran.finished.stdout[..2], "{shown:#?}, {:#?}", ran.finished);
    // By now the collector has received the records of that time.
    let shown = kept.ask_collector(&["show", &id]).await;
    assert!(shown.stdout[0].starts_with("INVALID") && shown.stdout.concat().contains("was lost from"), "{shown:#?}");
    kept.fleet.assert_idle().await;
}

#[tokio::test]
async fn agent_that_was_away_stops_its_load() {
    let kept = Kept::start().await;
    let target = sample();
    let only = kept.fleet.agents[0].name.clone();
    let mut running =
        kept.call(target.url(), "-u 2 -d 600", &kept.own()).alone().args(&format!("--agent {only}")).spawn();
    until("there is load", || target.counter().seen > 50).await;
    let agent = kept.fleet.agents[0].program.as_ref().unwrap();
    agent.signal(Signal::STOP);
    running.program.stderr.wait_for("was lost").await;
    agent.signal(Signal::CONT);
    let ran = running.finish().await;
    ran.assert_ended_with(107, &format!("the agent {only} was lost"));
    let id = kept_as(&ran.finished);
    let shown = kept.ask_file(&["show", &id]).await;
    assert_eq!(shown.stdout[0], ran.finished.stdout[0], "{shown:#?}");
    // By now the collector has received the records of that time.
    let shown = kept.ask_collector(&["show", &id]).await;
    let is_died = shown.stdout[0].starts_with("DIED") && shown.stdout[0].contains("was lost");
    assert!(is_died, "{shown:#?}");
    kept.fleet.assert_idle().await;
}

#[tokio::test]
async fn submit_and_collector_sharing_a_database_store_a_run_once() {
    let kept = Kept::start().await;
    let target = sample();
    let ran = kept.call(target.url(), "-u 4 -d 3", &kept.collected()).finish().await;
    let id = kept_as(&ran.finished);
    let shown = kept.ask_collector(&["show", &id, "-o", &ran.out()]).await;
    assert_eq!(shown.stdout, ran.finished.stdout);
    let listed = kept.ask_collector(&["runs", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed.stdout.join("")).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["requests"], target.counter().seen);
}

#[tokio::test]
async fn run_is_not_stored_with_no_keep_or_without_records() {
    let mut kept = Kept::start().await;
    let target = sample();
    let ran = kept.call(target.url(), "-i 4 --no-keep", &kept.own()).finish().await;
    ran.assert_ended_with(0, "PASSED");
    assert_eq!((ran.finished.said("stored as"), kept.own().exists()), (0, false), "{:#?}", ran.finished);
    for agent in &mut kept.fleet.agents {
        agent.kill().await;
    }
    let ran = kept.call(target.url(), "-i 4", &kept.own()).finish().await;
    ran.assert_ended_with(107, "NOT STARTED");
    assert_eq!((ran.finished.said("kept"), kept.own().exists()), (0, false), "{:#?}", ran.finished);
}

#[tokio::test]
async fn cut_off_requests_are_counted_alike_by_agents_and_collector() {
    let kept = Kept::start().await;
    let target = sample();
    let call = kept.call(target.url(), "-u 3 -d 1 --graceful-stop 500ms --name hang", &kept.own());
    let ran = call.finish().await;
    ran.assert_ended_with(99, "no request ended, 3 requests cut off");
    let jobs = kept.fleet.last_jobs().await;
    assert_eq!(jobs.iter().map(|job| job["interrupted"].as_u64().unwrap()).sum::<u64>(), 3, "{jobs:#?}");
    let shown = kept.ask_collector(&["show", &kept_as(&ran.finished), "--json"]).await;
    let document: Value = serde_json::from_str(&shown.stdout.join("\n")).unwrap();
    assert_eq!((&document["requests"]["interrupted"], &document["load"]["interrupted"]), (&3.into(), &3.into()));

    // A load test that is killed does not report the end of its triggers.
    let running = kept.call(target.url(), "-u 4 -d 600 --name hang", &kept.own()).spawn();
    until("all are in flight, and that is recorded", || target.counter().seen >= 7).await;
    let all_due = async || {
        let mut due = 0;
        for job in kept.fleet.last_jobs().await.iter().zip(&kept.fleet.agents) {
            due += triggers(&job.1.records(job.0["id"].as_str().unwrap()).await).0;
        }
        due == 4
    };
    within("it is recorded", async { while !all_due().await {} }).await;
    kept.fleet.agents.iter().for_each(super::fleet::Agent::kill_load_test);
    running.finish().await;
    for (job, agent) in kept.fleet.last_jobs().await.iter().zip(&kept.fleet.agents) {
        assert_eq!(triggers(&agent.records(job["id"].as_str().unwrap()).await), (2, 2), "due, and cut off: {job:#}");
    }
}

/// Returns the number of triggers that were due, and of those that were cut off.
fn triggers(records: &[Record]) -> (u64, u64) {
    let snapshots = records.iter().filter_map(|record| match record.record.as_ref()? {
        Kind::Event(event) => match event.event.as_ref()? {
            Event::Second(second) => second.snapshot.as_ref()?.triggers.as_ref(),
            Event::Finished(finished) => finished.rest.as_ref()?.triggers.as_ref(),
            _ => None,
        },
        _ => None,
    });
    snapshots.fold((0, 0), |(due, cut), triggers| (due + triggers.due, cut + triggers.interrupted))
}
