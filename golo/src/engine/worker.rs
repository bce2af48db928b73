//! A worker: one thread with a runtime, a recorder and a share of each load of the plan. Its main task reports the
//! measurements of each second, and conducts one [`Lane`] for each load.

mod drive;
mod held;
mod lane;
mod load;
mod seconds;
mod stalls;

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::runtime::Builder;
use tokio::sync::mpsc;

use lane::Lane;
use seconds::Seconds;

use super::mix::Deck;
use super::orders::Commander;
use super::plan::Load;
use super::recorder::{self, Recorder, RecorderSink};
use super::share::Share;
use super::snapshot::Snapshot;
use super::timer::Timer;
use super::trigger::Trigger;
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

/// State of one load of a run, shared by all workers.
pub(super) struct Run<T> {
    pub(super) trigger: Arc<T>,
    pub(super) load: Load,
    /// Part of the load that this engine runs.
    pub(super) share: Share,
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
    /// Order of the load's scenarios.
    pub(super) deck: Deck,
    /// Number of the load's first user in the whole run.
    pub(super) first_user: u64,
}

impl<T> Run<T> {
    /// Takes one iteration of the load. Returns false if none is left.
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
        self.load.is_open() || self.load.iterations().is_none()
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

/// Starts a worker's thread, with its share of each load.
pub(super) fn spawn<T: Trigger>(
    number: usize,
    workers: u64,
    runs: Vec<Arc<Run<T>>>,
    messages: Messages,
) -> io::Result<thread::JoinHandle<()>> {
    let thread = thread::Builder::new().name(format!("golo-worker-{number}"));
    thread.spawn(move || {
        let tell = |message| _ = messages.send((number, message));
        match catch_unwind(AssertUnwindSafe(|| work(number as u64, workers, runs, &tell))) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => tell(Message::Failed(reason)),
            Err(payload) => tell(Message::Lost(panic::message(&*payload))),
        }
    })
}

fn work<T: Trigger>(number: u64, workers: u64, runs: Vec<Arc<Run<T>>>, tell: &impl Fn(Message)) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("a worker's runtime could not be started: {error}"))?;
    let Some(first) = runs.first().cloned() else { return Err("the plan has no load".to_owned()) };
    recorder::install(first.measured.recorder());
    let is_alone = runs.len() == 1;
    let lane = |run: Arc<Run<T>>| {
        let share = run.share.split(workers).nth(number as usize).unwrap_or(Share::NONE);
        Arc::new(Lane::new(run, share, is_alone))
    };
    let lanes: Vec<_> = runs.into_iter().map(lane).collect();
    runtime.block_on(async {
        first.trigger.prepare()?;
        let timers = (0..=lanes.len()).map(|_| Timer::new()).collect::<io::Result<Vec<_>>>();
        let timers = timers.map_err(|error| format!("a worker's timer could not be started: {error}"))?;
        conduct(&lanes, timers, tell).await?;
        tell(Message::Stopped);
        // Other workers may still need connections that live on this runtime.
        let _ = first.commander.subscribe().wait_for(|orders| orders.is_released).await;
        Ok::<_, String>(())
    })?;
    drop(lanes);
    // Tasks that user code has left running are cut off here.
    recorder::with(Recorder::cut);
    runtime.shutdown_timeout(BLOCKING);
    tell(Message::Ended(recorder::with(Recorder::take).unwrap_or_default()));
    Ok(())
}

