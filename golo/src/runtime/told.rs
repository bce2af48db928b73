//! Raw outputs of a plan that is run for somebody else: lines that gather until they are sent.

use std::{
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{OutputRef, Sink, lock::lock};

/// How long lines may gather.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that are sent without waiting for more.
const ENOUGH: usize = 256 << 10;
/// Bytes from which on load tests wait.
const FULL: usize = 4 << 20;

/// The lines that have not been sent.
#[derive(Default)]
pub(super) struct Told {
    pending: Mutex<Vec<u8>>,
    /// There is something, or enough, to be sent.
    work: Notify,
    is_full: AtomicBool,
    room: Notify,
}

impl Told {
    /// Waits for lines, and gives those that have gathered. Dropping the future loses nothing.
    pub(super) async fn next(&self) -> Vec<u8> {
        let mut until: Option<Instant> = None;
        loop {
            let length = lock(&self.pending).len();
            if length >= ENOUGH || until.is_some_and(|until| length > 0 && Instant::now() >= until) {
                return self.take();
            }
            if length > 0 {
                let until = *until.get_or_insert_with(|| Instant::now() + GATHER);
                tokio::select! {
                    () = self.work.notified() => {}
                    () = sleep_until(until) => {}
                }
            } else {
                self.work.notified().await;
            }
        }
    }

    /// The lines that have gathered.
    pub(super) fn take(&self) -> Vec<u8> {
        let taken = std::mem::take(&mut *lock(&self.pending));
        self.is_full.store(false, Relaxed);
        self.room.notify_waiters();
        taken
    }
}

impl Sink for Told {
    fn output(&self, output: &OutputRef<'_>) {
        let mut pending = lock(&self.pending);
        let was_empty = pending.is_empty();
        let before = pending.len();
        output.write_line(&mut pending);
        let length = pending.len();
        drop(pending);
        if was_empty || (before < ENOUGH && length >= ENOUGH) {
            self.work.notify_one();
        }
        if length >= FULL {
            self.is_full.store(true, Relaxed);
        }
    }

    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        let wait = async {
            loop {
                // Listens before it looks, so that what happens in between is not missed.
                let mut room = std::pin::pin!(self.room.notified());
                room.as_mut().enable();
                if !self.is_full.load(Relaxed) {
                    break;
                }
                room.await;
            }
        };
        self.is_full.load(Relaxed).then(|| Box::pin(wait) as Pin<Box<dyn Future<Output = ()> + Send + '_>>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"sequenceID":"s","url":"http://h/","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13Z","duration":1000,"error":null}"#;

    #[tokio::test]
    async fn what_is_full_is_waited_for_and_nothing_is_lost() {
        let told = Told::default();
        let output = OutputRef::parse(LINE).unwrap();
        let mut written = 0;
        while told.backpressure().is_none() {
            told.output(&output);
            written += 1;
        }
        let mut waiting = std::pin::pin!(told.backpressure().unwrap());
        assert!(futures_ready(waiting.as_mut()).await.is_none());
        let lines = told.next().await;
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), written);
        waiting.await;
        assert!(told.backpressure().is_none() && told.take().is_empty());
        told.output(&output);
        assert!(!told.next().await.is_empty());
    }

    /// What it gives now, if it does.
    async fn futures_ready<T>(future: Pin<&mut (dyn Future<Output = T> + Send)>) -> Option<T> {
        tokio::select! {
            biased;
            given = future => Some(given),
            () = std::future::ready(()) => None,
        }
    }
}
