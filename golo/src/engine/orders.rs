//! What the workers of a run are told to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::watch;

use super::curve::Curve;

/// A change of the load.
#[derive(Debug)]
pub(super) struct Adjustment {
    /// From when on.
    pub(super) at: Instant,
    /// The load of the whole plan, as it was until then and will be.
    pub(super) curve: Curve,
}

/// What the workers have been told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    /// When the measured part starts; until then they get ready.
    pub(super) start: Option<Instant>,
    /// The last change of the load.
    pub(super) adjusted: Option<Arc<Adjustment>>,
    /// When the run was told to stop: what is in flight may finish within the grace.
    pub(super) stopped: Option<Instant>,
    /// When the last of the plan's iterations was taken: what is in flight may finish.
    pub(super) exhausted: Option<Instant>,
    /// What is in flight is cut off.
    pub(super) is_cutting: bool,
    /// Everybody has stopped, so runtimes may end.
    pub(super) is_released: bool,
}

impl Orders {
    /// From when on nothing starts any more.
    pub(super) fn over(&self) -> Option<Instant> {
        [self.stopped, self.exhausted].into_iter().flatten().min()
    }
}

/// Gives the orders.
#[derive(Debug, Default)]
pub(super) struct Commander {
    orders: watch::Sender<Orders>,
    /// Whether nothing starts any more: what each trigger asks.
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

/// The engine's hold on its workers. Dropping it ends them: nobody is to be loaded by a run that nobody watches.
#[derive(Debug, Default)]
pub(super) struct Command(pub(super) Arc<Commander>);

impl Drop for Command {
    fn drop(&mut self) {
        self.0.stop();
        self.0.cut();
        self.0.release();
    }
}
