//! Raw outputs of a plan that a client runs: lines that are collected until they are sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::{OutputRef, Sink, support::lock::lock};

/// Longest time for which lines are collected.
const GATHER: Duration = Duration::from_millis(20);
/// Number of bytes that are sent without waiting for more. A piece ends with the line that reaches it.
pub(super) const ENOUGH: usize = 256 << 10;
/// Number of pending bytes from which load tests wait.
const FULL: usize = 4 << 20;

/// Lines that have not been sent.
#[derive(Default)]
pub(super) struct LineBuffer {
    pending: Mutex<Pending>,
    /// Notified when there are lines, or enough lines, to send.
    work: Notify,
    is_full: AtomicBool,
    room: Notify,
}

#[derive(Default)]
struct Pending {
    /// Whole lines. Each piece but the last has at least [`ENOUGH`] bytes.
    pieces: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl LineBuffer {
    /// Waits for lines and returns a piece of them. Dropping the future loses no lines.
    pub(super) async fn next(&self) -> Vec<u8> {
        let mut until: Option<Instant> = None;
        loop {
            let length = lock(&self.pending).bytes;
            if (length >= ENOUGH || until.is_some_and(|until| length > 0 && Instant::now() >= until))
                && let Some(piece) = self.take()
            {
                return piece;
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

    /// Returns a piece of the pending lines, if there are any.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut pending = lock(&self.pending);
        let piece = pending.pieces.pop_front()?;
        pending.bytes -= piece.len();
        let is_full = pending.bytes >= FULL;
        self.is_full.store(is_full, Relaxed);
        drop(pending);
        if !is_full {
            self.room.notify_waiters();
        }
        Some(piece)
    }

    /// Drops all lines and returns their number.
    pub(super) fn forget(&self) -> u64 {
        std::iter::from_fn(|| self.take()).map(|piece| lines_of(&piece)).sum()
    }
}

/// Returns the number of lines of a piece.
pub(super) fn lines_of(piece: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', piece).count() as u64
}

impl Sink for LineBuffer {
    fn output(&self, output: &OutputRef<'_>) {
        let mut pending = lock(&self.pending);
        let before = pending.bytes;
        if pending.pieces.back().is_none_or(|piece| piece.len() >= ENOUGH) {
            pending.pieces.push_back(Vec::new());
        }
        if let Some(piece) = pending.pieces.back_mut() {
            let length = piece.len();
            output.write_line(piece);
            let written = piece.len() - length;
            pending.bytes += written;
        }
        let length = pending.bytes;
        if length >= FULL {
            // Set under the lock, so that it cannot overwrite the result of a later `take`.
            self.is_full.store(true, Relaxed);
        }
        drop(pending);
        if before == 0 || (before < ENOUGH && length >= ENOUGH) {
            self.work.notify_one();
        }
    }

    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        let wait = async {
            loop {
                // Registers before it checks, so that a notification in between is not missed.
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
    async fn full_buffer_applies_backpressure_and_loses_no_lines() {
        let buffer = LineBuffer::default();
        let output = OutputRef::parse(LINE).unwrap();
        let mut written = 0;
        while buffer.backpressure().is_none() {
            buffer.output(&output);
            written += 1;
        }
        let mut waiting = std::pin::pin!(buffer.backpressure().unwrap());
        assert!(futures_ready(waiting.as_mut()).await.is_none());
        let piece = buffer.next().await;
        assert!(piece.len() < 2 * ENOUGH && piece.ends_with(b"\n"), "{} bytes at once", piece.len());
        waiting.await;
        assert!(buffer.backpressure().is_none());
        let next = buffer.next().await;
        assert_eq!(lines_of(&piece) + lines_of(&next) + buffer.forget(), written);
        assert!(buffer.take().is_none());
        buffer.output(&output);
        assert!(!buffer.next().await.is_empty());
    }

    /// Returns the future's value if it is ready.
    async fn futures_ready<T>(future: Pin<&mut (dyn Future<Output = T> + Send)>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = std::future::ready(()) => None,
        }
    }
}
