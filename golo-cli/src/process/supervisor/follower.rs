//! The task in `golo` that follows one supervisor to its end, independent of any caller that waits for it.

use std::time::Duration;

use golo::cli::until;
use golo::engine::standstill::Pause;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncWriteExt as _, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::adopted::Adopted;
use super::flags::Flags;
use super::orders::Order;
use super::report::{End, Report};
use super::stderr::Stderr;
use super::{Ended, descendants};

/// Maximum wait for the supervisor's answer, in addition to the grace period of the load test.
const ANSWER: Duration = Duration::from_secs(10);
/// Maximum wait for killed processes to disappear.
const PATIENCE: Duration = Duration::from_secs(5);
/// Interval between checks for them.
const LOOK: Duration = Duration::from_millis(10);
/// Maximum wait for the end of stderr after all its writers have ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Texts on stderr of a load test that has reached its limit of descriptors.
const TOO_MANY: [&str; 2] = ["too many open files", "os error 24"];

/// Reports from the supervisor.
#[derive(Debug)]
pub(super) struct Reports {
    lines: Lines<BufReader<OwnedReadHalf>>,
    group: Option<u32>,
    end: Option<End>,
}

impl Reports {
    pub(super) fn of(lines: Lines<BufReader<OwnedReadHalf>>) -> Self {
        Self { lines, group: None, end: None }
    }

    /// Returns the load test's process group once it is known.
    pub(super) fn group(&self) -> Option<u32> {
        self.group
    }

    /// Waits until the load test runs or has been refused. Returns `None` if the supervisor ends before that.
    pub(super) async fn outcome(&mut self) -> Option<Report> {
        loop {
            match self.next().await? {
                Report::Group(_) | Report::Stood(_) | Report::Ended(_) => {}
                report => return Some(report),
            }
        }
    }

    /// Returns the next report, or `None` when the supervisor has ended. Cancel-safe.
    async fn next(&mut self) -> Option<Report> {
        loop {
            let line = self.lines.next_line().await.ok()??;
            // Lines that do not parse are skipped. They cannot occur: the supervisor is this same executable.
            let Ok(report) = line.parse() else { continue };
            match report {
                Report::Group(group) => self.group = Some(group),
                Report::Ended(end) => self.end = Some(end),
                _ => {}
            }
            return Some(report);
        }
    }
}

/// Everything that belongs to one supervisor.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) supervisor: Child,
    pub(super) reports: Reports,
    /// Socket for orders; `None` once it is closed.
    pub(super) orders: Option<OwnedWriteHalf>,
    pub(super) order: watch::Receiver<Option<Order>>,
    /// Time to give up on a supervisor that does not carry out an order, for example because it is stopped.
    pub(super) deadline: Option<Instant>,
    /// True once this process has killed the supervisor.
    pub(super) has_given_up: bool,
    pub(super) flags: Flags,
    pub(super) mark: String,
    /// Processes that this process has adopted, if it does that.
    pub(super) adopted: Option<Adopted>,
    pub(super) stderr: Stderr,
    /// Task that reads stderr.
    pub(super) reader: Option<JoinHandle<()>>,
    pub(super) pauses: watch::Sender<Vec<Pause>>,
    pub(super) end: watch::Sender<Option<Ended>>,
}

impl Follower {
    /// Passes on orders until the supervisor ends, then publishes how the load test ended.
    pub(super) async fn follow(mut self) {
        loop {
            tokio::select! {
                report = self.reports.next() => match report {
                    Some(Report::Stood(time)) => {
                        let pause = Pause::new(Instant::now().into_std(), time, time);
                        self.pauses.send_modify(|pauses| pauses.extend(pause));
                    }
                    Some(_) => {}
                    None => break,
                },
                changed = self.order.changed(), if self.orders.is_some() => match changed {
                    Ok(()) => self.pass_on().await,
                    // The `Supervised` was dropped: closing this half of the socket asks the load test to stop.
                    Err(_) => {
                        self.orders = None;
                        self.expect_end(self.flags.grace);
                    }
                },
                () = until(self.deadline.map(Instant::into_std)) => self.give_up(),
            }
        }
        self.finish().await;
    }

