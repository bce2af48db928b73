//! The body of a request, which may take its time, and may not stop coming.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How far a body has come, as whoever answers knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrival(Arc<AtomicU8>);

const WHOLE: u8 = 1;
const STALLED: u8 = 2;

impl Arrival {
    /// Whether all of it has come.
    pub(super) fn is_whole(&self) -> bool {
        self.0.load(Relaxed) == WHOLE
    }

    /// Whether it was given up, since nothing more came.
    pub(super) fn has_stalled(&self) -> bool {
        self.0.load(Relaxed) == STALLED
    }

    fn note(&self, what: u8) {
        self.0.store(what, Relaxed);
    }
}

/// Fails where nothing comes for a time.
pub(super) struct TimedBody {
    body: Body,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    arrival: Arrival,
}

impl TimedBody {
    pub(super) fn new(body: Body, stall: Duration, arrival: Arrival) -> Self {
        if body.is_end_stream() {
            arrival.note(WHOLE);
        }
        Self { body, stall, waiting: None, arrival }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            if frame.is_none() || self.body.is_end_stream() {
                self.arrival.note(WHOLE);
            }
            return Poll::Ready(frame);
        }
        let stall = self.stall;
        ready!(self.waiting.get_or_insert_with(|| Box::pin(sleep(stall))).as_mut().poll(context));
        self.arrival.note(STALLED);
        Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
