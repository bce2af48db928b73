//! A load test that runs under a supervisor, as seen by `golo`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use golo::engine::standstill::Pause;
use tokio::{process::ChildStdout, sync::watch};

use super::{Ended, StartError, orders::Order, start::Supervisor, stderr::Stderr};

/// A program to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Path of the executable; `PATH` is not searched.
    pub path: PathBuf,
    /// Command-line arguments.
    pub arguments: Vec<OsString>,
    /// Variables in addition to those of this process. The supervisor has them too.
    pub environment: Vec<(OsString, OsString)>,
    /// Working directory; `None` for that of this process.
    pub folder: Option<PathBuf>,
    /// Folder that the supervisor deletes at its end, also if this process does not exist any more.
    pub scratch: Option<PathBuf>,
}

/// Limits of a load test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time to stop after the request to stop, in whole milliseconds.
    pub grace: Duration,
    /// Maximum memory of all its processes together, in bytes. What they share counts once, and files in memory (tmpfs,
    /// memfd) that they hold open count. Checked up to 50 times a second (once a second on machines with thousands of
    /// processes), and only on Linux. If one process had more between two checks, that counts if it still exists.
    pub memory: Option<u64>,
    /// Maximum number of open descriptors of each process. Never more than this process may have.
    pub descriptors: Option<u64>,
}

impl Default for Limits {
    /// Returns 30 s to stop, no memory limit, and the descriptor limit of this process.
    fn default() -> Self {
        Self { grace: Duration::from_secs(30), memory: None, descriptors: None }
    }
}

/// A running load test. Dropping this asks it to stop and kills it after its grace period, without waiting for either.
///
/// ```no_run
/// use golo_cli::process::supervisor::{Limits, Program, Supervised};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let program = Program { path: "target/release/checkout".into(), ..Program::default() };
/// let mut load_test = Supervised::start(&program, &Limits::default()).await?;
/// let outputs = load_test.take_stdout();
/// // …
/// let ended = load_test.stop().await;
/// if !ended.is_success() {
///     eprintln!("{ended}\n{}", load_test.stderr());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Supervised {
    pub(super) id: u32,
    pub(super) supervisor: u32,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Stderr,
    /// Last order; `None` while the load test should run.
    pub(super) wanted: watch::Sender<Option<Order>>,
    pub(super) paused: watch::Receiver<Vec<Pause>>,
    pub(super) ended: watch::Receiver<Option<Ended>>,
}

impl Supervised {
    /// Starts `program` under a supervisor, which is this process's own executable: its `main` must begin with
    /// [`answer`](super::answer). Use [`Supervisor`] for another executable.
    ///
    /// # Errors
    ///
    /// Returns an error if the program cannot be run or a process cannot be started.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime with I/O and time.
    pub async fn start(program: &Program, limits: &Limits) -> Result<Self, StartError> {
        Supervisor::default().start(program, limits).await
    }

    /// Takes the load test's stdout, unchanged. Returns `None` from the second call on. The caller must read it,
    /// because a full pipe blocks the load test. It ends when no process of the load test is left.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Returns the last complete lines of the load test's stderr, at most 64 KiB. Lines are cut after 8 KiB, with the
    /// number of further bytes. They contain nothing that commands a terminal.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Returns the ID of the load test's process, which is also that of its process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the ID of the supervisor's process.
    #[must_use]
    pub fn supervisor_id(&self) -> u32 {
        self.supervisor
    }

    /// Returns the times so far in which a signal had stopped the load test's process, in the order of their ends.
    #[must_use]
    pub fn pauses(&self) -> Vec<Pause> {
        self.paused.borrow().clone()
    }

    /// Waits until the load test has ended and none of its processes is left. Cancel-safe.
    pub async fn ended(&mut self) -> Ended {
        let ended = self.ended.wait_for(Option::is_some).await;
        // The sender is gone if its runtime has been shut down, which also closed the supervisor's socket.
        ended.ok().and_then(|ended| *ended).unwrap_or(Ended::SupervisorLost)
    }

    /// Sends SIGTERM, kills the load test after the grace period, and waits until none of its processes is left. The
    /// load test stops even if this future is dropped.
    pub async fn stop(&mut self) -> Ended {
        self.want(Order::Stop);
        self.ended().await
    }

    /// Kills the load test at once, even while it is stopping, and waits until none of its processes is left.
    pub async fn kill(&mut self) -> Ended {
        self.want(Order::Kill);
        self.ended().await
    }

    fn want(&self, order: Order) {
        // Sending fails only after the load test has ended.
        _ = self.wanted.send(Some(order));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supervised_is_send_and_static() {
        fn may<T: Send + 'static>(_: impl FnOnce() -> T) {}
        may(|| async {
            let mut load_test = Supervised::start(&Program::default(), &Limits::default()).await?;
            _ = load_test.stop().await;
            Ok::<_, StartError>(load_test)
        });
    }
}
