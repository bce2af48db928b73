//! The error of a setting.

use std::{error::Error, fmt};

/// A flag, an environment variable or a key of a job file is invalid. The message contains the setting and the expected
/// form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    message: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SettingError {}

impl From<String> for SettingError {
    fn from(message: String) -> Self {
        Self { message }
    }
}

impl From<&str> for SettingError {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}

impl From<SettingError> for String {
    fn from(error: SettingError) -> Self {
        error.message
    }
}
