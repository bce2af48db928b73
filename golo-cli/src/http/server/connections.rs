//! The connections of a server. If there are too many, the one whose client sends most slowly is closed, so that clients
//! that send nothing, or a byte now and then, cannot keep others out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Shortest time that a client has before its connection may be closed for another.
const GRACE: Duration = Duration::from_secs(1);
/// Pause before the next attempt to make room.
const RETRY: Duration = Duration::from_millis(100);

/// The open connections of a server. Dropping them closes them.
#[derive(Default)]
pub(super) struct Connections {
    tasks: JoinSet<()>,
    paces: Vec<(Arc<Pace>, AbortHandle)>,
}

impl Connections {
    /// Starts to serve one more.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, serve: impl FnOnce(Arc<Pace>) -> F) {
        let pace = Arc::new(Pace(Mutex::new(Waiting::new())));
        let task = self.tasks.spawn(serve(Arc::clone(&pace)));
        self.paces.push((pace, task));
    }

    /// Waits until there are fewer than `most`, and closes the slowest ones until then.
    pub(super) async fn make_room(&mut self, most: usize) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.paces.retain(|(_, task)| !task.is_finished());
            if self.tasks.len() < most {
                return;
            }
            let slow = self.paces.iter().filter_map(|(pace, task)| Some((pace.slowness()?, task)));
            if let Some((_, slowest)) = slow.min_by(|(one, _), (other, _)| one.total_cmp(other)) {
                slowest.abort();
            }
            _ = timeout(RETRY, self.tasks.join_next()).await;
        }
    }

    /// Waits until all of them are closed.
    pub(super) async fn closed(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The speed at which a connection's client sends.
#[derive(Debug)]
pub(super) struct Pace(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    /// Start of the wait for the client.
    since: Instant,
    /// Number of bytes received since then.
    bytes: u64,
    /// True if the client is not waited for: its request is complete and is being answered.
    is_answered: bool,
}

impl Waiting {
    fn new() -> Self {
        Self { since: Instant::now(), bytes: 0, is_answered: false }
    }
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts received bytes.
    pub(super) fn read(&self, bytes: usize) {
        self.lock().bytes += bytes as u64;
    }

    /// Records that all of a request has been received.
    pub(super) fn begin_answer(&self) {
        self.lock().is_answered = true;
    }

    /// Records that the response is ready: from now on the client is waited for, to read it or to send a new request.
    pub(super) fn end_answer(&self) {
        *self.lock() = Waiting::new();
    }

    /// Returns the bytes per second, or `None` if the client has not been waited for long enough.
    fn slowness(&self) -> Option<f64> {
        let waiting = self.lock();
        let passed = waiting.since.elapsed();
        (!waiting.is_answered && passed >= GRACE).then(|| waiting.bytes as f64 / passed.as_secs_f64())
    }
}
