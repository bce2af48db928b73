//! A request's body that fails if it stalls or arrives too slowly.
//!
//! tower-http's body timeout only bounds the pause between two frames: one byte now and then would pass.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Bounds, connections::Pace};

/// Number of bytes that extend the time for a body by one second.
const RATE: f64 = 16_384.0;

/// End of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was received.
    Whole,
    /// It was given up because nothing more came.
    Stalled,
    /// It was given up because it took too long.
    Slow,
}

/// The end of a body, which the code that answers the request can read.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    end: Arc<OnceLock<End>>,
    pace: Option<Arc<Pace>>,
}

impl Arrival {
    pub(super) fn new(pace: Option<Arc<Pace>>) -> Self {
        Self { end: Arc::default(), pace }
    }

    /// Returns the end, or `None` if the body has not been read to its end.
    pub(super) fn end(&self) -> Option<End> {
        self.end.get().copied()
    }

    fn set(&self, end: End) {
        // The first end is final.
        _ = self.end.set(end);
        if let (End::Whole, Some(pace)) = (end, &self.pace) {
            pace.begin_answer();
        }
    }
}

/// A body with a time limit.
pub(super) struct TimedBody {
    body: Body,
    bounds: Bounds,
    arrival: Arrival,
    /// Time by which the rest must be received. Each received byte moves it. `None` until the first poll.
    due: Option<Instant>,
    /// Timer of the current wait, and the end that the body has if the timer fires.
    waiting: Option<(Pin<Box<Sleep>>, End)>,
}

impl TimedBody {
    pub(super) fn new(body: Body, bounds: Bounds, arrival: Arrival) -> Self {
        if body.is_end_stream() {
            arrival.set(End::Whole);
        }
        Self { body, bounds, arrival, due: None, waiting: None }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, bounds, arrival, due, waiting } = &mut *self;
        let due = due.get_or_insert_with(|| Instant::now() + bounds.body_time);
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
            *waiting = None;
            let received = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            *due += Duration::from_secs_f64(received as f64 / RATE);
            if frame.is_none() || body.is_end_stream() {
                arrival.set(End::Whole);
            }
            return Poll::Ready(frame);
        }
        let (timer, end) = waiting.get_or_insert_with(|| {
            let stalled = Instant::now() + bounds.stall;
            let (until, end) = if *due < stalled { (*due, End::Slow) } else { (stalled, End::Stalled) };
            (Box::pin(sleep_until(until)), end)
        });
        timer.as_mut().poll(context).map(|()| {
            arrival.set(*end);
            Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
