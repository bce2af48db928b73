//! Who gives way where a server is full: the connection whose client has kept it waiting with the least to show for it.
//! Who sends nothing, or a byte now and then, takes nobody's place that way.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// How long a client may take before its connection gives way.
const GRACE: Duration = Duration::from_secs(1);

/// How a connection's client sends.
#[derive(Debug)]
pub(super) struct Pace {
    inner: Mutex<Inner>,
    leave: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Since when its client is waited for, and how many bytes have come since then.
    since: Instant,
    bytes: u64,
    /// Whether it is not: all of a request is there, and its answer is made.
    is_answered: bool,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes have come.
    pub(super) fn read(&self, bytes: usize) {
        self.lock().bytes += bytes as u64;
    }

    /// All of a request is there.
    pub(super) fn begin_answer(&self) {
        self.lock().is_answered = true;
    }

    /// Its answer is made: now its client is waited for, to read it or to ask more.
    pub(super) fn end_answer(&self) {
        *self.lock() = Inner { since: Instant::now(), bytes: 0, is_answered: false };
    }

    /// Waits until it is to give way.
    pub(super) async fn left(&self) {
        self.leave.notified().await;
    }

    /// Bytes per second, where its client has been waited for long enough.
    fn slowness(&self) -> Option<f64> {
        let inner = self.lock();
        let passed = inner.since.elapsed();
        (!inner.is_answered && passed >= GRACE).then(|| inner.bytes as f64 / passed.as_secs_f64())
    }
}

/// The connections of a server, the oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Paces(Arc<Mutex<Vec<Arc<Pace>>>>);

impl Paces {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Pace>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another connection.
    pub(super) fn add(&self) -> Arc<Pace> {
        let inner = Inner { since: Instant::now(), bytes: 0, is_answered: false };
        let pace = Arc::new(Pace { inner: Mutex::new(inner), leave: Notify::new() });
        self.lock().push(Arc::clone(&pace));
        pace
    }

    /// One that is closed.
    pub(super) fn remove(&self, pace: &Arc<Pace>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, pace));
    }

    /// Has the slowest give way, if there is one that may be asked to.
    pub(super) fn make_room(&self) {
        let paces = self.lock();
        let slow = paces.iter().filter_map(|pace| Some((pace, pace.slowness()?)));
        if let Some((slowest, _)) = slow.min_by(|(_, one), (_, other)| one.total_cmp(other)) {
            slowest.leave.notify_one();
        }
    }
}
