//! Waiting for an optional time.

use std::time::Instant;

/// Waits until `moment`, or forever if it is `None`.
pub async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
