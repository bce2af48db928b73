//! Parameters: what the person who runs a load test tells it.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

type Values = RwLock<Option<HashMap<String, String>>>;

/// By the command line.
static GIVEN: Values = RwLock::new(None);
/// By a job file.
static OFFERED: Values = RwLock::new(None);

/// The parameter `key`: what `-e KEY=VALUE` gave, else the environment variable of that name, else what a job file says,
/// else `None`.
///
/// `None` also where the environment's value is not Unicode.
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

/// Puts what the command line gave in place; a later value of a key wins.
pub(crate) fn give(pairs: impl IntoIterator<Item = (String, String)>) {
    GIVEN.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().extend(pairs);
}

/// Puts what a job file says in place.
pub(crate) fn offer(pairs: impl IntoIterator<Item = (String, String)>) {
    OFFERED.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().extend(pairs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_comes_before_the_environment() {
        assert_eq!(param("CARGO_PKG_NAME").as_deref(), Some("golo"), "cargo sets it for tests");
        give([("CARGO_PKG_NAME".to_owned(), "given".to_owned())]);
        assert_eq!(param("CARGO_PKG_NAME").as_deref(), Some("given"));
        assert_eq!(param("GOLO_NO_SUCH_PARAMETER"), None);
    }
}