/// Prepares, runs and stops the users of all lanes, and reports. `timers` has one more timer than there are lanes. Returns
/// an error if the users cannot be prepared.
async fn conduct<T: Trigger>(
    lanes: &[Arc<Lane<T>>],
    mut timers: Vec<Timer>,
    tell: &impl Fn(Message),
) -> Result<(), String> {
    let prepared = together(lanes.iter().map(Lane::prepare)).await;
    match prepared.into_iter().sum::<Result<u64, String>>() {
        Ok(users) => tell(Message::Ready { users }),
        Err(stuck) => {
            // Otherwise users that are cut off would not tell.
            lanes.iter().for_each(|lane| _ = lane.stopped.set(Instant::now()));
            together(lanes.iter().map(Lane::stop_users)).await;
            return Err(stuck);
        }
    }
    if let (Some(start), Some(mut timer)) = (started(lanes).await, timers.pop()) {
        let mut seconds = Seconds::new(start);
        let ends = LoadEnds::of(lanes.len());
        recorder::with(|recorder| {
            recorder.start(start);
            if let Some(end) =
                lanes.iter().map(|lane| lane.run.load.end()).try_fold(Duration::ZERO, |most, end| Some(most.max(end?)))
            {
                recorder.end_load(start + end);
            }
        });
        let conducted = together(lanes.iter().zip(&mut timers).map(|(lane, timer)| {
            let start = start + lane.run.load.start();
            lane.conduct(start, timer, &ends)
        }));
        let live_users = || lanes.iter().map(|lane| lane.live_users()).sum();
        let users = tokio::select! {
            biased;
            () = report(&mut seconds, &mut timer, live_users, tell) => 0,
            ended = conducted => users_at_end(&ended),
        };
        let (second, rest) = seconds.last();
        tell(Message::Drained { at: Instant::now(), second, rest, users, connections: most_open_connections() });
    }
    together(lanes.iter().map(Lane::stop_users)).await;
    Ok(())
}

/// Returns the number of users at the end of the whole load, from the end of each load and its users then.
fn users_at_end(ended: &[(Instant, u64)]) -> u64 {
    let last = ended.iter().map(|(over, _)| *over).max();
    ended.iter().filter(|(over, _)| Some(*over) == last).map(|(_, users)| users).sum()
}

/// Waits until the clock starts or the run is over. Returns the start of the measured part.
async fn started<T: Trigger>(lanes: &[Arc<Lane<T>>]) -> Option<Instant> {
    let lane = lanes.first()?;
    let mut orders = lane.run.commander.subscribe();
    let started = orders.wait_for(|orders| orders.over().is_some() || orders.start.is_some()).await;
    started.ok().and_then(|orders| orders.start)
}

/// Reports each second. Never returns.
async fn report(seconds: &mut Seconds, timer: &mut Timer, users: impl Fn() -> u64, tell: &impl Fn(Message)) {
    loop {
        timer.sleep_until(seconds.next).await;
        seconds.tell(Instant::now(), &users, tell);
    }
}

/// Runs the futures on this task and returns their results in order.
async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, result) in running.iter_mut().filter(|(_, result)| result.is_none()) {
            if let Poll::Ready(value) = Pin::new(future).poll(context) {
                *result = Some(value);
            }
        }
        if running.iter().all(|(_, result)| result.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, result)| result).collect()
}

/// Collects when the loads of a worker end. The last end is that of the whole load.
struct LoadEnds {
    /// Number of loads that have not ended.
    left: Cell<usize>,
    /// Number of loads that have triggers in flight, or may have.
    in_flight: Cell<usize>,
    last: Cell<Option<Instant>>,
}

impl LoadEnds {
    fn of(loads: usize) -> Self {
        Self { left: Cell::new(loads), in_flight: Cell::new(loads), last: Cell::new(None) }
    }

    /// Records that a load has ended.
    fn ended(&self, over: Instant) {
        let last = self.last.get().map_or(over, |last| last.max(over));
        self.last.set(Some(last));
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            recorder::with(|recorder| recorder.end_load(last));
        }
    }

    /// Records that a load has nothing in flight any more. Returns true if another one has.
    fn drained(&self) -> bool {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
        self.in_flight.get() > 0
    }
}

/// Returns the most connections of this thread that were open at once since the last call.
fn most_open_connections() -> u64 {
    recorder::with(Recorder::take_most_open).unwrap_or_default()
}
