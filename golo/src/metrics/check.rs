//! Checks: what a load test says must hold, counted rather than enforced.

use std::collections::BTreeMap;

use crate::{metrics::scope, support::secrets::without_secrets};

/// Most names of checks that are told apart.
const NAMES: usize = 1000;

/// How a check went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Check {
    /// How often it held.
    pub passed: u64,
    /// How often it did not.
    pub failed: u64,
}

impl Check {
    /// A check that was made once.
    pub(crate) fn once(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into() }
    }
}

/// Checks by name.
pub(crate) type Checks = BTreeMap<Box<str>, Check>;

/// Adds to the check `name`, or to `other` where there are too many names.
pub(crate) fn add(checks: &mut Checks, name: &str, more: Check) {
    let known = match checks.get_mut(name) {
        Some(known) => known,
        None => {
            let name = if checks.len() < NAMES { name } else { "other" };
            checks.entry(name.into()).or_default()
        }
    };
    known.passed += more.passed;
    known.failed += more.failed;
}

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
    scope::sink_of(scope::current().as_deref()).check(&without_secrets(name), passed);
    passed
}
