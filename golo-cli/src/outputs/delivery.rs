//! Sends seconds to a receiver that may be slow or away: in order, with repetition, and without delaying the run.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use golo::report::Written;
use snap::raw::{Decoder, Encoder};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Number of seconds that wait for a receiver. If there are more, the oldest is dropped.
pub const KEPT: usize = 60;
/// Largest size of all seconds that wait, in bytes, unless it is a single one. With many series, a second can have 10 MB
/// before it is compressed.
const KEPT_BYTES: usize = 64 << 20;
/// Longest time for one request.
const REQUEST: Duration = Duration::from_secs(10);
/// Shortest and longest pause before a request is sent again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A request to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Name of what is sent, if a protocol sends several kinds, such as `metrics`.
    pub kind: &'static str,
    /// The encoded body.
    pub body: Bytes,
}

/// Reason why a request did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The same request may be accepted later, after the given pause at the earliest.
    Again(String, Option<Duration>),
    /// The receiver will never accept this request.
    Refused(String),
    /// The receiver has accepted a part of this request, and will never accept the rest.
    Partly(String),
}

/// Future of a request.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// Sends requests to a receiver.
pub trait Courier: Send {
    /// Sends a request. Dropping the future cancels it.
    fn send<'a>(&'a mut self, parcel: &'a Parcel) -> Sending<'a>;
}

/// Compresses a body in the block format of Snappy.
///
/// # Errors
///
/// Returns an error if the body has more than 4 GB.
pub fn compressed(body: &[u8]) -> Result<Bytes, snap::Error> {
    // The compressor's own vector keeps as much memory as a body that cannot be compressed would need.
    Encoder::new().compress_vec(body).map(|compressed| Bytes::copy_from_slice(&compressed))
}

/// Seconds that wait for a receiver.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    /// Notified when there is something to send, or nothing will come any more.
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Second>,
    /// Size of `waiting` in memory.
    bytes: usize,
    /// Number of the first of `waiting`.
    first: u64,
    is_closed: bool,
    sent: u64,
    dropped: u64,
    /// The last reason why a request did not arrive.
    reason: Option<String>,
}

/// The requests of a second.
#[derive(Debug, Clone)]
struct Second {
    parcels: Vec<Parcel>,
    /// True if the bodies are compressed, which takes a fraction of the memory.
    is_packed: bool,
}

impl Second {
    /// Returns the size of the bodies in memory, in bytes.
    fn size(&self) -> usize {
        self.parcels.iter().map(|parcel| parcel.body.len()).sum()
    }

    fn packed(self) -> Self {
        let parcels: Result<_, snap::Error> = self
            .parcels
            .iter()
            .map(|parcel| Ok(Parcel { kind: parcel.kind, body: compressed(&parcel.body)? }))
            .collect();
        // Only bodies of more than 4 GB cannot be compressed.
        parcels.map_or(self, |parcels| Self { parcels, is_packed: true })
    }

    /// Returns the requests as they are sent. The error, which only damaged memory can cause, is a reason for a summary.
    fn unpacked(self) -> Result<Vec<Parcel>, String> {
        if !self.is_packed {
            return Ok(self.parcels);
        }
        let unpack = |parcel: Parcel| {
            let body = Decoder::new().decompress_vec(&parcel.body).map_err(|error| error.to_string())?;
            Ok(Parcel { kind: parcel.kind, body: body.into() })
        };
        self.parcels.into_iter().map(unpack).collect()
    }
}

impl Inner {
    /// Removes the second with this number, if it is still the first.
    fn take(&mut self, number: u64) -> bool {
        let taken = if self.first == number { self.waiting.pop_front() } else { None };
        self.first += u64::from(taken.is_some());
        self.bytes -= taken.as_ref().map_or(0, Second::size);
        taken.is_some()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the requests of a second. Never waits. They are compressed if the receiver is late.
    pub fn push(&self, parcels: Vec<Parcel>) {
        if parcels.is_empty() {
            return;
        }
        let second = Second { parcels, is_packed: false };
        let second = if self.is_empty() { second } else { second.packed() };
        let mut inner = self.lock();
        let bytes = second.size();
        while inner.waiting.len() >= KEPT || (inner.bytes + bytes > KEPT_BYTES && !inner.waiting.is_empty()) {
            let oldest = inner.first;
            inner.take(oldest);
            inner.dropped += 1;
        }
        inner.bytes += bytes;
        inner.waiting.push_back(second);
        drop(inner);
        self.news.notify_one();
    }

    /// Tells the delivery that nothing will come any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_one();
    }

