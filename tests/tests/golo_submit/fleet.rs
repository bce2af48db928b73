//! Helpers: agents, each on its own address, and calls of `golo submit`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use golo::pb::results::record::Record as Kind;
use golo::pb::results::{Ended, Record};
use golo_tests::{Finished, Program, Signal, command, until, within};
use prost::{Message as _, bytes::Bytes};
use rustix::process::{Pid, kill_process};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The load test.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_jobs");
/// Name of a script that runs the load test. It is small, so its upload is fast.
pub(super) const JOBS: &str = "jobs";
/// Name of a script that runs the load test with feeds.
pub(super) const FEEDS: &str = "feeds";
/// Name of a script that runs the load test whose `setup` runs once a run.
pub(super) const SETUPS: &str = "setups";

const FEEDS_BINARY: &str = env!("CARGO_BIN_EXE_feeds");
const SETUPS_BINARY: &str = env!("CARGO_BIN_EXE_setups");

/// Variable in the environment of all processes of an agent.
const MARK: &str = "GOLO_TEST_MARK";

/// Starts a target.
pub(super) fn sample() -> SampleService {
    sample_service::start().unwrap()
}

/// An agent.
pub(super) struct Agent {
    pub(super) program: Option<Program>,
    /// `HOST:PORT`.
    pub(super) name: String,
    folder: TempDir,
}

impl Agent {
    /// Starts an agent on the loopback address `127.0.0.NUMBER`.
    pub(super) async fn start(number: usize) -> Self {
        Self::start_with(number, &[]).await
    }

    pub(super) async fn start_with(number: usize, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (program, name) = serve(&format!("127.0.0.{number}:0"), &folder, flags).await;
        Self { program: Some(program), name, folder }
    }

    /// Kills the agent with SIGKILL.
    pub(super) async fn kill(&mut self) {
        let program = self.program.take().unwrap();
        program.signal(Signal::KILL);
        program.finish().await;
    }

    /// Starts the agent again on the same address and folder.
    pub(super) async fn start_again(&mut self) {
        let (program, name) = serve(&self.name, &self.folder, &[]).await;
        assert_eq!(name, self.name);
        self.program = Some(program);
    }

    /// Makes a call. Returns the body of the answer.
    async fn call(&self, line: &str, body: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.name).await.unwrap();
        let (host, length) = (&self.name, body.len());
        let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}");
        let request = format!("{head}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within("its answer", stream.read_to_end(&mut answer)).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 20") && head.contains("content-length:"), "{head}");
        answer[end + 4..].to_vec()
    }

    /// Returns all jobs of the agent, in order.
    pub(super) async fn jobs(&self) -> Vec<Value> {
        serde_json::from_slice(&self.call("GET /jobs", "").await).unwrap()
    }

    /// Returns the number of files that it has received.
    pub(super) async fn uploads(&self) -> u64 {
        self.metric("golo_agent_uploads_total").await
    }

    /// Returns the value of a metric without labels.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let metrics = String::from_utf8(self.call("GET /metrics", "").await).unwrap();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap().parse().unwrap()
    }

    /// Returns true if a file of its data folder contains this text.
    pub(super) fn has_stored(&self, text: &str) -> bool {
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
                    return true;
                }
            }
        }
        false
    }

    /// Returns the end of a job, which may be written shortly after the job is over.
    pub(super) async fn end(&self, job: &str) -> Ended {
        within("the end of the job", async {
            loop {
                if let Some(Kind::Ended(ended)) = self.records(job).await.pop().and_then(|last| last.record) {
                    return ended;
                }
            }
        })
        .await
    }

    /// Returns the files of test data in the folders of its jobs.
    pub(super) fn data_of_jobs(&self) -> Vec<PathBuf> {
        let jobs = fs::read_dir(self.folder.path().join("jobs")).unwrap();
        jobs.map(|job| job.unwrap().path().join("data")).filter(|data| data.exists()).collect()
    }

    /// Queues a job.
    pub(super) async fn queue(&self, job: &str) {
        self.call("POST /queue", job).await;
    }

    /// Returns all records of a job.
    pub(super) async fn records(&self, job: &str) -> Vec<Record> {
        let mut bytes = Bytes::from(self.call(&format!("GET /jobs/{job}/records?from=0&wait=0"), "").await);
        let mut records = Vec::new();
        while !bytes.is_empty() {
            records.push(Record::decode_length_delimited(&mut bytes).unwrap());
        }
        records
    }

    /// Returns the processes of its load tests.
    pub(super) fn load_tests(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.folder.path().display());
        let has = |id: &i32| {
            fs::read(format!("/proc/{id}/environ"))
                .is_ok_and(|all| all.split(|&byte| byte == 0).any(|one| one == mark.as_bytes()))
        };
        let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let binaries = [BINARY, FEEDS_BINARY, SETUPS_BINARY].map(Path::new);
        let is = |id: &i32| fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| binaries.contains(&&*exe));
        ids.filter(is).filter(has).collect()
    }

    /// Kills the running load test.
    pub(super) fn kill_load_test(&self) {
        self.signal_load_test(Signal::KILL);
    }

    /// Stops the running load test with SIGSTOP for this time.
    pub(super) async fn freeze_load_test(&self, time: Duration) {
        self.signal_load_test(Signal::STOP);
        tokio::time::sleep(time).await;
        self.signal_load_test(Signal::CONT);
    }

    fn signal_load_test(&self, signal: Signal) {
        for id in self.load_tests() {
            kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
        }
    }
}

