//! Orders that the engine sends to the workers of a run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use tokio::sync::watch;

use super::curve::Curve;

/// A change of the load during a run.
#[derive(Debug)]
pub(super) struct Adjustment {
    /// Time from which the change applies.
    pub(super) at: Instant,
    /// The load: unchanged up to `at`, then at the new level.
    pub(super) curve: Curve,
}

/// All orders sent so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    /// Start of the measured part. Until it is set, workers prepare.
    pub(super) start: Option<Instant>,
    /// Last change of the load.
    pub(super) adjusted: Option<Arc<Adjustment>>,
    /// Time at which the run was asked to stop. Triggers in flight may finish within the grace period.
    pub(super) stopped: Option<Instant>,
    /// Time at which the last iteration of the plan was taken. Triggers in flight may finish.
    pub(super) exhausted: Option<Instant>,
    /// True if triggers in flight are to be cut off.
    pub(super) is_cutting: bool,
    /// True if all workers have stopped, so that their runtimes may end.
    pub(super) is_released: bool,
}

impl Orders {
    /// Returns the time from which nothing starts any more, or `None` if no order ends the load.
    pub(super) fn over(&self) -> Option<Instant> {
        [self.stopped, self.exhausted].into_iter().flatten().min()
    }
}

/// Sends orders to the workers.
#[derive(Debug, Default)]
pub(super) struct Commander {
    orders: watch::Sender<Orders>,
    /// Set once nothing starts any more. An atomic, since every trigger reads it.
    is_over: AtomicBool,
}

impl Commander {
    pub(super) fn told(&self) -> Orders {
        self.orders.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Orders> {
        self.orders.subscribe()
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) fn start(&self, start: Instant) {
        self.tell(|orders| orders.start = Some(start));
    }

    pub(super) fn adjust(&self, curve: Curve, at: Instant) {
        self.tell(|orders| orders.adjusted = Some(Arc::new(Adjustment { at, curve })));
    }

    pub(super) fn stop(&self) {
        self.is_over.store(true, Relaxed);
        self.tell(|orders| _ = orders.stopped.get_or_insert_with(Instant::now));
    }

    pub(super) fn exhaust(&self) {
        self.is_over.store(true, Relaxed);
        self.tell(|orders| _ = orders.exhausted.get_or_insert_with(Instant::now));
    }

    pub(super) fn cut(&self) {
        self.tell(|orders| orders.is_cutting = true);
    }

    pub(super) fn release(&self) {
        self.tell(|orders| orders.is_released = true);
    }

    fn tell(&self, change: impl FnOnce(&mut Orders)) {
        self.orders.send_modify(change);
    }
}

/// The engine's control over its workers, with one commander for each load. Dropping it stops them, so that no load goes
/// on without an engine.
#[derive(Debug)]
pub(super) struct Command(Vec<Arc<Commander>>);

impl Command {
    /// Creates the control of this number of loads.
    pub(super) fn of(loads: usize) -> Self {
        Self((0..loads).map(|_| Arc::default()).collect())
    }

    /// Returns the commander of each load.
    pub(super) fn loads(&self) -> &[Arc<Commander>] {
        &self.0
    }

    /// Returns true if nothing starts any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(|load| load.is_over())
    }

    /// Returns the time at which the run was asked to stop.
    pub(super) fn stopped(&self) -> Option<Instant> {
        self.0.iter().filter_map(|load| load.told().stopped).min()
    }

    pub(super) fn stop(&self) {
        self.0.iter().for_each(|load| load.stop());
    }

    pub(super) fn cut(&self) {
        self.0.iter().for_each(|load| load.cut());
    }

    pub(super) fn release(&self) {
        self.0.iter().for_each(|load| load.release());
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        self.stop();
        self.cut();
        self.release();
    }
}