    /// Returns true if the receiver has accepted at least one second.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        self.lock().sent > 0
    }

    /// Returns true if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// Waits for the next second. Returns its number and its requests, or `None` at the end.
    async fn next(&self) -> Option<(u64, Second)> {
        loop {
            let news = self.news.notified();
            {
                let inner = self.lock();
                if let Some(second) = inner.waiting.front() {
                    return Some((inner.first, second.clone()));
                }
                if inner.is_closed {
                    return None;
                }
            }
            news.await;
        }
    }

    /// Returns what became of all seconds, as the remark of a summary. Seconds that still wait count as dropped. Returns
    /// `None` if there was nothing to send.
    #[must_use]
    pub fn written(&self, kind: &'static str, place: &str) -> Option<Written> {
        let inner = self.lock();
        let dropped = inner.dropped + inner.waiting.len() as u64;
        let all = inner.sent + dropped;
        let reason = inner.reason.as_deref().unwrap_or("it was too slow");
        let remark = (dropped > 0).then(|| format!("{dropped} of {all} seconds were dropped: {reason}"));
        (all > 0).then(|| Written { kind, path: place.to_owned(), error: None, remark })
    }
}

/// Sends all seconds of a queue in order, until the queue is closed and empty.
pub async fn deliver(queue: Arc<Queue>, mut courier: Box<dyn Courier>) {
    while let Some((number, second)) = queue.next().await {
        let is_sent = match second.unpacked() {
            Ok(parcels) => deliver_second(&queue, number, &parcels, &mut *courier).await,
            Err(reason) => {
                queue.lock().reason = Some(reason);
                false
            }
        };
        let mut inner = queue.lock();
        // It may have been dropped while it was sent.
        let is_new = inner.take(number);
        match is_sent {
            true => {
                inner.sent += 1;
                inner.dropped -= u64::from(!is_new);
            }
            false => inner.dropped += u64::from(is_new),
        }
    }
}

