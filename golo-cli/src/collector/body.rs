//! Bodies with records or outputs, and the memory that they take until what is in them is kept.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, Request},
    http::StatusCode,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Collector, Refusal};

/// Most bytes of a body.
const BODY: usize = 16 << 20;
/// How long it may take.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Most of them that are read, or wait to be kept, at the same time.
const BODIES: usize = 32;
/// Most KiB of bodies that are made sense of, or wait to be kept, at the same time: read, they take up to ten times as
/// much.
const KIBIBYTES: usize = 64 << 10;

/// What bodies may take up.
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

/// A body.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    /// What it takes up: dropped once nothing of it is in memory any more.
    pub(super) room: Room,
}

/// A place among bodies, and memory.
pub(super) struct Room {
    _place: OwnedSemaphorePermit,
    _kibibytes: OwnedSemaphorePermit,
}

impl Collector {
    /// The body of a request.
    pub(super) async fn body(&self, mut request: Request) -> Result<Received, Refusal> {
        let Bodies { places, kibibytes } = self.bodies.clone();
        let ending = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is ending");
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
