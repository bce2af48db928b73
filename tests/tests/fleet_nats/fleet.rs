//! Agents at a NATS server, collectors, and calls of `golo submit`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use golo_tests::{Finished, Program, Signal, command, within};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::server::Nats;

/// The load test.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_jobs");

/// Starts a target.
pub(super) fn sample() -> SampleService {
    sample_service::start().unwrap()
}

/// Returns a command of golo for this server, without variables that would change it.
pub(super) fn golo(nats: &Nats, arguments: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    for name in ["GOLO_HOSTS", "GOLO_TOKEN", "GOLO_CA", "GOLO_ON_AGENT_LOSS", "TARGET_URL"] {
        command.env_remove(name);
    }
    command.env("GOLO_NATS", nats.url()).envs(nats.sign_in(arguments.first().copied())).args(arguments);
    command
}

/// An agent.
pub(super) struct Agent {
    pub(super) program: Option<Program>,
    pub(super) name: String,
    flags: Vec<String>,
    folder: TempDir,
}

impl Agent {
    /// Starts an agent of this name, and waits until it is registered.
    pub(super) async fn start(nats: &Nats, name: &str, flags: &[&str]) -> Self {
        let flags = flags.iter().map(ToString::to_string).collect();
        let mut agent = Self { program: None, name: name.to_owned(), flags, folder: tempfile::tempdir().unwrap() };
        agent.start_again(nats).await;
        agent
    }

    /// Starts the agent again in the same folder.
    pub(super) async fn start_again(&mut self, nats: &Nats) {
        let mut command = golo(nats, &["agent", "--name", &self.name, "--data"]);
        command.arg(self.folder.path()).args(&self.flags);
        let mut program = Program::spawn(command);
        program.stderr.wait_for("registered as").await;
        self.program = Some(program);
    }

    /// Kills the agent with SIGKILL.
    pub(super) async fn kill(&mut self) {
        let program = self.program.take().unwrap();
        program.signal(Signal::KILL);
        program.finish().await;
    }
}

/// Starts this many agents, named `load.1` and so on.
pub(super) async fn agents(nats: &Nats, number: usize, flags: &[&str]) -> Vec<Agent> {
    let mut agents = Vec::new();
    for number in 1..=number {
        agents.push(Agent::start(nats, &format!("load.{number}"), flags).await);
    }
    agents
}

/// Returns the agents that `golo agents` lists.
pub(super) async fn listed(nats: &Nats, flags: &[&str]) -> Vec<Value> {
    let mut command = golo(nats, &["agents", "--json"]);
    command.args(flags);
    let finished = Program::spawn(command).finish().await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout[0]).unwrap()
}

/// Waits until no agent has a job.
pub(super) async fn until_idle(nats: &Nats) {
    let is_busy = |agent: &Value| agent["jobs"] != 0;
    within("all agents are idle", async { while listed(nats, &[]).await.iter().any(is_busy) {} }).await;
}

/// A call of `golo submit`, and the folder for its reports.
pub(super) struct Call {
    command: Command,
    folder: TempDir,
}

/// A running call.
pub(super) struct Running {
    pub(super) program: Program,
    folder: TempDir,
}

/// A call that has ended.
pub(super) struct Ran {
    pub(super) finished: Finished,
    folder: TempDir,
}

impl Call {
    /// Prepares a call with a script that runs the load test. It is small, so it is fetched fast.
    pub(super) fn new(nats: &Nats, target: &str, flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = script(&folder, &format!("exec {BINARY} \"$@\""));
        Self::of(nats, folder, &script, target, flags)
    }

    /// Prepares a call with this load test.
    pub(super) fn of(nats: &Nats, folder: TempDir, load_test: &PathBuf, target: &str, flags: &str) -> Self {
        let mut command = golo(nats, &["submit"]);
        command.arg(load_test).arg("-e").arg(format!("TARGET_URL={target}")).args(flags.split_whitespace());
        command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
        Self { command, folder }
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn spawn(self) -> Running {
        Running { program: Program::spawn(self.command), folder: self.folder }
    }

    pub(super) async fn finish(self) -> Ran {
        self.spawn().finish().await
    }
}

/// Writes a script that is a load test.
pub(super) fn script(folder: &TempDir, lines: &str) -> PathBuf {
    let path = folder.path().join("jobs");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

impl Running {
    pub(super) async fn finish(self) -> Ran {
        Ran { finished: self.program.finish().await, folder: self.folder }
    }
}

impl Ran {
    pub(super) fn summary(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("summary.json")).unwrap()).unwrap()
    }

    pub(super) fn requests(&self) -> u64 {
        self.summary()["requests"]["total"]["duration"]["count"].as_u64().unwrap()
    }

    #[track_caller]
    pub(super) fn assert_ended_with(&self, code: i32, word: &str) {
        let Finished { code: ended, stdout, stderr } = &self.finished;
        let text = format!("{}\n{}", stdout.join("\n"), stderr.join("\n"));
        assert_eq!(*ended, Some(code), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(word), "no {word:?}: {text}");
    }
}
