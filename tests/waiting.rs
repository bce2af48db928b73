//! Helpers for waiting with a time limit.

use std::time::{Duration, Instant};

/// Long enough for anything that should happen, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// Waits for `future` and returns its output. Panics after [`PATIENCE`].
#[track_caller]
pub fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(PATIENCE, future).await;
        waited.unwrap_or_else(|_| panic!("waited in vain for {what}, at {caller}"))
    }
}

/// Waits until `condition` holds. Panics after [`PATIENCE`].
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < PATIENCE, "waited in vain until {what}, at {caller}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
