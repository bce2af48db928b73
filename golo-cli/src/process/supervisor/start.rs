//! Starting a load test: starts the supervisor, which reports whether the load test runs.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{self, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::timeout;

use super::adopted::Adopted;
use super::flags::Flags;
use super::follower::{Follower, Reports};
use super::report::Report;
use super::stderr::{Sink, Stderr};
use super::{Limits, NAME, Program, SUPERVISE, StartError, Supervised, binary, own_executable};
use crate::support::environment::SECRETS;

/// Variable with a unique value for all processes of one load test.
const MARK: &str = "GOLO_SUPERVISED";

/// Maximum grace period: practically unlimited, and still in the range of a clock.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Maximum time until the supervisor reports whether the load test runs.
const START: Duration = Duration::from_secs(30);

/// Options for starting load tests that [`Supervised::start`] does not offer.
///
/// ```no_run
/// # use golo_cli::process::supervisor::{Limits, Program, Supervisor};
/// # async fn run(program: &Program) -> Result<(), Box<dyn std::error::Error>> {
/// let supervisor = Supervisor::default().on_stderr(|line| eprintln!("load test: {line}"));
/// let mut load_test = supervisor.start(program, &Limits::default()).await?;
/// println!("{}", load_test.ended().await);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Supervisor {
    executable: Option<PathBuf>,
    sink: Option<Sink>,
    adopts: bool,
}

impl Supervisor {
    /// Sets another executable than this process's own. Its `main` must begin with [`answer`](super::answer).
    #[must_use]
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// Calls `take` with each line of the load test's stderr, in addition to keeping the last ones. It must be fast: it
    /// blocks this thread, and the load test once its pipe is full.
    #[must_use]
    pub fn on_stderr(mut self, take: impl FnMut(&str) + Send + 'static) -> Self {
        self.sink = Some(Box::new(take));
        self
    }

    /// Makes this process the parent of the processes that a killed supervisor leaves, to kill them whatever their
    /// session, process group and environment are. Only for a process whose children are all supervisors: any other child
    /// that it gets after the start is taken for one of those processes. Has no effect outside Linux.
    #[must_use]
    pub fn adopting(mut self) -> Self {
        self.adopts = true;
        self
    }

    /// Starts `program`. Dropping this future ends the load test.
    ///
    /// # Errors
    ///
    /// Returns an error if the program cannot be run or a process cannot be started.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime with I/O and time.
    pub async fn start(self, program: &Program, limits: &Limits) -> Result<Supervised, StartError> {
        let flags = flags(program, limits)?;
        binary::check(&flags.program, flags.program.display())?;
        let mark = format!("{MARK}={}", golo::new_sequence_id());
        let cannot = |error| StartError::circumstances("the supervisor cannot be started", Some(error));
        let own = self.executable.map_or_else(own_executable, Ok).map_err(cannot)?;
        let start = || spawn(own, program, &flags, &mark);
        let ((supervisor, golo), adopted) = if self.adopts {
            let (started, adopted) = Adopted::of(start).map_err(cannot)?;
            (started, Some(adopted))
        } else {
            (start().map_err(cannot)?, None)
        };
        follow(supervisor, golo, flags, mark, adopted, self.sink).await
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("executable", &self.executable).finish_non_exhaustive()
    }
}

fn flags(program: &Program, limits: &Limits) -> Result<Flags, StartError> {
    // Made absolute because the load test may run in another folder.
    let absolute = path::absolute(&program.path).map_err(|_| StartError::no_file(&program.path))?;
    Ok(Flags {
        grace: limits.grace.min(LONGEST_GRACE),
        memory: limits.memory,
        descriptors: limits.descriptors,
        folder: program.folder.clone(),
        scratch: program.scratch.clone(),
        supervisor: None,
        program: absolute,
        arguments: program.arguments.clone(),
    })
}

fn spawn(own: PathBuf, program: &Program, flags: &Flags, mark: &str) -> io::Result<(Child, UnixStream)> {
    let (golo, theirs) = std::os::unix::net::UnixStream::pair()?;
    golo.set_nonblocking(true)?;
    let golo = UnixStream::from_std(golo)?;
    let mut command = Command::new(own);
    command.arg0(NAME).arg(SUPERVISE).args(flags.line());
    SECRETS.iter().for_each(|name| _ = command.env_remove(name));
    command.envs(program.environment.iter().map(|(key, value)| (key, value)));
    command.envs(mark.split_once('='));
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // Dropping the command closes this process's copy of the supervisor's end of the socket.
    Ok((tokio::process::Command::from(command).spawn()?, golo))
}

/// Waits for the result of the start and spawns a task that follows the supervisor from then on.
async fn follow(
    mut supervisor: Child,
    golo: UnixStream,
    flags: Flags,
    mark: String,
    adopted: Option<Adopted>,
    sink: Option<Sink>,
) -> Result<Supervised, StartError> {
    let stderr = Stderr::default();
    let reader = supervisor.stderr.take().map(|pipe| tokio::spawn(stderr.clone().read(pipe, sink)));
    let stdout = supervisor.stdout.take();
    let id = supervisor.id().unwrap_or_default();
    let (reports, orders) = golo.into_split();
    let (wanted, order) = watch::channel(None);
    let (end, ended) = watch::channel(None);
    let (pauses, paused) = watch::channel(Vec::new());
    let mut follower = Follower {
        supervisor,
        reports: Reports::of(BufReader::new(reports).lines()),
        orders: Some(orders),
        order,
        deadline: None,
        has_given_up: false,
        flags,
        mark,
        adopted,
        stderr: stderr.clone(),
        reader,
        pauses,
        end,
    };
    let outcome = timeout(START, follower.reports.outcome()).await;
    match outcome {
        Ok(Some(Report::Started)) => {
            let group = follower.reports.group();
            tokio::spawn(follower.follow());
            Ok(Supervised { id: group.unwrap_or_default(), supervisor: id, stdout, stderr, wanted, paused, ended })
        }
        Err(_) => {
            follower.give_up();
            follower.finish().await;
            let text = format!("the supervisor did not start the load test within {} s", START.as_secs());
            Err(StartError::circumstances(text, None))
        }
        Ok(outcome) => {
            drop(stdout);
            let flags = follower.finish().await;
            Err(match outcome {
                Some(Report::Refused(refusal)) => StartError::refused(refusal, &flags),
                _ => StartError::supervisor(&stderr.text()),
            })
        }
    }
}
