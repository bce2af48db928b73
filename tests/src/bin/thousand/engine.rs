//! A simulated engine: it obeys orders and reports events as the engine of a load test does, and sends no request.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use golo::engine::{Finished, RunEvent};
use golo::pb::engine as pb;
use golo::pb::results::{Ended, ended::State};
use golo::run_loop::Order;
use golo::wire;
use golo_cli::agent::runner::Events;
use golo_cli::drive::driven;
use golo_cli::support::failure::Failure;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::arguments::LoadArguments;
use crate::measured::seconds;

/// All simulated engines of this process.
pub(crate) static ENGINES: OnceLock<Engines> = OnceLock::new();

/// What the engines report, and what they have done.
pub(crate) struct Engines {
    seconds: Vec<pb::Snapshot>,
    /// Number of times that each second was reported.
    reported: Vec<AtomicU64>,
    /// Times of the starts, in nanoseconds since 1970.
    starts: Mutex<Vec<u64>>,
    /// Number of jobs that ran to their end.
    completed: AtomicU64,
}

impl Engines {
    pub(crate) fn new(load: LoadArguments) -> Self {
        let seconds: Vec<_> = seconds(load).iter().map(pb::Snapshot::from).collect();
        let reported = seconds.iter().map(|_| AtomicU64::default()).collect();
        Self { seconds, reported, starts: Mutex::default(), completed: AtomicU64::new(0) }
    }

    /// Returns the number of times that each second was reported.
    pub(crate) fn reported(&self) -> Vec<u64> {
        self.reported.iter().map(|times| times.load(Relaxed)).collect()
    }

    /// Returns the times of the starts, in nanoseconds since 1970.
    pub(crate) fn starts(&self) -> Vec<u64> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of jobs that ran to their end.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Relaxed)
    }

    async fn run(&self, job: driven::Job, mut orders: mpsc::Receiver<Order>, events: Events) -> Ended {
        let stopped = || Ended { state: State::Cancelled.into(), stopped: Some(0), by_order: true, ..Ended::default() };
        let users = job.call.plan().peak_users_of(job.share);
        events.add(wire::event(&RunEvent::Ready { users }));
        let Some(at) = start(&mut orders).await else { return stopped() };
        sleep(at.duration_since(SystemTime::now()).unwrap_or_default()).await;
        let (started_at, started) = (SystemTime::now(), Instant::now());
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).push(wire::unix_nanoseconds(started_at));
        events.add(wire::event(&RunEvent::Started { at: started_at }));
        let plan = job.call.plan().clone();
        let length = plan.duration().unwrap_or_default();
        let mut is_stopped = false;
        let mut elapsed = Duration::ZERO;
        while elapsed + Duration::from_secs(1) <= length {
            elapsed += Duration::from_secs(1);
            tokio::select! {
                () = sleep_until(started + elapsed) => {}
                () = stop(&mut orders) => {
                    is_stopped = true;
                    break;
                }
            }
            // Agents differ in each second, and each agent's seconds differ.
            let number = (job.share.index() + elapsed.as_secs()) as usize % self.seconds.len();
            self.reported[number].fetch_add(1, Relaxed);
            let (snapshot, elapsed) = (Some(self.seconds[number].clone()), wire::nanoseconds(elapsed));
            events.add(wire::event(pb::event::Event::Second(pb::Second {
                elapsed,
                users,
                snapshot,
                connections: users,
            })));
        }
        let options = golo::engine::Options { share: job.share, ..job.call.options(&job.load_test.name) };
        let (started_at, load_time, whole_time) = (Some(started_at), elapsed, started.elapsed());
        let not_started = Finished::not_started(plan, options, None);
        let finished = Finished { started_at, load_time, whole_time, most_users: users, ..not_started };
        events.add(wire::event(&finished));
        if is_stopped {
            return stopped();
        }
        self.completed.fetch_add(1, Relaxed);
        Ended { state: State::Completed.into(), ..Ended::default() }
    }
}

/// Runs a job with a simulated engine.
pub(crate) fn drive(
    job: driven::Job,
    orders: mpsc::Receiver<Order>,
    events: Events,
) -> Result<oneshot::Receiver<Ended>, Failure> {
    let engines = ENGINES.get().ok_or("there are no simulated engines")?;
    let (tell, ended) = oneshot::channel();
    tokio::spawn(async move { _ = tell.send(engines.run(job, orders, events).await) });
    Ok(ended)
}

/// Waits for the order to start. Returns `None` if another one ends the job before.
async fn start(orders: &mut mpsc::Receiver<Order>) -> Option<SystemTime> {
    loop {
        match orders.recv().await? {
            Order::Start { at } => return Some(at),
            Order::Adjust(_) => {}
            Order::Stop | Order::Cut | Order::Interrupt => return None,
        }
    }
}

/// Waits for an order that ends the job.
async fn stop(orders: &mut mpsc::Receiver<Order>) {
    while let Some(Order::Start { .. } | Order::Adjust(_)) = orders.recv().await {}
}
