//! Agents that stop while a job runs.

use golo_proto::results::{ended, record};
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::process::Signal;
#[cfg(target_os = "linux")]
use rustix::process::{Pid, kill_process, test_kill_process};
use serde_json::json;
use std::{os::unix::fs::PermissionsExt as _, sync::Arc};

#[cfg(target_os = "linux")]
use crate::load_test;
use crate::support::{Agent, Start, decoded, kind, until};

/// Returns the number of processes that have this value in their environment.
fn processes(value: &str) -> usize {
    let has = |folder: &std::path::Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(value)
    };
    std::fs::read_dir("/proc").map_or(0, |all| all.flatten().filter(|entry| has(&entry.path())).count())
}

#[tokio::test]
async fn killed_agent_leaves_no_process_and_its_job_has_failed() {
    let agent = Agent::start();
    let (binary, mark) = (agent.load_test().await, golo::new_sequence_id());
    let job = json!({"name": "first", "binary": binary, "users": 3, "duration": 600, "env": {"MARK": mark}});
    let first = agent.queue(job).await;
    let second = agent.queue(json!({"name": "second", "binary": binary, "duration": "100ms"})).await;
    let before = agent.until_it(&first, "measured", |job| job["records"].as_u64().unwrap() > 4).await;
    let is_linux = std::path::Path::new("/proc/self/environ").exists();
    assert!(!is_linux || processes(&mark) > 0);
    let data = Arc::clone(&agent.data);
    let kept = agent.call(reqwest::Method::GET, &format!("/jobs/{first}/records"), None).await;
    let kept = decoded(&kept.bytes().await.unwrap());
    assert!(kept.len() > 4);
    agent.signal(Signal::KILL);
    drop(agent);
    until("the load test is gone", || processes(&mark) == 0).await;
    // Simulates a power failure while a record was written.
    let log = data.path().join("results.db-wal");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&whole[..], &[0x00, 0x00, 0x00, 0x02, 0x7f, 0xfe, 0xff, 0xff, 0x0a]].concat()).unwrap();

    let agent = Start::with(&[]).agent_in(data);
    let job = agent.until(&first, "failed").await;
    assert_eq!(job["reason"], "the agent ended while the job was running");
    // The restarted agent restores the measurements.
    for key in ["records", "elapsed"] {
        let (now, then) = (job[key].as_f64().unwrap(), before[key].as_f64().unwrap());
        assert!(then > 0.0 && now >= then, "{key}: {now}, {then} before");
    }
    assert_eq!(job["started_at"], before["started_at"]);
    let all = agent.records(&first).await;
    let kinds: Vec<_> = all.iter().map(kind).collect();
    assert_eq!(kinds[..3], ["begun", "ready", "started"]);
    assert!(kinds[3..kinds.len() - 1].iter().all(|kind| *kind == "second"), "{kinds:?}");
    let Some(record::Record::Ended(ended)) = &all.last().unwrap().record else { panic!("{all:?}") };
    assert_eq!(
        (ended.state(), ended.reason.as_str()),
        (ended::State::Failed, "the agent ended while the job was running")
    );
    assert!(all.starts_with(&kept), "what was reported is as it was");
    // The queued job runs now.
    agent.until(&second, "completed").await;
}

#[tokio::test]
async fn job_fails_when_its_records_cannot_be_written_and_keeps_earlier_records() {
    // A file size limit acts like a full disk: existing data stays, and nothing can be added.
    let mut agent = Start::with(&[]).before("trap '' XFSZ; ulimit -f 2048;").agent();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 1, "duration": 600})).await;
    agent.until(&id, "running").await;
    let path = format!("/jobs/{id}");
    for users in (1..=2).cycle() {
        let changed = agent.call(reqwest::Method::PATCH, &path, Some(json!({ "users": users }))).await;
        if changed.status() != 200 {
            break;
        }
    }
    let job = agent.until(&id, "failed").await;
    let reason = job["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("the results cannot be stored: "), "{job}");
    let before = job["records"].as_u64().unwrap();
    agent.signal(Signal::TERM);
    assert_eq!(agent.gone().await, Some(0), "{}", agent.said());

    let agent = Start::with(&[]).agent_in(Arc::clone(&agent.data));
    let records = agent.records(&id).await;
    assert!(records.len() as u64 >= before);
    let Some(record::Record::Ended(ended)) = &records.last().unwrap().record else { panic!("{records:?}") };
    assert_eq!((ended.state(), &ended.reason), (ended::State::Failed, &reason));
    assert_eq!(agent.job(&id).await["reason"], json!(reason));
}

#[tokio::test]
async fn stopping_agent_cancels_its_job_first() {
    let mut agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "duration": 600})).await;
    let waiting = agent.queue(json!({"binary": binary, "duration": "100ms"})).await;
    agent.until(&id, "running").await;
    agent.signal(Signal::TERM);
    // Clients that follow the records receive the end.
    let records = agent.records(&id).await;
    let Some(record::Record::Ended(ended)) = &records.last().unwrap().record else { panic!("{records:?}") };
    assert_eq!((ended.state(), ended.reason.as_str()), (ended::State::Cancelled, "the agent was stopped"));
    assert_eq!(agent.gone().await, Some(0), "{}", agent.said());
    let agent = Start::with(&[]).agent_in(Arc::clone(&agent.data));
    assert_eq!(agent.job(&id).await["state"], "cancelled");
    assert_eq!(agent.records(&id).await, records);
    agent.until(&waiting, "completed").await;
}

