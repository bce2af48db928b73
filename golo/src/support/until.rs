//! Waiting for a moment that may never come.

use std::time::Instant;

/// Waits until `moment`, or for ever where there is none.
pub async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
