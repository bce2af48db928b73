//! The body of a request, which may take its time, and may neither stop coming nor trickle in.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Bounds, pace::Pace};

/// How far a body has come, as whoever answers knows it.
#[derive(Debug, Clone)]
pub(super) struct Arrival(Arc<AtomicU8>, Option<Arc<Pace>>);

/// Bytes for which a body may take a second more.
const RATE: f64 = 16_384.0;

const WHOLE: u8 = 1;
const STALLED: u8 = 2;
const SLOW: u8 = 3;

impl Arrival {
    /// That of a connection's body.
    pub(super) fn of(pace: Option<Arc<Pace>>) -> Self {
        Self(Arc::default(), pace)
    }

    /// Whether all of it has come.
    pub(super) fn is_whole(&self) -> bool {
        self.0.load(Relaxed) == WHOLE
    }

    /// Whether it was given up, since nothing more came.
    pub(super) fn has_stalled(&self) -> bool {
        self.0.load(Relaxed) == STALLED
    }

    /// Whether it was given up, since it took too long.
    pub(super) fn is_slow(&self) -> bool {
        self.0.load(Relaxed) == SLOW
    }

    fn note(&self, what: u8) {
        self.0.store(what, Relaxed);
        if let (WHOLE, Some(pace)) = (what, &self.1) {
            pace.begin_answer();
        }
    }
}

/// Fails where nothing comes for a time, or too little.
pub(super) struct TimedBody {
    body: Body,
    bounds: Bounds,
    waiting: Option<(Pin<Box<Sleep>>, u8)>,
    arrival: Arrival,
    /// By when the rest is to be there: later with all that comes.
    due: Option<Instant>,
}

impl TimedBody {
    pub(super) fn new(body: Body, bounds: Bounds, arrival: Arrival) -> Self {
        if body.is_end_stream() {
            arrival.note(WHOLE);
        }
        Self { body, bounds, waiting: None, arrival, due: None }
    }

    /// What it waits for, and what is the matter once that has passed.
    fn patience(&self, due: Instant) -> (Pin<Box<Sleep>>, u8) {
        let stalled = Instant::now() + self.bounds.stall;
        let (until, what) = if due < stalled { (due, SLOW) } else { (stalled, STALLED) };
        (Box::pin(sleep_until(until)), what)
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let due = self.due.unwrap_or_else(|| Instant::now() + self.bounds.body_time);
        self.due = Some(due);
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            let come = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            self.due = Some(due + Duration::from_secs_f64(come as f64 / RATE));
            if frame.is_none() || self.body.is_end_stream() {
                self.arrival.note(WHOLE);
            }
            return Poll::Ready(frame);
        }
        let mut waiting = self.waiting.take().unwrap_or_else(|| self.patience(due));
        if waiting.0.as_mut().poll(context).is_pending() {
            self.waiting = Some(waiting);
            return Poll::Pending;
        }
        self.arrival.note(waiting.1);
        Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