#[tokio::test]
async fn second_signal_ends_the_agent_at_once() {
    let mut agent = Agent::start();
    let stubborn = b"#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n".to_vec();
    let (_, uploaded) = agent.upload(stubborn).await;
    let job = json!({"binary": uploaded["binary"], "duration": 600, "graceful-stop": "5m"});
    let id = agent.queue(job).await;
    agent.until_it(&id, "begun", |job| job["state"] != "queued").await;
    agent.signal(Signal::INT);
    until("it stops", || agent.said().contains("golo agent: stopping")).await;
    agent.signal(Signal::INT);
    assert_eq!(agent.gone().await, Some(0), "{}", agent.said());
}

#[tokio::test]
async fn idle_agent_exits_on_a_signal() {
    for signal in [Signal::TERM, Signal::HUP] {
        let mut agent = Agent::start();
        agent.signal(signal);
        assert_eq!(agent.gone().await, Some(0), "{}", agent.said());
    }
}

#[tokio::test]
async fn data_folder_in_use_is_refused() {
    let agent = Agent::start();
    let (code, said) = Start::with(&["--addr", "127.0.0.1:0"]).refused_in(agent.data.path());
    assert!(code == 104 && said.contains("another agent uses"), "{said}");
}

#[tokio::test]
async fn foreign_files_in_the_data_folder_are_left_alone() {
    let data = Arc::new(tempfile::tempdir().unwrap());
    let files = ["uploads/holiday.jpg", "binaries/notes", "lock"];
    for file in files {
        let path = data.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "mine").unwrap();
    }
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(data.path(), mode.clone()).unwrap();
    let (code, said) = Start::with(&["--addr", "127.0.0.1:0"]).refused_in(data.path());
    assert!(code == 104 && said.lines().count() == 1 && said.contains("has files that are not golo's"), "{said}");
    let is_there = |file: &str| std::fs::read_to_string(data.path().join(file)).is_ok_and(|text| text == "mine");
    assert!(files.iter().all(|file| is_there(file)));
    assert_eq!(data.path().metadata().unwrap().permissions().mode() & 0o777, mode.mode());
    // In its own folder, the agent deletes only files that it created.
    std::fs::write(data.path().join("golo-agent.lock"), "mine too").unwrap();
    let aged = std::fs::File::options().write(true).open(data.path().join("binaries/notes")).unwrap();
    aged.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let swept = data.path().join("binaries").join("0".repeat(64));
    std::fs::write(&swept, "old").unwrap();
    let aged = std::fs::File::options().write(true).open(&swept).unwrap();
    aged.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let agent = Start::with(&[]).agent_in(Arc::clone(&data));
    until("what is old is swept away", || !swept.exists()).await;
    assert!(files.iter().all(|file| is_there(file)), "{}", agent.said());
    assert_eq!(std::fs::read_to_string(data.path().join("golo-agent.lock")).unwrap(), "mine too");
    let mode_of = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode_of(data.path()), mode_of(&data.path().join("jobs"))), (0o755, 0o700));
}

/// Returns the supervisor of the running job: the only child of the agent.
#[cfg(target_os = "linux")]
async fn supervisor(agent: &Agent) -> Pid {
    let mut children = agent.children();
    until("there is one supervisor", || {
        children = agent.children();
        children.len() == 1
    })
    .await;
    Pid::from_raw(children[0]).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn hidden_processes_end_with_a_killed_supervisor_and_the_next_job_runs() {
    let agent = Agent::start();
    let path = agent.data.path().with_extension("daemon");
    let daemon = format!("(setsid env -i /bin/sh -c 'echo $$ > {}; exec sleep 1000' &)\n", path.display());
    let script = String::from_utf8(load_test::script()).unwrap().replacen("exec", &format!("{daemon}exec"), 1);
    let (_, uploaded) = agent.upload(script.into_bytes()).await;
    let first = agent.queue(json!({"binary": uploaded["binary"], "duration": 600})).await;
    let binary = agent.load_test().await;
    let second = agent.queue(json!({"binary": binary, "duration": "100ms"})).await;
    agent.until(&first, "running").await;
    let written = || std::fs::read_to_string(&path).ok().and_then(|id| id.trim().parse().ok()).and_then(Pid::from_raw);
    until("there is a daemon", || written().is_some()).await;
    let daemon = written().unwrap();
    std::fs::remove_file(&path).unwrap();
    kill_process(supervisor(&agent).await, Signal::KILL).unwrap();
    let job = agent.until(&first, "failed").await;
    assert!(job["reason"].as_str().unwrap().contains("its supervisor was killed"), "{job}");
    // The agent has waited for it: no process has this ID.
    assert_eq!(test_kill_process(daemon), Err(Errno::SRCH));
    agent.until(&second, "completed").await;
    until("no child is left", || agent.children().is_empty()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn stopped_supervisor_blocks_neither_the_next_job_nor_the_end_of_the_agent() {
    let mut agent = Agent::start();
    let binary = agent.load_test().await;
    let first = agent.queue(json!({"binary": binary, "duration": 600})).await;
    let second = agent.queue(json!({"binary": binary, "duration": 600})).await;
    agent.until(&first, "running").await;
    kill_process(supervisor(&agent).await, Signal::STOP).unwrap();
    agent.call(reqwest::Method::DELETE, &format!("/jobs/{first}"), None).await;
    agent.until(&first, "cancelled").await;
    agent.until(&second, "running").await;
    kill_process(supervisor(&agent).await, Signal::STOP).unwrap();
    agent.signal(Signal::TERM);
    assert_eq!(agent.gone().await, Some(0), "{}", agent.said());
}
