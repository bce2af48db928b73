//! Helpers: load tests that are shell scripts, and checks of their processes.

use std::{path::Path, time::Duration};

use golo_cli::process::supervisor::{Limits, Program, StartError, Supervised, Supervisor};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::ChildStdout;

/// The helpers for waiting, shared with the tests across crates.
#[path = "../../../tests/waiting.rs"]
#[allow(unreachable_pub, reason = "it is public there")]
mod waiting;

pub(crate) use waiting::{PATIENCE, until, within};

/// Returns a supervisor that runs this crate's `golo`.
pub(crate) fn supervisor() -> Supervisor {
    Supervisor::default().executable(env!("CARGO_BIN_EXE_golo"))
}

/// Returns a load test that is this shell script.
pub(crate) fn script(script: &str) -> Program {
    Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], ..Program::default() }
}

/// Returns limits with only this grace.
pub(crate) fn grace(milliseconds: u64) -> Limits {
    Limits { grace: Duration::from_millis(milliseconds), ..Limits::default() }
}

/// Returns limits with a grace that no test waits for.
pub(crate) fn patient() -> Limits {
    Limits { grace: 2 * PATIENCE, ..Limits::default() }
}

/// A running load test and its stdout.
pub(crate) struct Running {
    pub(crate) load_test: Supervised,
    pub(crate) stdout: Stdout,
    /// IDs of its processes that are known so far.
    pub(crate) processes: Vec<u32>,
}

impl Running {
    pub(crate) async fn start(text: &str, limits: &Limits) -> Self {
        Self::of(supervisor().start(&script(text), limits).await)
    }

    pub(crate) fn of(started: Result<Supervised, StartError>) -> Self {
        let mut load_test = started.unwrap();
        let stdout = Stdout::of(load_test.take_stdout().unwrap());
        let processes = vec![load_test.id(), load_test.supervisor_id()];
        Self { load_test, stdout, processes }
    }

    /// Reads process IDs, one per line, until the line `ready`.
    pub(crate) async fn ready(&mut self) {
        loop {
            let line = self.stdout.line().await;
            match line.as_str() {
                "ready" => return,
                id => self.processes.push(id.parse().unwrap()),
            }
        }
    }

    /// Asserts that all processes have ended. Does not wait, because whatever ended them has waited already.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self) {
        let left: Vec<_> = self.processes.iter().filter(|id| lives(**id)).collect();
        assert!(left.is_empty(), "{left:?} of {:?} live", self.processes);
    }

    /// Waits until all processes have ended. For tests in which nothing else reports their end.
    pub(crate) async fn nothing_will_be_left(&self) {
        nothing_will_be_left(&self.processes).await;
    }
}

/// Waits until all these processes have ended.
pub(crate) async fn nothing_will_be_left(processes: &[u32]) {
    until("all processes are gone", || !processes.iter().any(|id| lives(*id))).await;
}

/// A file that lets a waiting script continue once it exists.
pub(crate) struct Go(tempfile::TempDir);

impl Default for Go {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Go {
    /// Returns the shell command that waits for the file.
    pub(crate) fn awaited(&self) -> String {
        format!("until [ -e {} ]; do sleep 0.01; done", self.0.path().join("go").display())
    }

    pub(crate) fn now(&self) {
        std::fs::write(self.0.path().join("go"), "").unwrap();
    }
}

/// Lines of stdout.
pub(crate) struct Stdout<R = ChildStdout>(Lines<BufReader<R>>);

impl<R: AsyncRead + Unpin> Stdout<R> {
    pub(crate) fn of(pipe: R) -> Self {
        Self(BufReader::new(pipe).lines())
    }

    /// Returns the next line. Panics at the end of stdout.
    pub(crate) async fn line(&mut self) -> String {
        self.next().await.expect("another line")
    }

    /// Returns the next line, or `None` at the end of stdout.
    pub(crate) async fn next(&mut self) -> Option<String> {
        within("a line", self.0.next_line()).await.unwrap()
    }
}

/// True if the process is running. A zombie does not count.
pub(crate) fn lives(id: u32) -> bool {
    if Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat).into_owned();
        return stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    }
    rustix::process::test_kill_process(pid(id)).is_ok()
}

pub(crate) fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
}

pub(crate) fn signal(id: u32, signal: Signal) {
    kill_process(pid(id), signal).unwrap();
}
