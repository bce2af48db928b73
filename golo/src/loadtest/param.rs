//! Parameters that are passed to a load test.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

type Values = RwLock<Option<HashMap<String, String>>>;

/// Values from the command line.
static GIVEN: Values = RwLock::new(None);
/// Values from a job file.
static OFFERED: Values = RwLock::new(None);

/// Returns the value of the parameter `key`, from the first of these that has one: `-e KEY=VALUE`, the environment
/// variable of that name, the job file. Returns `None` if none of them has one.
///
/// An environment variable that is not valid Unicode is ignored.
///
/// ```
/// let base = golo::param("TARGET_URL").unwrap_or_else(|| "http://127.0.0.1:8765/".to_owned());
/// assert!(base.starts_with("http"));
/// ```
#[must_use]
pub fn param(key: &str) -> Option<String> {
    let find = |values: &Values| {
        let values = values.read().unwrap_or_else(PoisonError::into_inner);
        values.as_ref().and_then(|values| values.get(key).cloned())
    };
    find(&GIVEN).or_else(|| std::env::var(key).ok()).or_else(|| find(&OFFERED))
}

/// Sets parameters from the command line. A later value of a key replaces an earlier one.
pub(crate) fn give(pairs: impl IntoIterator<Item = (String, String)>) {
    GIVEN.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().extend(pairs);
}

/// Sets parameters from a job file.
pub(crate) fn offer(pairs: impl IntoIterator<Item = (String, String)>) {
    OFFERED.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().extend(pairs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_value_takes_precedence_over_the_environment() {
        assert_eq!(param("CARGO_PKG_NAME").as_deref(), Some("golo"), "cargo sets it for tests");
        give([("CARGO_PKG_NAME".to_owned(), "given".to_owned())]);
        assert_eq!(param("CARGO_PKG_NAME").as_deref(), Some("given"));
        assert_eq!(param("GOLO_NO_SUCH_PARAMETER"), None);
    }
}
