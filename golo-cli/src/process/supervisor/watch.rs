//! `golo supervise`: starts and watches the load test, and ends all its processes.

use golo::cli::Exit;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, wait};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep, sleep_until};

use super::flags::Flags;
use super::orders::{Golo, Order};
use super::report::{End, Refusal, Report, Step};
use super::{EXEC, NAME, SUPERVISE, descendants, own_executable, say, set_process_name};
use crate::support::failure::Failure;

/// Minimum interval between measurements of memory.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
/// Maximum interval between measurements, for machines on which a measurement is slow because it reads every process.
const MAX_INTERVAL: Duration = Duration::from_secs(1);
/// Within these bounds, measuring uses at most one part in this many of a core.
const SHARE: u32 = 50;
/// Interval between checks of the group while it ends. The supervisor is not notified of every end in it.
const ENDING: Duration = Duration::from_millis(10);
/// Maximum wait for a killed process that is another process's child.
const PATIENCE: Duration = Duration::from_secs(5);

/// Supervises the load test named in `arguments` until none of its processes is left. Must be called by the only
/// thread.
///
/// `golo` calls this through [`Supervised::start`](super::Supervised::start), with the socket from there as stdin.
#[must_use]
pub fn supervise(arguments: &[OsString]) -> ExitCode {
    set_process_name("golo supervise");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let flags = Flags::parse(arguments).map_err(|error| error.to_string())?;
        runtime.block_on(async {
            Watch::start(flags, arguments).await?.run().await;
            Ok(())
        })
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            say(SUPERVISE, wrong);
            Exit::BadConfiguration.into()
        }
    }
}

/// A watched load test.
#[derive(Debug)]
struct Watch {
    golo: Golo,
    signals: Signals,
    flags: Flags,
    /// Process ID of the load test, and of its process group.
    group: Pid,
    /// Pipe from `golo exec`, until it is known whether `golo exec` became the load test.
    exec: Option<pipe::Receiver>,
    /// Time at which the load test was stopped by a signal, while it is.
    stopped: Option<Instant>,
    /// True once the load test has been waited for. From then on its ID may be reused.
    ended: bool,
    /// Time to kill the group, once it has been asked to stop.
    deadline: Option<Instant>,
    /// Reason why the group was killed.
    killed: Option<End>,
    /// Time of the next memory measurement.
    next_check: Instant,
}

impl Watch {
    async fn start(flags: Flags, arguments: &[OsString]) -> Result<Self, Failure> {
        let signals = Signals::listen().map_err(|error| format!("signals cannot be handled: {error}"))?;
        descendants::become_subreaper().map_err(|error| format!("orphaned processes cannot be adopted: {error}"))?;
        let mut golo = Golo::on_stdin().map_err(|_| "this subcommand is internal: `golo run` starts it".to_owned())?;
        let (group, exec) = spawn(arguments).map_err(|error| format!("`golo {EXEC}` cannot be started: {error}"))?;
        golo.send(Report::Group(group.as_raw_pid().unsigned_abs())).await;
        let next_check = Instant::now();
        Ok(Self {
            golo,
            signals,
            flags,
            group,
            exec: Some(exec),
            stopped: None,
            ended: false,
            deadline: None,
            killed: None,
            next_check,
        })
    }

    async fn run(mut self) {
        while !self.is_over() {
            tokio::select! {
                _ = self.signals.child.recv() => {}
                report = exec_result(&mut self.exec) => self.golo.send(report).await,
                order = self.golo.order() => self.obey(order),
                () = sleep_until(self.next_check), if self.flags.memory.is_some() => self.check_memory(),
                () = sleep(ENDING), if self.deadline.is_some() => {}
            }
            self.reap().await;
            self.check_deadline();
        }
        self.leave_nothing().await;
    }