    /// Expects the end of the supervisor after this time, in which the load test may stop. A stopped supervisor
    /// continues.
    fn expect_end(&mut self, time: Duration) {
        let deadline = Instant::now() + time + ANSWER;
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        self.signal(Signal::CONT);
    }

    /// Kills a supervisor that does not answer.
    pub(super) fn give_up(&mut self) {
        (self.deadline, self.has_given_up) = (None, true);
        self.signal(Signal::KILL);
    }

    /// Sends a signal to the supervisor, unless it has been waited for and its ID may belong to another process.
    fn signal(&self, signal: Signal) {
        let id = self.supervisor.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        _ = id.map(|id| kill_process(id, signal));
    }

    async fn pass_on(&mut self) {
        let order = *self.order.borrow_and_update();
        let (line, time) = match order {
            Some(Order::Stop) => ("stop\n", self.flags.grace),
            Some(Order::Kill) => ("kill\n", Duration::ZERO),
            None => return,
        };
        if let Some(orders) = &mut self.orders {
            // If this fails, the supervisor has ended, and the reports end too.
            _ = orders.write_all(line.as_bytes()).await;
        }
        self.expect_end(time);
    }

    /// Waits for the supervisor, cleans up if it failed to, and publishes how the load test ended.
    pub(super) async fn finish(mut self) -> Flags {
        let mut waited = timeout(ANSWER, self.supervisor.wait()).await;
        if waited.is_err() {
            self.give_up();
            waited = Ok(self.supervisor.wait().await);
        }
        if !waited.is_ok_and(|waited| waited.is_ok_and(|status| status.success())) {
            leave_nothing(self.reports.group(), &self.mark, self.adopted.as_ref()).await;
        }
        if let Some(reader) = &mut self.reader {
            _ = timeout(LAST_WORDS, reader).await;
        }
        let ended = self.ended();
        self.end.send_replace(Some(ended));
        std::mem::take(&mut self.flags)
    }

    fn ended(&self) -> Ended {
        let Some(end) = self.reports.end else {
            return if self.has_given_up { Ended::SupervisorSilent } else { Ended::SupervisorLost };
        };
        let failed = !matches!(end, End::Exited(0) | End::Killed | End::Cut | End::OutOfMemory(_));
        let asked = self.order.borrow().is_some() || self.orders.is_none();
        match self.flags.descriptors {
            Some(limit) if failed && !asked && says_too_many(&self.stderr.text()) => {
                Ended::TooManyDescriptors { limit }
            }
            _ => Ended::of(end, self.flags.grace, self.flags.memory),
        }
    }
}

impl Drop for Follower {
    /// Lets a stopped supervisor notice that its socket is closed.
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

fn says_too_many(stderr: &str) -> bool {
    let stderr = stderr.to_ascii_lowercase();
    TOO_MANY.iter().any(|words| stderr.contains(words))
}

/// Kills the processes that a killed supervisor has left: the group, and on Linux the adopted processes and all with the
/// mark. Gives up after a while, because a process that waits for the kernel cannot be killed.
async fn leave_nothing(group: Option<u32>, mark: &str, adopted: Option<&Adopted>) {
    let group = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let until = Instant::now() + PATIENCE;
    loop {
        let group_lives = group.is_some_and(|group| {
            _ = kill_process_group(group, Signal::KILL);
            descendants::group_lives(group)
        });
        let marked = descendants::kill_marked(mark);
        let adopted = adopted.is_some_and(Adopted::kill);
        if !marked && !adopted && !group_lives || Instant::now() > until {
            return;
        }
        sleep(LOOK).await;
    }
}
