//! A load test that runs under a supervisor, as `golo` holds it.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use tokio::{process::ChildStdout, sync::watch};

use super::{Ended, StartError, orders::Order, start::Supervisor, stderr::Stderr};

/// What to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The executable. It is never looked up in `PATH`.
    pub path: PathBuf,
    /// What it is called with.
    pub arguments: Vec<OsString>,
    /// Variables beside those of this process. They are the supervisor's too.
    pub environment: Vec<(OsString, OsString)>,
    /// Where it runs; else where this process does.
    pub folder: Option<PathBuf>,
}

/// What a load test may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take to stop when it is asked to, in whole milliseconds.
    pub grace: Duration,
    /// Most resident memory that it and all that it starts may have together, in bytes. Looked at five times a second (once,
    /// where the machine has thousands of processes), and on Linux alone. What processes share counts for each of them.
    pub memory: Option<u64>,
    /// Most descriptors that each of its processes may have open. It never has more than this process might.
    pub descriptors: Option<u64>,
}

impl Default for Limits {
    /// 30 s to stop, as much memory as there is, and as many descriptors as this process may have.
    fn default() -> Self {
        Self { grace: Duration::from_secs(30), memory: None, descriptors: None }
    }
}

/// A load test that runs. Dropping this asks it to stop, kills it after its grace, and waits for neither.
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
    /// What is wanted of it: nothing, while it shall run.
    pub(super) wanted: watch::Sender<Option<Order>>,
    pub(super) ended: watch::Receiver<Option<Ended>>,
}

impl Supervised {
    /// Starts `program` under a supervisor, which is this process's own executable: its `main` begins with
    /// [`answer`](super::answer). Another executable is what [`Supervisor`] is for.
    ///
    /// # Errors
    ///
    /// Where the program cannot be run, or no process can be started.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that drives I/O and time.
    pub async fn start(program: &Program, limits: &Limits) -> Result<Self, StartError> {
        Supervisor::default().start(program, limits).await
    }

    /// The load test's stdout, untouched, the first time this is asked for. Whoever has it must read it: a load test waits
    /// for its reader. It ends when nothing of the load test is left.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// The last lines of the load test's stderr, whole ones, at most 64 KiB of them. Of a line that is longer than 8 KiB the
    /// rest is counted.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The id of the load test's process, and of its process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The id of the supervisor's process.
    #[must_use]
    pub fn supervisor_id(&self) -> u32 {
        self.supervisor
    }

    /// Waits until the load test has ended and nothing of it is left. May be dropped and called again.
    pub async fn ended(&mut self) -> Ended {
        let ended = self.ended.wait_for(Option::is_some).await;
        // None is left to tell where the runtime that it was started on is gone: that has closed the supervisor's socket.
        ended.ok().and_then(|ended| *ended).unwrap_or(Ended::SupervisorLost)
    }

    /// Asks it to stop with SIGTERM, kills it after the grace, and waits until nothing of it is left. May be dropped: it
    /// stops all the same.
    pub async fn stop(&mut self) -> Ended {
        self.want(Order::Stop);
        self.ended().await
    }

    /// Kills it at once, also while it is asked to stop, and waits until nothing of it is left.
    pub async fn kill(&mut self) -> Ended {
        self.want(Order::Kill);
        self.ended().await
    }

    fn want(&self, order: Order) {
        // Whoever has ended wants nothing.
        _ = self.wanted.send(Some(order));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_be_started_and_held_by_any_task() {
        fn may<T: Send + 'static>(_: impl FnOnce() -> T) {}
        may(|| async {
            let mut load_test = Supervised::start(&Program::default(), &Limits::default()).await?;
            _ = load_test.stop().await;
            Ok::<_, StartError>(load_test)
        });
    }
}
