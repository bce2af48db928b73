//! A load test with three routes, one of which fails at times, with a check, tags, a group and metrics of its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use golo::BoxError;

/// Triggers so far.
static TRIGGERS: AtomicU64 = AtomicU64::new(0);

#[golo::loadtest]
async fn routes() -> Result<(), BoxError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let number = TRIGGERS.fetch_add(1, Relaxed);
    let journey = golo::new_sequence_id();
    let get = |path: String| golo::do_request(&journey, golo::client().get(format!("{target}{path}")));
    golo::tag("kind", if number.is_multiple_of(2) { "even" } else { "odd" });
    golo::group("visit", async {
        let item = get(format!("items/{}", 1 + number % 100)).await?;
        golo::check("an item comes", item.status() == 200);
        get(format!("slow?ms={}", 5 + number % 40)).await?;
        get("flaky?percent=30".to_owned()).await?;
        Ok::<_, BoxError>(())
    })
    .await?;
    let is_secret = |name: String| name.starts_with("GOLO_") && name.ends_with("_TOKEN");
    golo::check("no credentials are here", !std::env::vars().any(|(name, _)| is_secret(name)));
    golo::counter("visits").add(1);
    golo::trend("depth").record(number % 7);
    Ok(())
}