/// Sends the requests of a second. Returns false if one was refused, also if only in part, or if the second was dropped
/// meanwhile.
async fn deliver_second(queue: &Queue, number: u64, parcels: &[Parcel], courier: &mut dyn Courier) -> bool {
    let mut is_whole = true;
    for parcel in parcels {
        let mut pause = PAUSES.0;
        loop {
            let silent = || SendError::Again(format!("it did not answer within {} s", REQUEST.as_secs()), None);
            let sent = timeout(REQUEST, courier.send(parcel)).await.unwrap_or_else(|_| Err(silent()));
            let (reason, after) = match sent {
                Ok(()) => break,
                // The other requests of the second may be accepted.
                Err(SendError::Refused(reason) | SendError::Partly(reason)) => {
                    queue.lock().reason = Some(reason);
                    is_whole = false;
                    break;
                }
                Err(SendError::Again(reason, after)) => (reason, after),
            };
            queue.lock().reason = Some(reason);
            sleep(after.map_or(pause, |after| after.clamp(pause, REQUEST))).await;
            pause = (pause * 2).min(PAUSES.1);
            if queue.lock().first != number {
                return false;
            }
        }
    }
    is_whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses or delays requests as their bodies say, and notes the others.
    #[derive(Clone, Default)]
    struct Fake {
        accepted: Arc<Mutex<Vec<Bytes>>>,
        is_away: Arc<std::sync::atomic::AtomicBool>,
    }

    impl Courier for Fake {
        fn send<'a>(&'a mut self, parcel: &'a Parcel) -> Sending<'a> {
            Box::pin(async move {
                if self.is_away.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(SendError::Again("away".to_owned(), None));
                }
                if &*parcel.body == b"bad" {
                    return Err(SendError::Refused("no such table".to_owned()));
                }
                self.accepted.lock().unwrap().push(parcel.body.clone());
                if &*parcel.body == b"half" { Err(SendError::Partly("too old".to_owned())) } else { Ok(()) }
            })
        }
    }

    fn second(bodies: &[&str]) -> Vec<Parcel> {
        bodies.iter().map(|body| Parcel { kind: "", body: Bytes::copy_from_slice(body.as_bytes()) }).collect()
    }

    fn remark(queue: &Queue) -> Option<String> {
        queue.written("test", "there").unwrap().remark
    }

    /// Returns the memory that the bodies of a queue take, with what is unused in it.
    fn room(queue: &Queue) -> usize {
        let mut inner = queue.lock();
        let parcels = inner.waiting.iter_mut().flat_map(|second| &mut second.parcels);
        let room_of = |parcel: &mut Parcel| {
            let body = std::mem::take(&mut parcel.body).try_into_mut().unwrap();
            let room = body.capacity();
            parcel.body = body.freeze();
            room
        };
        parcels.map(room_of).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn seconds_arrive_in_order_after_the_receiver_was_away() {
        let (queue, fake) = (Arc::new(Queue::default()), Fake::default());
        fake.is_away.store(true, std::sync::atomic::Ordering::Relaxed);
        let delivering = tokio::spawn(deliver(Arc::clone(&queue), Box::new(fake.clone())));
        for number in 0..10 {
            queue.push(second(&[&format!("{number}a"), &format!("{number}b")]));
            sleep(Duration::from_secs(1)).await;
        }
        fake.is_away.store(false, std::sync::atomic::Ordering::Relaxed);
        queue.close();
        delivering.await.unwrap();
        let expected: Vec<_> = (0..10).flat_map(|number| [format!("{number}a"), format!("{number}b")]).collect();
        assert_eq!(*fake.accepted.lock().unwrap(), expected);
        assert_eq!(remark(&queue), None);
    }

    #[tokio::test(start_paused = true)]
    async fn oldest_seconds_are_dropped_and_counted() {
        let (queue, fake) = (Arc::new(Queue::default()), Fake::default());
        fake.is_away.store(true, std::sync::atomic::Ordering::Relaxed);
        let delivering = tokio::spawn(deliver(Arc::clone(&queue), Box::new(fake.clone())));
        for number in 0..KEPT + 7 {
            queue.push(second(&[&number.to_string()]));
            sleep(Duration::from_secs(1)).await;
        }
        fake.is_away.store(false, std::sync::atomic::Ordering::Relaxed);
        queue.close();
        delivering.await.unwrap();
        let accepted = fake.accepted.lock().unwrap().clone();
        assert_eq!(accepted, (7..KEPT + 7).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(remark(&queue).unwrap(), "7 of 67 seconds were dropped: away");
    }

    #[tokio::test(start_paused = true)]
    async fn large_seconds_are_dropped_before_they_take_too_much_memory() {
        let (queue, fake) = (Arc::new(Queue::default()), Fake::default());
        // Bytes that cannot be compressed.
        let mut state = 1_u32;
        let mut large = |length: usize| -> Vec<Parcel> {
            let next = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            vec![Parcel { kind: "", body: (0..length).map(next).collect() }]
        };
        for _ in 0..7 {
            queue.push(large(KEPT_BYTES / 4));
        }
        queue.push(large(2 * KEPT_BYTES));
        queue.push(second(&["last"]));
        queue.close();
        assert_eq!(queue.lock().waiting.len(), 1);
        deliver(Arc::clone(&queue), Box::new(fake.clone())).await;
        assert_eq!(*fake.accepted.lock().unwrap(), ["last"]);
        assert_eq!(queue.lock().bytes, 0);
        assert_eq!(remark(&queue).unwrap(), "8 of 9 seconds were dropped: it was too slow");
    }

    #[tokio::test(start_paused = true)]
    async fn seconds_that_wait_take_little_memory_and_arrive_unchanged() {
        let (queue, fake) = (Arc::new(Queue::default()), Fake::default());
        let lines = |second: usize| -> String {
            (0..10_000).map(|line| format!("requests,route=/items/{line} count={}\n", line % 7 + second)).collect()
        };
        let all: Vec<String> = (0..KEPT).map(lines).collect();
        all.iter().for_each(|lines| queue.push(second(&[lines])));
        let length: usize = all.iter().map(String::len).sum();
        assert!(queue.lock().bytes * 3 < length, "{} of {length} bytes", queue.lock().bytes);
        assert!(room(&queue) * 3 < length, "{} of {length} bytes", room(&queue));
        queue.close();
        deliver(Arc::clone(&queue), Box::new(fake.clone())).await;
        assert!(*fake.accepted.lock().unwrap() == all);
        assert_eq!(queue.lock().bytes, 0);
        assert_eq!(remark(&queue), None);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_second_is_not_repeated_and_does_not_hold_up_others() {
        let (queue, fake) = (Arc::new(Queue::default()), Fake::default());
        for bodies in [&["1"][..], &["bad", "fine"], &["3"]] {
            queue.push(second(bodies));
        }
        queue.close();
        deliver(Arc::clone(&queue), Box::new(fake.clone())).await;
        assert_eq!(*fake.accepted.lock().unwrap(), ["1", "fine", "3"]);
        assert_eq!(remark(&queue).unwrap(), "1 of 3 seconds were dropped: no such table");
    }

    #[tokio::test(start_paused = true)]
    async fn second_that_is_accepted_in_part_counts_as_dropped_and_its_rest_is_sent() {
        let (queue, fake) = (Arc::new(Queue::default()), Fake::default());
        for bodies in [&["1"][..], &["half", "2"], &["3"]] {
            queue.push(second(bodies));
        }
        queue.close();
        deliver(Arc::clone(&queue), Box::new(fake.clone())).await;
        assert_eq!(*fake.accepted.lock().unwrap(), ["1", "half", "2", "3"]);
        assert_eq!(remark(&queue).unwrap(), "1 of 3 seconds were dropped: too old");
    }
}
