//! A worker: one thread with a runtime, a recorder and a share of the plan. Its main task, the conductor, starts users
//! and triggers when they are due.

mod drive;
mod held;
mod load;
mod seconds;
mod stalls;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::runtime::Builder;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout_at;

use held::Held;
use load::Load;
use seconds::Seconds;
use stalls::Stalls;

use super::orders::{Commander, Orders};
use super::plan::{Model, Plan};
use super::recorder::{self, Recorder, RecorderSink};
use super::share::Share;
use super::snapshot::Snapshot;
use super::timer::Timer;
use super::trigger::Trigger;
use super::users::Users;
use crate::Context;
use crate::support::lock::lock;
use crate::support::panic;

/// Maximum number of users that start or stop at the same time on one worker, if the plan does not set their times.
/// Also the maximum number of starts of a rate before the started triggers get to run.
const AT_ONCE: usize = 256;
const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
/// Time after the end of the plan in which starts that were due before it are still made.
const CATCHING_UP: Duration = Duration::from_secs(1);
/// Minimum time for stopping users, even if the grace period is shorter.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// Time to wait, after the run, for tasks that block a thread.
const BLOCKING: Duration = Duration::from_millis(200);

/// State shared by all workers of a run.
pub(super) struct Run<T> {
    pub(super) trigger: Arc<T>,
    pub(super) plan: Plan,
    pub(super) job_name: String,
    pub(super) seed: u64,
    pub(super) commander: Arc<Commander>,
    pub(super) measured: Arc<RecorderSink>,
    /// Maximum number of triggers in total.
    pub(super) most_iterations: Option<u64>,
    /// Open model: maximum number of triggers in flight.
    pub(super) most_in_flight: u64,
    /// Number of triggers started, counted only if the plan limits them.
    pub(super) iterations: AtomicU64,
    /// Open model: number of triggers in flight.
    pub(super) in_flight: AtomicU64,
}

impl<T> Run<T> {
    /// Takes one iteration of the plan. Returns false if none is left.
    fn take_iteration(&self) -> bool {
        let Some(most) = self.most_iterations else { return true };
        let number = self.iterations.fetch_add(1, Relaxed);
        if number.saturating_add(1) == most {
            self.commander.exhaust();
        }
        number < most
    }

    /// Returns true if a start that does not happen counts as due. It does not if another user makes up for it.
    fn counts_each_start(&self) -> bool {
        self.plan.is_open() || self.plan.iterations().is_none()
    }
}

/// A message of a worker to the engine.
pub(super) enum Message {
    /// The worker is ready, with `users` started users.
    Ready { users: u64 },
    /// Measurements up to the end of `second`, counted from 0. At most `connections` were open at once in it.
    Second { second: u64, snapshot: Snapshot, users: u64, connections: u64, recycle: Recycle },
    /// Nothing is in flight since `at`. `rest` was measured so far in `second`; `users` is the number at the end of the
    /// load; at most `connections` were open at once since the last report.
    Drained { at: Instant, second: u64, rest: Snapshot, users: u64, connections: u64 },
    /// The worker's users have stopped.
    Stopped,
    /// The worker has ended. Contains the measurements since the last report.
    Ended(Snapshot),
    /// The worker could not start, for this reason.
    Failed(String),
    /// The worker was lost, for this reason, with everything it had not reported yet.
    Lost(String),
}

/// Returns a snapshot to the worker that sent it, so that its memory is used again.
pub(super) type Recycle = std::sync::mpsc::Sender<Snapshot>;
pub(super) type Messages = mpsc::UnboundedSender<(usize, Message)>;

/// Times of the measured part.
#[derive(Clone, Copy)]
struct Timeline {
    /// Start of the measured part.
    start: Instant,
    end: Option<Instant>,
}

struct Worker<T: Trigger> {
    run: Arc<Run<T>>,
    share: Share,
    users: Mutex<Users<T::User>>,
    /// Closed model: number of users that this worker is to have.
    wanted: AtomicU32,
    /// Time from which nothing starts any more.
    stopped: OnceLock<Instant>,
    timeline: OnceLock<Timeline>,
    /// Periods in which the worker's thread stood still.
    stalls: Mutex<Stalls>,
    /// Notified when something that the conductor waits for has changed.
    changed: Notify,
}

/// Starts a worker's thread.
pub(super) fn spawn<T: Trigger>(
    number: usize,
    share: Share,
    run: Arc<Run<T>>,
    messages: Messages,
) -> io::Result<thread::JoinHandle<()>> {
    let thread = thread::Builder::new().name(format!("golo-worker-{number}"));
    thread.spawn(move || {
        let tell = |message| _ = messages.send((number, message));
        match catch_unwind(AssertUnwindSafe(|| work(share, run, &tell))) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tell(Message::Failed(reason)),
            Err(payload) => tell(Message::Lost(panic::message(&*payload))),
        }
    })
}

