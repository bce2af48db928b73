//! Checks: what a load test says must hold, counted rather than enforced.

use crate::{error::without_credentials, scope};

/// Counts whether `passed` holds under `name`, and returns it.
///
/// A failed check fails nothing by itself: it is counted and shown. Use the value to fail the trigger too.
///
/// ```no_run
/// # async fn load_test() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let journey = golo::new_sequence_id();
/// let page = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/")).await?;
/// if !golo::check("front page is complete", page.content_length() == Some(12)) {
///     return Err("front page is cut short".into());
/// }
/// # Ok(()) }
/// ```
pub fn check(name: &str, passed: bool) -> bool {
    scope::sink_of(scope::current().as_deref()).check(&without_credentials(name), passed);
    passed
}