async fn serve(addr: &str, folder: &TempDir, flags: &[&str]) -> (Program, String) {
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env_remove("GOLO_TOKEN").env_remove("TARGET_URL").env(MARK, folder.path());
    command.args(["agent", "--addr", addr, "--data"]).arg(folder.path()).args(flags);
    Program::listen(command).await
}

/// A group of agents.
pub(super) struct Fleet {
    pub(super) agents: Vec<Agent>,
}

impl Fleet {
    /// Starts this many agents, on 127.0.0.1 and the following addresses.
    pub(super) async fn start(number: usize) -> Self {
        let mut agents = Vec::new();
        for number in 1..=number {
            agents.push(Agent::start(number).await);
        }
        Self { agents }
    }

    /// Returns the last job of each agent.
    pub(super) async fn last_jobs(&self) -> Vec<Value> {
        let mut jobs = Vec::new();
        for agent in &self.agents {
            jobs.push(agent.jobs().await.pop().unwrap());
        }
        jobs
    }

    /// Waits until the last job of each agent is in this state.
    pub(super) async fn until_all(&self, state: &str) {
        within(&format!("all jobs are {state}"), async {
            while self.last_jobs().await.iter().any(|job| job["state"] != state) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }

    /// Asserts that every running agent has finished all its jobs, and waits until no load test process is left.
    pub(super) async fn assert_idle(&self) {
        for agent in self.agents.iter().filter(|agent| agent.program.is_some()) {
            for job in agent.jobs().await {
                let state = job["state"].as_str().unwrap().to_owned();
                assert!(matches!(&*state, "completed" | "failed" | "cancelled"), "{}: {state}", agent.name);
            }
        }
        until("no load test is left", || self.agents.iter().all(|agent| agent.load_tests().is_empty())).await;
    }
}

/// A call of `golo submit` or `golo attach`, and the folder for its reports.
pub(super) struct Call {
    pub(super) command: Command,
    folder: TempDir,
    agents: Vec<String>,
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
    pub(super) fn new(fleet: &Fleet, load_test: &str, target: &str, flags: &str) -> Self {
        Self::submit(fleet, load_test, target, flags).with_summary()
    }

    /// Creates a call of `golo submit` that leaves the run to its agents.
    pub(super) fn detached(fleet: &Fleet, load_test: &str, target: &str, flags: &str) -> Self {
        Self::submit(fleet, load_test, target, flags).args("--detach")
    }

    /// Creates a call of `golo attach`.
    pub(super) fn attach(fleet: &Fleet, run: &str, flags: &str) -> Self {
        let mut call = Self::of_fleet(fleet);
        call.command.arg("attach").arg(run);
        call.args(flags).with_summary()
    }

    fn submit(fleet: &Fleet, load_test: &str, target: &str, flags: &str) -> Self {
        let mut call = Self::of_fleet(fleet);
        let load_test = match load_test {
            JOBS => script(&call.folder, JOBS, BINARY),
            SETUPS => script(&call.folder, SETUPS, SETUPS_BINARY),
            FEEDS => script(&call.folder, FEEDS, FEEDS_BINARY),
            path => PathBuf::from(path),
        };
        call.command.arg("submit").arg(load_test).arg("-e").arg(format!("TARGET_URL={target}"));
        call.args(flags)
    }

    fn of_fleet(fleet: &Fleet) -> Self {
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        for name in ["GOLO_HOSTS", "GOLO_TOKEN", "GOLO_CA", "GOLO_ON_AGENT_LOSS"] {
            command.env_remove(name);
        }
        let agents = fleet.agents.iter().map(|agent| agent.name.clone()).collect();
        Self { command, folder: tempfile::tempdir().unwrap(), agents }
    }

    fn with_summary(mut self) -> Self {
        self.command.arg("--out").arg(format!("summary={}", summary(&self.folder).display()));
        self
    }

    /// Does not pass the agents of the fleet.
    pub(super) fn alone(mut self) -> Self {
        self.agents.clear();
        self
    }

    pub(super) fn args(mut self, flags: &str) -> Self {
        self.command.args(flags.split_whitespace());
        self
    }

    pub(super) fn spawn(mut self) -> Running {
        for agent in &self.agents {
            self.command.args(["--agent", agent]);
        }
        Running { program: Program::spawn(self.command), folder: self.folder }
    }

    pub(super) async fn finish(self) -> Ran {
        self.spawn().finish().await
    }
}

fn script(folder: &TempDir, name: &str, binary: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, format!("#!/bin/sh\nexec {binary} \"$@\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn summary(folder: &TempDir) -> PathBuf {
    folder.path().join("summary.json")
}

impl Running {
    pub(super) async fn finish(self) -> Ran {
        Ran { finished: self.program.finish().await, folder: self.folder }
    }
}

impl Ran {
    pub(super) fn summary(&self) -> Value {
        serde_json::from_slice(&fs::read(summary(&self.folder)).unwrap()).unwrap()
    }

    /// Returns the value of `--out` that wrote the summary.
    pub(super) fn out(&self) -> String {
        format!("summary={}", summary(&self.folder).display())
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