fn work<T: Trigger>(share: Share, run: Arc<Run<T>>, tell: &impl Fn(Message)) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("a worker's runtime could not be started: {error}"))?;
    recorder::install(run.measured.recorder());
    let mut orders = run.commander.subscribe();
    let worker = Arc::new(Worker {
        run,
        share,
        users: Mutex::default(),
        wanted: AtomicU32::new(0),
        stopped: OnceLock::new(),
        timeline: OnceLock::new(),
        stalls: Mutex::default(),
        changed: Notify::new(),
    });
    runtime.block_on(async {
        worker.run.trigger.prepare()?;
        let timer = Timer::new().map_err(|error| format!("a worker's timer could not be started: {error}"))?;
        worker.conduct(timer, &mut orders, tell).await;
        tell(Message::Stopped);
        // Other workers may still need connections that live on this runtime.
        let _ = orders.wait_for(|orders| orders.is_released).await;
        Ok::<_, String>(())
    })?;
    drop(worker);
    // Tasks that user code has left running are cut off here.
    recorder::with(Recorder::cut);
    runtime.shutdown_timeout(BLOCKING);
    tell(Message::Ended(recorder::with(Recorder::take).unwrap_or_default()));
    Ok(())
}

/// Returns the most connections of this thread that were open at once since the last call.
fn most_open_connections() -> u64 {
    recorder::with(Recorder::take_most_open).unwrap_or_default()
}

impl<T: Trigger> Worker<T> {
    async fn conduct(
        self: &Arc<Self>,
        mut timer: Timer,
        orders: &mut watch::Receiver<Orders>,
        tell: &impl Fn(Message),
    ) {
        let users = tokio::select! {
            users = self.start_opening_users() => users,
            _ = orders.wait_for(|orders| orders.over().is_some()) => 0,
        };
        tell(Message::Ready { users });
        let started = orders.wait_for(|orders| orders.over().is_some() || orders.start.is_some()).await;
        let start = started.ok().and_then(|orders| orders.start);
        if let Some(start) = start {
            let mut seconds = Seconds::new(start);
            recorder::with(|recorder| {
                recorder.start(start);
                if let Some(duration) = self.run.plan.duration() {
                    recorder.end_load(start + duration);
                }
            });
            self.wait_for(start, &mut timer, orders).await;
            self.lead(start, &mut timer, orders, &mut seconds, tell).await;
            let users = self.live_users();
            self.drain(&mut timer, orders, &mut seconds, tell).await;
            let (second, rest) = seconds.last();
            let connections = most_open_connections();
            tell(Message::Drained { at: Instant::now(), second, rest, users, connections });
        }
        self.stop_users(orders).await;
    }

    /// Waits until the warm-up begins, or until an order ends the run.
    async fn wait_for(&self, start: Instant, timer: &mut Timer, orders: &mut watch::Receiver<Orders>) {
        // The subtraction succeeds, since the engine sets the start at least one warm-up ahead.
        let begin = start.checked_sub(self.run.plan.warm_up()).unwrap_or(start);
        while Instant::now() < begin && orders.borrow_and_update().over().is_none() {
            tokio::select! {
                biased;
                _ = orders.changed() => {}
                () = timer.sleep_until(begin) => {}
            }
        }
    }

    /// Starts everything that is due until the plan or an order ends the load.
    async fn lead(
        self: &Arc<Self>,
        start: Instant,
        timer: &mut Timer,
        orders: &mut watch::Receiver<Orders>,
        seconds: &mut Seconds,
        tell: &impl Fn(Message),
    ) {
        let plan = &self.run.plan;
        let end = plan.duration().map(|duration| start + duration);
        let timeline = *self.timeline.get_or_init(|| Timeline { start, end });
        let mut load = Load::new(&self.run, self.share, timeline);
        let over = loop {
            let (over, adjustment) = {
                let told = orders.borrow_and_update();
                (told.over(), load.news(&told))
            };
            if let Some(over) = over {
                break over;
            }
            if let Some(adjustment) = adjustment {
                load.adjust(self, adjustment);
            }
            let now = Instant::now();
            seconds.tell(now, || self.live_users(), tell);
            // Starts that were due before the end are still made.
            let until = end.filter(|end| now >= *end).map_or(now, |end| end - NANOSECOND);
            let Some(next) = load.advance(self, until) else { break now };
            let is_behind = next <= until;
            if end.is_some_and(|end| now >= end && !(is_behind && now < end + CATCHING_UP)) {
                break now;
            }
            if is_behind {
                // Let the started triggers run even if starts are due faster than they can be made.
                yield_now().await;
                continue;
            }
            let wake = [Some(next), Some(seconds.next), end].into_iter().flatten().min().unwrap_or(next);
            self.stalls().expect(wake);
            tokio::select! {
                biased;
                _ = orders.changed() => {}
                () = timer.sleep_until(wake) => {}
                () = self.changed.notified() => {}
            }
            self.stalls().note(Instant::now());
        };
        let over = end.map_or(over, |end| end.min(over));
        recorder::with(|recorder| recorder.end_load(over));
        let _ = self.stopped.set(over);
        load.forgo(self, over);
    }

