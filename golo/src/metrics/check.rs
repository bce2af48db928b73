//! Checks: named conditions that a load test counts instead of enforcing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::metrics::scope;
use crate::support::{cut, secrets::without_secrets};

/// Largest number of check names that are counted separately.
const NAMES: usize = 1000;
/// Maximum length of a name in bytes.
const LONGEST: usize = 300;

/// Result of a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Check {
    /// Number of times the condition held.
    pub passed: u64,
    /// Number of times it did not hold.
    pub failed: u64,
}

impl Check {
    /// Creates the result of a check that was made once.
    pub(crate) fn once(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into() }
    }
}

/// Checks by name.
pub(crate) type Checks = BTreeMap<Box<str>, Check>;

/// Returns a name as it is counted: cut to 300 bytes, and `…` stands for the rest.
pub(crate) fn bounded(name: Cow<'_, str>) -> Cow<'_, str> {
    cut::marked_to_bytes(name, LONGEST)
}

/// Adds to the check `name`, or to `other` if there are too many names already.
pub(crate) fn add(checks: &mut Checks, name: &str, more: Check) {
    let name = bounded(name.into());
    let known = match checks.get_mut(&*name) {
        Some(known) => known,
        None => {
            let name = if checks.len() < NAMES { &*name } else { "other" };
            checks.entry(name.into()).or_default()
        }
    };
    known.passed += more.passed;
    known.failed += more.failed;
}

/// Counts a check: `passed` under `name`. Returns `passed`.
///
/// A failed check does not fail the trigger. It is counted, and the report shows it. Use the returned value to fail the
/// trigger as well. Names are cut to 300 bytes.
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
    scope::sink_of(scope::current().as_deref()).check(&bounded(without_secrets(name)), passed);
    passed
}
