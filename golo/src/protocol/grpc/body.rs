//! Bodies of gRPC calls, counted on their way.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::call::Call;
use crate::BoxError;

/// The body of a response whose call is measured. The call ends with it.
pub struct GrpcBody<B> {
    inner: B,
    /// The call, until it has ended.
    call: Option<Call>,
}

impl<B> GrpcBody<B> {
    pub(super) fn new(inner: B, call: Option<Call>) -> Self {
        Self { inner, call }
    }
}

impl<B: fmt::Debug> fmt::Debug for GrpcBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcBody").field("inner", &self.inner).field("has_ended", &self.call.is_none()).finish()
    }
}

impl<B> Body for GrpcBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        self.call.as_mut().into_iter().for_each(|call| call.waits(polled.is_pending()));
        Poll::Ready(match ready!(polled) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.call.as_mut().into_iter().for_each(|call| call.receive(data.chunk(), data.remaining()));
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.call.take().into_iter().for_each(|call| call.end(trailers));
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = error.into();
                Some(Err(match self.call.take() {
                    Some(call) => call.break_off(error),
                    None => error,
                }))
            }
            None => {
                self.call.take().into_iter().for_each(Call::end_without_status);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        // The end of a call has to be polled, so that it is recorded.
        self.call.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a request, whose bytes are counted as the connection takes them.
pub(super) struct Counted {
    inner: tonic::body::Body,
    sent: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn new(inner: tonic::body::Body, sent: Arc<AtomicU64>) -> Self {
        Self { inner, sent }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.sent.fetch_add(data.len() as u64, Relaxed);
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
