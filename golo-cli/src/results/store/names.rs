//! Names that others choose.

use super::StoreError;

/// The longest name of a run or an agent.
const LONGEST: usize = 128;
/// What finds the newest run, whatever it is called.
pub(super) const LATEST: &str = "latest";
/// The longest name of a database of outputs.
const LONGEST_DATABASE: usize = 64;

/// Whether `name` can be what a run or an agent is called; `what` says which.
///
/// # Errors
///
/// Where it cannot.
pub fn check_name(what: &str, name: &str) -> Result<(), StoreError> {
    let is_good = !name.is_empty() && name.len() <= LONGEST && !name.contains(|c: char| c.is_control() || c == '/');
    match is_good {
        true => Ok(()),
        false => Err(StoreError::refused(format!(
            "{what} is called by 1 to {LONGEST} bytes without `/` and control characters, and not {name:?}"
        ))),
    }
}

/// Whether `name` can be what a run is called.
///
/// # Errors
///
/// Where it cannot.
pub fn check_run_name(name: &str) -> Result<(), StoreError> {
    if name == LATEST {
        return Err(StoreError::refused(format!(
            "a run cannot be called `{LATEST}`, by which the newest of all is found: give it another id"
        )));
    }
    check_name("a run", name)
}

/// Whether outputs can be pushed under `name`.
///
/// # Errors
///
/// [`StoreError::Unknown`] where they cannot.
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
