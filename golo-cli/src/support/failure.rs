//! The error that a command prints before it exits.

use std::{error::Error, fmt};

use golo::cli::SettingError;

/// A failure that a command reports and exits with. Displays as a message for the user, such as
/// ``the agent load1:8081: it does not answer``.
///
/// ```
/// use golo_cli::support::failure::Failure;
///
/// fn port(text: &str) -> Result<u16, Failure> {
///     Ok(text.parse().map_err(|_| format!("`{text}` is no port"))?)
/// }
/// assert_eq!(port("http"), Err(Failure::from("`http` is no port")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message }
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.message
    }
}

impl From<SettingError> for Failure {
    fn from(error: SettingError) -> Self {
        Self { message: error.into() }
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}