    /// Waits for triggers in flight within the grace period, then cuts off the rest.
    async fn drain(
        self: &Arc<Self>,
        timer: &mut Timer,
        orders: &mut watch::Receiver<Orders>,
        seconds: &mut Seconds,
        tell: &impl Fn(Message),
    ) {
        while self.users().in_flight() > 0 {
            let now = Instant::now();
            seconds.tell(now, || self.live_users(), tell);
            let told = orders.borrow_and_update().clone();
            // A plan without a duration takes as long as its iterations do.
            let over = [told.stopped, self.timeline().end].into_iter().flatten().min();
            let cut = over.map(|over| over + self.run.plan.graceful_stop());
            if told.is_cutting || cut.is_some_and(|cut| now >= cut) {
                self.cut().await;
                break;
            }
            tokio::select! {
                _ = orders.changed() => {}
                () = timer.sleep_until(cut.map_or(seconds.next, |cut| cut.min(seconds.next))) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    async fn cut(&self) {
        recorder::with(Recorder::cut);
        // Cuts off requests made outside this thread too, for example by another process for a trigger.
        self.run.measured.foreign().cut();
        self.users().abort();
        while self.users().in_flight() > 0 {
            self.changed.notified().await;
        }
    }

    /// Wakes the conductor if the load is over, since it may be waiting for a user to end.
    fn tell_if_stopped(&self) {
        if self.stopped.get().is_some() {
            self.changed.notify_one();
        }
    }

    /// Closed model: starts the users of the opening load before the clock starts. Returns the number of users.
    async fn start_opening_users(self: &Arc<Self>) -> u64 {
        let Model::Closed { users, .. } = self.run.plan.model() else { return 0 };
        let opening = self.share.count(users.whole_at(Duration::ZERO));
        if !self.run.trigger.has_users() {
            return opening;
        }
        let starts = (0..opening as u32).filter_map(|number| {
            let user = self.users().take(number)?;
            Some(drive::start_opening_user(Held::new(self, number, user)))
        });
        run_all(starts, &Cell::new(0)).await;
        opening - self.users().failed() as u64
    }

    /// Stops all users within the grace period and counts the `stop` calls that are cut off.
    async fn stop_users(self: &Arc<Self>, orders: &mut watch::Receiver<Orders>) {
        let started = self.users().take_idle(0, u32::MAX);
        if !self.run.trigger.has_users() {
            return;
        }
        let deadline = tokio::time::Instant::now() + self.run.plan.graceful_stop().max(LAST_MOMENT);
        let (count, stopped) = (started.len(), Cell::new(0));
        let stopping = async {
            let stops = started.into_iter().map(|(_, state)| {
                let trigger = Arc::clone(&self.run.trigger);
                async move { trigger.stop(state).await }
            });
            run_all(stops, &stopped).await;
            // Users retired before the end may still be stopping.
            while self.users().busy() > 0 {
                self.changed.notified().await;
            }
        };
        let cut = async {
            let _ = orders.wait_for(|orders| orders.is_cutting).await;
            tokio::time::sleep(LAST_MOMENT).await;
        };
        tokio::select! {
            _ = timeout_at(deadline, stopping) => {}
            () = cut => {}
        }
        let cut_off = count.saturating_sub(stopped.get()) + self.users().leaving();
        recorder::with(|recorder| recorder.rest().generator.stops_cut_off += cut_off as u64);
    }

    /// Returns the number of users. In the open model: users that have a trigger.
    fn live_users(&self) -> u64 {
        let users = self.users();
        let live = match self.run.plan.is_open() {
            true => users.busy(),
            false => (self.wanted.load(Relaxed) as usize).saturating_sub(users.failed()),
        };
        live as u64
    }

    fn users(&self) -> MutexGuard<'_, Users<T::User>> {
        lock(&self.users)
    }

    fn stalls(&self) -> MutexGuard<'_, Stalls> {
        lock(&self.stalls)
    }

    fn timeline(&self) -> Timeline {
        // The timeline is unset only before the start, and no user is driven then.
        *self.timeline.get_or_init(|| Timeline { start: Instant::now(), end: None })
    }

    fn context(&self, number: u32, iteration: u64) -> Context {
        let user = self.share.nth(number.into());
        Context { job_name: self.run.job_name.clone(), user: Some(user), iteration: Some(iteration) }
    }
}

/// Runs all tasks, at most [`AT_ONCE`] at the same time. `ended` counts those that have ended.
async fn run_all(tasks: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>, ended: &Cell<usize>) {
    let mut running = JoinSet::new();
    for task in tasks {
        if running.len() >= AT_ONCE && running.join_next().await.is_some() {
            ended.set(ended.get() + 1);
        }
        running.spawn(task);
    }
    while running.join_next().await.is_some() {
        ended.set(ended.get() + 1);
    }
}
