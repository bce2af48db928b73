//! `golo supervise`: starts the load test, watches it, and ends it and all that it started.

use golo::cli::Exit;
use std::{
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, wait},
};
use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe,
    signal::unix::{self, SignalKind},
    time::{Instant, sleep, sleep_until},
};

use super::{
    EXEC, NAME, SUPERVISE, call_itself, descendants,
    flags::Flags,
    orders::{Golo, Order},
    own_executable,
    report::{End, Refusal, Report, Step},
    say,
};

/// How far apart two looks at the resident memory are.
const WEIGHING: Duration = Duration::from_millis(200);
/// How far apart they are at most, where looking takes its time: every process of the machine is looked at.
const SELDOM: Duration = Duration::from_secs(1);
/// Looking takes one part in this many of a core, within these bounds.
const SHARE: u32 = 50;
/// How often the group is looked at while it ends. Not every end in it is told to the supervisor.
const ENDING: Duration = Duration::from_millis(10);
/// How long a process that was killed and is another's child is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Supervises the load test that `arguments` name, until nothing is left of it. To be called by the only thread there is.
///
/// `golo` calls this through [`Supervised::start`](super::Supervised::start); its stdin must be the socket that comes from
/// there.
#[must_use]
pub fn supervise(arguments: &[OsString]) -> ExitCode {
    call_itself("golo supervise");
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

/// A load test under watch.
#[derive(Debug)]
struct Watch {
    golo: Golo,
    signals: Signals,
    flags: Flags,
    /// The load test, and its process group.
    group: Pid,
    /// What `golo exec` says, until it is known whether it became the load test.
    exec: Option<pipe::Receiver>,
    /// Whether the load test itself has been waited for: from then on its id may become another's, even a runaway's.
    ended: bool,
    /// When the group is killed, once it has been asked to stop.
    deadline: Option<Instant>,
    /// Why the group was killed.
    killed: Option<End>,
    /// When its memory is looked at next.
    weighing: Instant,
}

impl Watch {
    async fn start(flags: Flags, arguments: &[OsString]) -> Result<Self, String> {
        let signals = Signals::listen().map_err(|error| format!("signals cannot be listened to: {error}"))?;
        adopt().map_err(|error| format!("orphans cannot be adopted: {error}"))?;
        let mut golo =
            Golo::on_stdin().map_err(|_| "this is what golo itself calls, as part of `golo run`".to_owned())?;
        let (group, exec) = spawn(arguments).map_err(|error| format!("`golo {EXEC}` cannot be started: {error}"))?;
        golo.tell(Report::Group(group.as_raw_pid().unsigned_abs())).await;
        let weighing = Instant::now();
        Ok(Self { golo, signals, flags, group, exec: Some(exec), ended: false, deadline: None, killed: None, weighing })
    }

    async fn run(mut self) {
        while !self.is_over() {
            tokio::select! {
                _ = self.signals.child.recv() => {}
                report = become_known(&mut self.exec) => self.golo.tell(report).await,
                order = self.golo.order() => self.obey(order),
                () = sleep_until(self.weighing), if self.flags.memory.is_some() => self.weigh(),
                () = sleep(ENDING), if self.deadline.is_some() => {}
            }
            self.reap().await;
            self.look_at_the_clock();
        }
        self.leave_nothing().await;
    }

    /// Whether there is nothing to wait for: the group is empty, or has been killed.
    ///
    /// Once the load test itself has been waited for, the group's id is free when the last of it has gone. The kernel gives
    /// ids in turn: that it comes round to this one between two looks is out of the question.
    fn is_over(&self) -> bool {
        self.killed.is_some() || self.deadline.is_some() && !descendants::group_lives(self.group)
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop => self.ask_to_stop(),
            Order::Kill => self.kill(End::Cut),
        }
    }

    /// SIGTERM, once. A process that is stopped cannot heed it before it is continued.
    fn ask_to_stop(&mut self) {
        if self.deadline.is_none() {
            self.deadline = Some(Instant::now() + self.flags.grace);
            _ = kill_process_group(self.group, Signal::TERM);
            _ = kill_process_group(self.group, Signal::CONT);
        }
    }

    fn look_at_the_clock(&mut self) {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.kill(End::Killed);
        }
    }

    fn kill(&mut self, why: End) {
        self.killed.get_or_insert(why);
        _ = kill_process_group(self.group, Signal::KILL);
    }

    fn weigh(&mut self) {
        let started = Instant::now();
        let resident = descendants::resident();
        if self.flags.memory.is_some_and(|most| resident > most) {
            self.kill(End::OutOfMemory(resident));
        }
        self.weighing = started + (started.elapsed() * SHARE).clamp(WEIGHING, SELDOM);
    }

    /// Waits for all that have ended, and says whether this process has children left.
    async fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((id, status))) if id == self.group && !self.ended => self.end(status).await,
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The load test itself has ended: whatever it left in its group is asked to follow.
    async fn end(&mut self, status: WaitStatus) {
        self.ended = true;
        let mut refused = false;
        if self.exec.is_some() {
            let report = become_known(&mut self.exec).await;
            refused = report != Report::Started;
            self.golo.tell(report).await;
        }
        if !refused {
            self.golo.tell(Report::Ended(self.meaning(status))).await;
        }
        self.ask_to_stop();
    }

    fn meaning(&self, status: WaitStatus) -> End {
        match (status.terminating_signal(), self.killed) {
            (Some(signal), Some(why)) if signal == Signal::KILL.as_raw() => why,
            (Some(signal), _) => End::Signalled(signal),
            (None, _) => End::Exited(status.exit_status().unwrap_or_default()),
        }
    }

    /// Kills whatever is still there. On Linux all of it descends from this process, and the end is when there are no
    /// children any more. Elsewhere the rest of the group has another parent by now, which may be slow to wait for it.
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
    }
}

/// What became of `golo exec`: told once, and waited for in vain after that. Nothing is lost where this is dropped: it
/// writes one short line at most, which comes in one piece.
async fn become_known(exec: &mut Option<pipe::Receiver>) -> Report {
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

/// Starts `golo exec` in a process group of its own.
fn spawn(arguments: &[OsString]) -> io::Result<(Pid, pipe::Receiver)> {
    let (exec, theirs) = io::pipe()?;
    let mut command = Command::new(own_executable()?);
    command.arg0(NAME).arg(EXEC).arg(format!("--supervisor={}", getpid())).args(arguments);
    // Dropped at the end of this function, and with it the pipe's other end.
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0).spawn()?;
    Ok((Pid::from_child(&child), pipe::Receiver::from_owned_fd(exec.into())?))
}

/// From now on orphans that descend from this process become its children.
fn adopt() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(getpid()))?;
    Ok(())
}

/// The signals that the supervisor hears. All but the one for its children it ignores: a handler rather than the kernel's
/// own way of ignoring, which the load test would inherit.
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
