//! How `golo` starts a load test: the supervisor first, which says what became of it.

use std::{
    fmt, io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{self, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::UnixStream,
    process::Child,
    sync::watch,
};

use super::{
    Limits, NAME, Program, SUPERVISE, StartError, Supervised, binary,
    flags::Flags,
    follower::{Follower, Reports},
    own_executable,
    report::Report,
    stderr::{Sink, Stderr},
};

/// The variable whose value all processes of one load test share, and no others.
const MARK: &str = "GOLO_SUPERVISED";

/// Variables that are golo's own: whoever knows them can have an agent run anything.
const SECRETS: [&str; 2] = ["GOLO_TOKEN", "GOLO_COLLECTOR_TOKEN"];

/// A grace that is as good as for ever, and that a clock can still be set to.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How load tests are started, where [`Supervised::start`] does not do.
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
}

impl Supervisor {
    /// Another executable than this process's own: one whose `main` begins with [`answer`](super::answer).
    #[must_use]
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = Some(path.into());
        self
    }

    /// Hands over each line of the load test's stderr as it comes, besides keeping the last ones. It must not take long: the
    /// load test waits for it when its pipe is full, and so does this thread.
    #[must_use]
    pub fn on_stderr(mut self, take: impl FnMut(&str) + Send + 'static) -> Self {
        self.sink = Some(Box::new(take));
        self
    }

    /// Starts `program`. A load test whose start is dropped before it is done is ended.
    ///
    /// # Errors
    ///
    /// Where the program cannot be run, or no process can be started.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime that drives I/O and time.
    pub async fn start(self, program: &Program, limits: &Limits) -> Result<Supervised, StartError> {
        let flags = flags(program, limits)?;
        binary::check(&flags.program, flags.program.display())?;
        let mark = format!("{MARK}={}", golo::new_sequence_id());
        let spawned =
            self.executable.map_or_else(own_executable, Ok).and_then(|own| spawn(own, program, &flags, &mark));
        let cannot = |error| StartError::circumstances("the supervisor cannot be started", Some(error));
        let (supervisor, golo) = spawned.map_err(cannot)?;
        follow(supervisor, golo, flags, mark, self.sink).await
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("executable", &self.executable).finish_non_exhaustive()
    }
}

fn flags(program: &Program, limits: &Limits) -> Result<Flags, StartError> {
    // The load test may run in another folder, which its own path is not relative to.
    let absolute = path::absolute(&program.path).map_err(|_| StartError::no_file(&program.path))?;
    Ok(Flags {
        grace: limits.grace.min(LONGEST_GRACE),
        memory: limits.memory,
        descriptors: limits.descriptors,
        folder: program.folder.clone(),
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
    // The command holds the socket's other end: when this function ends, the supervisor alone does.
    Ok((tokio::process::Command::from(command).spawn()?, golo))
}

/// Waits until it is known what became of the load test, and has it followed from then on.
async fn follow(
    mut supervisor: Child,
    golo: UnixStream,
    flags: Flags,
    mark: String,
    sink: Option<Sink>,
) -> Result<Supervised, StartError> {
    let stderr = Stderr::default();
    let reader = supervisor.stderr.take().map(|pipe| tokio::spawn(stderr.clone().read(pipe, sink)));
    let stdout = supervisor.stdout.take();
    let id = supervisor.id().unwrap_or_default();
    let (reports, orders) = golo.into_split();
    let mut reports = Reports::of(BufReader::new(reports).lines());
    let outcome = reports.outcome().await;
    let (wanted, order) = watch::channel(None);
    let (end, ended) = watch::channel(None);
    let group = reports.group();
    let follower =
        Follower { supervisor, reports, orders: Some(orders), order, flags, mark, stderr: stderr.clone(), reader, end };
    match outcome {
        Some(Report::Started) => {
            tokio::spawn(follower.follow());
            Ok(Supervised { id: group.unwrap_or_default(), supervisor: id, stdout, stderr, wanted, ended })
        }
        outcome => {
            drop(stdout);
            let flags = follower.bury().await;
            Err(match outcome {
                Some(Report::Refused(refusal)) => StartError::refused(refusal, &flags),
                _ => StartError::supervisor(&stderr.text()),
            })
        }
    }
}
