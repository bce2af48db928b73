//! The reports of a worker, one each second.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Message, Recycle, SECOND, most_open_connections};
use crate::engine::{recorder, snapshot::Snapshot};

/// Time of the next report, and state kept between reports.
pub(super) struct Seconds {
    start: Instant,
    /// Start of the measured part at first, then the end of each second.
    pub(super) next: Instant,
    /// Time of the last report. `None` before the measured part.
    told: Option<Instant>,
    busy: Duration,
    recycle: Recycle,
    recycled: mpsc::Receiver<Snapshot>,
}

impl Seconds {
    pub(super) fn new(start: Instant) -> Self {
        let (recycle, recycled) = mpsc::channel();
        Self { start, next: start, told: None, busy: Duration::ZERO, recycle, recycled }
    }

    /// Reports the measurements if a second is over.
    pub(super) fn tell(&mut self, now: Instant, users: impl FnOnce() -> u64, tell: &impl Fn(Message)) {
        if now < self.next {
            return;
        }
        match self.told {
            Some(_) => {
                let (second, snapshot) = self.take(now);
                let (users, connections) = (users(), most_open_connections());
                tell(Message::Second { second, snapshot, users, connections, recycle: self.recycle.clone() });
            }
            // Measurements before this point belong to the warm-up.
            None => {
                most_open_connections();
                (self.told, self.busy, self.next) = (Some(self.start), busy(), self.start + SECOND);
            }
        }
    }

    /// Returns the measurements since the last report and the second they belong to.
    pub(super) fn last(&mut self) -> (u64, Snapshot) {
        self.take(Instant::now())
    }

    /// Returns the measurements up to `now` and the second they belong to.
    fn take(&mut self, now: Instant) -> (u64, Snapshot) {
        let elapsed = now.saturating_duration_since(self.start).as_secs();
        let second = elapsed.saturating_sub(u64::from(now >= self.next));
        let snapshot = recorder::with(|recorder| {
            while let Ok(read) = self.recycled.try_recv() {
                recorder.recycle(read);
            }
            let busy = busy();
            let generator = &mut recorder.rest().generator;
            if let Some(told) = self.told.replace(now) {
                generator.busy += busy.saturating_sub(self.busy);
                generator.time += now.saturating_duration_since(told);
            }
            self.busy = busy;
            recorder.take()
        });
        self.next = self.start + SECOND * (elapsed as u32).saturating_add(1);
        (second, snapshot.unwrap_or_default())
    }
}

/// Returns how long this runtime has been busy so far.
fn busy() -> Duration {
    tokio::runtime::Handle::current().metrics().worker_total_busy_duration(0)
}
