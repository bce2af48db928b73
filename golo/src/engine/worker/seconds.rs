//! What a worker reports, a second at a time.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{Message, Recycle, SECOND};
use crate::engine::{recorder, snapshot::Snapshot};

/// When the next report is due, and what the last one left behind.
pub(super) struct Seconds {
    start: Instant,
    /// The beginning, and then the end of each second.
    pub(super) next: Instant,
    /// When the last report was, once there is anything to report.
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

    /// Reports what was measured, if a second is over.
    pub(super) fn tell(&mut self, now: Instant, users: impl FnOnce() -> u64, tell: &impl Fn(Message)) {
        if now < self.next {
            return;
        }
        match self.told {
            Some(_) => {
                let (second, snapshot) = self.take(now);
                tell(Message::Second { second, snapshot, users: users(), recycle: self.recycle.clone() });
            }
            // What came before was the warm-up's.
            None => (self.told, self.busy, self.next) = (Some(self.start), busy(), self.start + SECOND),
        }
    }

    /// Gives what was measured since the last report, and in which second.
    pub(super) fn last(&mut self) -> (u64, Snapshot) {
        self.take(Instant::now())
    }

    /// Gives what was measured up to now, and in which second.
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

/// How long this runtime has been busy so far.
fn busy() -> Duration {
    tokio::runtime::Handle::current().metrics().worker_total_busy_duration(0)
}
