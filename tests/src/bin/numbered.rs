//! A load test whose requests have numbered URLs, so that a target can tell each of them from all others.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use golo::BoxError;

/// Requests so far.
static REQUESTS: AtomicU64 = AtomicU64::new(0);
/// Part of the run that this process plays, from the environment of its agent.
static PART: LazyLock<String> = LazyLock::new(|| std::env::var("CAMPAIGN_PART").unwrap_or_default());
/// Number of routes.
static ROUTES: LazyLock<u64> = LazyLock::new(|| golo::param("ROUTES").and_then(|text| text.parse().ok()).unwrap_or(1));

#[golo::loadtest]
async fn numbered() -> Result<(), BoxError> {
    let number = REQUESTS.fetch_add(1, Relaxed);
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let url = format!("{target}/{}/{}-{number}", *PART, std::process::id());
    let route = format!("/route-{}", number % (*ROUTES).max(1));
    golo::request(&golo::new_sequence_id(), golo::client().get(url)).route(&route).send().await?;
    Ok(())
}
