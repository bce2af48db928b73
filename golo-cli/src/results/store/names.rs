//! Checks of names that clients choose.

use super::StoreError;

/// Maximum length in bytes of a run's or agent's name.
const LONGEST: usize = 128;
/// Name that refers to the newest run.
pub(super) const LATEST: &str = "latest";
/// Maximum length in bytes of a name for a database of outputs.
const LONGEST_DATABASE: usize = 64;

/// Checks the name of a run or agent; `what` describes it in the error message.
///
/// # Errors
///
/// Returns an error if the name is invalid.
pub fn check_name(what: &str, name: &str) -> Result<(), StoreError> {
    let is_good = !name.is_empty() && name.len() <= LONGEST && !name.contains(|c: char| c.is_control() || c == '/');
    match is_good {
        true => Ok(()),
        false => Err(StoreError::refused(format!(
            "invalid name of {what}, {name:?}: expected 1 to {LONGEST} bytes without `/` and control characters"
        ))),
    }
}

/// Checks the ID of a run.
///
/// # Errors
///
/// Returns an error if the ID is invalid or is `latest`.
pub fn check_run_name(name: &str) -> Result<(), StoreError> {
    if name == LATEST {
        return Err(StoreError::refused(format!(
            "a run cannot have the ID `{LATEST}`, which stands for the newest run: use another ID"
        )));
    }
    check_name("a run", name)
}

/// Checks the name of a database of outputs.
///
/// # Errors
///
/// [`StoreError::Unknown`] if the name is invalid.
pub fn check_database_name(name: &str) -> Result<(), StoreError> {
    let is_good = (1..=LONGEST_DATABASE).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match is_good {
        true => Ok(()),
        false => Err(StoreError::Unknown(format!(
            "there is no database {name:?}: a name is 1 to {LONGEST_DATABASE} letters, digits, `_` and `-`"
        ))),
    }
}
