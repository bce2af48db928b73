//! What can be wrong with a database, or with what is to be kept in it.

use std::{fmt, path::Path, sync::Arc};

use rusqlite::ffi::ErrorCode;

/// Why something was not kept, or not found.
#[derive(Debug)]
pub enum StoreError {
    /// Records before those that came are missing.
    Gap {
        /// The number of the first of them.
        next: u64,
    },
    /// What came cannot be, for this reason.
    Refused(String),
    /// There is no such thing.
    Unknown(String),
    /// No room is left.
    Full(Arc<rusqlite::Error>),
    /// The file cannot be used, for this reason.
    Unusable(String),
    /// The database fails.
    Database(Arc<rusqlite::Error>),
}

impl StoreError {
    pub(super) fn open(path: &Path, error: rusqlite::Error) -> Self {
        let reason = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => "it is no database".to_owned(),
            _ => error.to_string(),
        };
        Self::Unusable(format!("cannot open {}: {reason}", path.display()))
    }

    pub(super) fn damaged(reason: impl fmt::Display) -> Self {
        Self::Unusable(format!("the database is damaged: {reason}"))
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// The same, with the place where something was refused.
    pub(super) fn within(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Refused(reason) => Self::Refused(format!("{}: {reason}", place())),
            other => other,
        }
    }

    /// Whether it is the fault of who asked, and nothing is wrong with the database.
    #[must_use]
    pub fn is_callers(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Refused(_) | Self::Unknown(_))
    }

    /// The same, for others whom it concerns.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Gap { next } => Self::Gap { next: *next },
            Self::Refused(reason) => Self::Refused(reason.clone()),
            Self::Unknown(reason) => Self::Unknown(reason.clone()),
            Self::Full(error) => Self::Full(Arc::clone(error)),
            Self::Unusable(reason) => Self::Unusable(reason.clone()),
            Self::Database(error) => Self::Database(Arc::clone(error)),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { next } => write!(f, "records from number {next} on are missing"),
            Self::Refused(reason) | Self::Unknown(reason) | Self::Unusable(reason) => f.write_str(reason),
            Self::Full(_) => f.write_str("the database has no room left"),
            Self::Database(_) => f.write_str("the database fails"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full(error) | Self::Database(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(Arc::new(error)),
            _ => Self::Database(Arc::new(error)),
        }
    }
}

impl From<golo::wire::WireError> for StoreError {
    fn from(error: golo::wire::WireError) -> Self {
        Self::Refused(error.to_string())
    }
}
