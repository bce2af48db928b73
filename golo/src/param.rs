//! Parameters: what the person who runs a load test tells it.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

static GIVEN: RwLock<Option<HashMap<String, String>>> = RwLock::new(None);

/// The parameter `key`: what `-e KEY=VALUE` gave, else the environment variable of that name, else `None`.
///
/// `None` also where the environment's value is not Unicode.
///
/// ```
/// let base = golo::param("TARGET_URL").unwrap_or_else(|| "http://127.0.0.1:8765/".to_owned());
/// assert!(base.starts_with("http"));
/// ```
#[must_use]
pub fn param(key: &str) -> Option<String> {
    let given = GIVEN.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|given| given.get(key).cloned());
    given.or_else(|| std::env::var(key).ok())
}

/// Puts what the command line gave in place; a later value of a key wins.
pub(crate) fn give(pairs: impl IntoIterator<Item = (String, String)>) {
    GIVEN.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().extend(pairs);
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
