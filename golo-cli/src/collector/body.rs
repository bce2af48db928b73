//! Request bodies with records or outputs, and limits of the memory that they use until they are written.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Collector, Refusal};
use crate::http::COLLECTOR_CALL;

/// Maximum size of a body in bytes.
const BODY: usize = COLLECTOR_CALL;
/// Maximum time to receive a body.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Maximum number of bodies that are received or wait to be written at the same time.
const BODIES: usize = 32;
/// Maximum size in KiB of all bodies that are decoded or wait to be written at the same time. Decoded, they use up to
/// ten times as much memory.
const KIBIBYTES: usize = 64 << 10;

/// Limits shared by all bodies.
#[derive(Clone)]
pub(super) struct Bodies {
    places: Arc<Semaphore>,
    kibibytes: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(BODIES)), kibibytes: Arc::new(Semaphore::new(KIBIBYTES)) }
    }
}

/// A received body.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    /// Reservation for the body; to be dropped once its content is no longer in memory.
    pub(super) room: Room,
}

/// A reserved place and reserved memory for a body.
pub(super) struct Room {
    _place: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

impl Collector {
    /// Receives the body of a request.
    pub(super) async fn body(&self, mut request: Request) -> Result<Received, Refusal> {
        let Bodies { places, kibibytes } = self.bodies.clone();
        let ending = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is shutting down");
        let place = places.acquire_owned().await.map_err(ending)?;
        DefaultBodyLimit::max(BODY).apply(&mut request);
        let bytes = match tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let reason = format!("the body is larger than {} MiB: send less at a time", BODY >> 20);
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason));
            }
            Ok(Err(rejection)) => return Err(Refusal::new(rejection.status(), rejection.body_text())),
            Err(_) => {
                let reason = format!("the body took longer than {} s", BODY_TIME.as_secs());
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason));
            }
        };
        let size = u32::try_from(bytes.len().div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let kibibytes = kibibytes.acquire_many_owned(size).await.map_err(ending)?;
        Ok(Received { bytes, room: Room { _place: place, _kibibytes: kibibytes } })
    }
}