    /// True if there is nothing to wait for: the group is empty or has been killed.
    ///
    /// Once the load test has been waited for, the group's ID becomes free when its last process ends. The kernel
    /// assigns IDs in turn, so this ID is not reused between two checks.
    fn is_over(&self) -> bool {
        self.killed.is_some() || self.deadline.is_some() && !descendants::group_lives(self.group)
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop => self.ask_to_stop(),
            Order::Kill => self.kill(End::Cut),
        }
    }

    /// Sends SIGTERM once. SIGCONT follows because a stopped process cannot handle it.
    fn ask_to_stop(&mut self) {
        if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + self.flags.grace);
            _ = kill_process_group(self.group, Signal::TERM);
            _ = kill_process_group(self.group, Signal::CONT);
        }
    }

    fn check_deadline(&mut self) {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.kill(End::Killed);
        }
    }

    fn kill(&mut self, why: End) {
        self.killed.get_or_insert(why);
        _ = kill_process_group(self.group, Signal::KILL);
    }

    fn check_memory(&mut self) {
        let started = Instant::now();
        let most = self.flags.memory.unwrap_or(u64::MAX);
        let used = descendants::memory(most);
        if used > most {
            self.kill(End::OutOfMemory(used));
        }
        self.next_check = started + (started.elapsed() * SHARE).clamp(MIN_INTERVAL, MAX_INTERVAL);
    }

    /// Waits for all ended children, and notes whether the load test is stopped. Returns whether this process has children
    /// left.
    async fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED) {
                Ok(Some((id, status))) if status.stopped() => {
                    if id == self.group && !self.ended {
                        self.stopped.get_or_insert_with(Instant::now);
                    }
                }
                Ok(Some((id, status))) if status.continued() => {
                    if id == self.group {
                        self.runs_again().await;
                    }
                }
                Ok(Some((id, status))) if id == self.group && !self.ended => self.end(status).await,
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Reports how long the load test was stopped, if it was.
    async fn runs_again(&mut self) {
        if let Some(stopped) = self.stopped.take() {
            self.golo.send(Report::Stood(stopped.elapsed())).await;
        }
    }

    /// Reports the end of the load test and asks the rest of its group to stop.
    async fn end(&mut self, status: WaitStatus) {
        self.ended = true;
        let mut refused = false;
        if self.exec.is_some() {
            let report = exec_result(&mut self.exec).await;
            refused = report != Report::Started;
            self.golo.send(report).await;
        }
        self.runs_again().await;
        if !refused {
            self.golo.send(Report::Ended(self.end_of(status))).await;
        }
        self.ask_to_stop();
    }

    fn end_of(&self, status: WaitStatus) -> End {
        match (status.terminating_signal(), self.killed) {
            (Some(signal), Some(why)) if signal == Signal::KILL.as_raw() => why,
            (Some(signal), _) => End::Signalled(signal),
            (None, _) => End::Exited(status.exit_status().unwrap_or_default()),
        }
    }

    /// Kills the remaining processes, and deletes the scratch folder. On Linux the processes all descend from this one, and
    /// it is done when there are no children. Elsewhere the rest of the group has another parent, which may be slow to wait
    /// for them.
    async fn leave_nothing(&mut self) {
        while self.reap().await {
            descendants::kill_children();
            tokio::select! {
                _ = self.signals.child.recv() => {}
                () = sleep(ENDING) => {}
            }
        }
        let until = Instant::now() + PATIENCE;
        while !cfg!(target_os = "linux") && descendants::group_lives(self.group) && Instant::now() < until {
            _ = kill_process_group(self.group, Signal::KILL);
            sleep(ENDING).await;
        }
        // `golo` deletes it too, unless it was killed.
        _ = self.flags.scratch.as_ref().map(std::fs::remove_dir_all);
    }
}

/// Returns the result of `golo exec`, once; later calls never return. Cancel-safe: the single short line arrives in one
/// piece.
async fn exec_result(exec: &mut Option<pipe::Receiver>) -> Report {
    let Some(pipe) = exec else { return std::future::pending().await };
    let mut line = [0; 64];
    let length = pipe.read(&mut line).await.unwrap_or(0);
    *exec = None;
    if length == 0 {
        return Report::Started;
    }
    let garbled = |()| Refusal { step: Step::Program, errno: Errno::IO.raw_os_error() };
    Report::Refused(String::from_utf8_lossy(&line[..length]).parse().unwrap_or_else(garbled))
}

/// Starts `golo exec` in its own process group.
fn spawn(arguments: &[OsString]) -> io::Result<(Pid, pipe::Receiver)> {
    let (exec, theirs) = io::pipe()?;
    let mut command = Command::new(own_executable()?);
    command.arg0(NAME).arg(EXEC).arg(format!("--supervisor={}", getpid())).args(arguments);
    // Dropping the command at the end of this function closes this copy of the pipe's other end.
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0).spawn()?;
    Ok((Pid::from_child(&child), pipe::Receiver::from_owned_fd(exec.into())?))
}

/// Signals of the supervisor. It handles the one for its children and ignores the others with a handler, because the
/// load test would inherit signals that are ignored by the kernel.
#[derive(Debug)]
struct Signals {
    child: unix::Signal,
    _ignored: [unix::Signal; 4],
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            child: unix::signal(SignalKind::child())?,
            _ignored: [
                unix::signal(SignalKind::interrupt())?,
                unix::signal(SignalKind::terminate())?,
                unix::signal(SignalKind::hangup())?,
                unix::signal(SignalKind::quit())?,
            ],
        })
    }
}
