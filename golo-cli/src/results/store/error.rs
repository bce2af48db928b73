//! Errors of the store.

use std::{fmt, io, path::Path, sync::Arc};

use golo::cli::chain;
use rusqlite::ffi::{self, ErrorCode};

use crate::support::failure::Failure;

/// Advice for a damaged database.
const RECOVER: &str = "try `sqlite3 FILE .recover` on it, and continue with a new one";

/// Error of a read or write of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Records are missing before those that were sent.
    #[error("records from number {next} on are missing")]
    Gap {
        /// Number of the first missing record.
        next: u64,
    },
    /// The part belongs to another job than the one that sends it now. Agents recognise the message.
    #[error("told by another job")]
    OtherJob {
        /// The job that it belongs to.
        known: String,
    },
    /// The sent data is wrong, for this reason.
    #[error("{0}")]
    Refused(String),
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// The disk is full.
    #[error("the database has no room left")]
    Full(#[source] Arc<rusqlite::Error>),
    /// The file cannot be used, for this reason.
    #[error("{0}")]
    Unusable(String),
    /// The file is damaged, or is not the one that was opened.
    #[error("{0}")]
    Damaged(String),
    /// The file cannot be opened at the moment: its disk is full or fails, or another process has locked it.
    #[error("cannot open {0}")]
    NotOpened(String, #[source] Arc<rusqlite::Error>),
    /// The database fails.
    #[error("{}", failure(.0))]
    Database(#[source] Arc<rusqlite::Error>),
}

impl StoreError {
    pub(super) fn open(path: &Path, error: rusqlite::Error) -> Self {
        let reason = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => "it is not a database".to_owned(),
            Some(ErrorCode::DatabaseCorrupt) => format!("it is damaged: {RECOVER}"),
            _ if is_passing(&error) => return Self::NotOpened(path.display().to_string(), Arc::new(error)),
            _ => error.to_string(),
        };
        Self::Unusable(format!("cannot open {}: {reason}", path.display()))
    }

    /// Returns the error of a file that can neither be read nor made.
    pub(super) fn no_file(path: &Path, error: &io::Error) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let reason = match folder {
            Some(folder) => format!("there is no folder {}: create it first", folder.display()),
            None => error.to_string(),
        };
        Self::Unusable(format!("cannot open {}: {reason}", path.display()))
    }

    pub(super) fn damaged(reason: impl fmt::Display) -> Self {
        Self::Damaged(format!("the database is damaged: {reason}"))
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// Adds the place to the reason of a refusal.
    pub(super) fn within(self, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Refused(reason) => Self::Refused(format!("{}: {reason}", place())),
            other => other,
        }
    }

    /// True if the caller made a mistake, and nothing is wrong with the database.
    #[must_use]
    pub fn is_callers(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::OtherJob { .. } | Self::Refused(_) | Self::Unknown(_))
    }

    /// True if the same write may succeed later: the disk is full or fails, or another process has locked the database.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Full(_) | Self::NotOpened(..) => true,
            Self::Database(error) => is_passing(error),
            _ => false,
        }
    }

    /// True if the database is damaged, so that a part of its content may be lost.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Database(error) => is_damage(error),
            _ => false,
        }
    }

    /// Returns a copy, for several callers of one transaction.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Gap { next } => Self::Gap { next: *next },
            Self::OtherJob { known } => Self::OtherJob { known: known.clone() },
            Self::Refused(reason) => Self::Refused(reason.clone()),
            Self::Unknown(reason) => Self::Unknown(reason.clone()),
            Self::Full(error) => Self::Full(Arc::clone(error)),
            Self::Unusable(reason) => Self::Unusable(reason.clone()),
            Self::Damaged(reason) => Self::Damaged(reason.clone()),
            Self::NotOpened(path, error) => Self::NotOpened(path.clone(), Arc::clone(error)),
            Self::Database(error) => Self::Database(Arc::clone(error)),
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let is_cut_off = || error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHORT_READ);
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        // A column has another type than golo has written, or is not UTF-8.
        || matches!(error, rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..))
        || is_cut_off()
}

fn is_passing(error: &rusqlite::Error) -> bool {
    !is_damage(error)
        && matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::CannotOpen
                    | ErrorCode::OutOfMemory
            )
        )
}

fn failure(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has locked the database for too long: stop it, or try again".to_owned()
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("the database is damaged: {RECOVER}")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => "the database cannot be written to".to_owned(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => "the disk of the database fails".to_owned(),
        _ => "the database fails".to_owned(),
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

/// The message includes the sources.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        chain(&error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_says_what_would_help() {
        for (code, expected) in [
            (ffi::SQLITE_BUSY, "another process has locked the database for too long: stop it, or try again"),
            (ffi::SQLITE_CORRUPT, "the database is damaged: try `sqlite3 FILE .recover`"),
            (ffi::SQLITE_READONLY, "the database cannot be written to: "),
            (ffi::SQLITE_IOERR_WRITE, "the disk of the database fails: "),
            (ffi::SQLITE_FULL, "the database has no room left: "),
            (ffi::SQLITE_ERROR, "the database fails: "),
        ] {
            let error = StoreError::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            let text = chain(&error);
            assert!(text.starts_with(expected), "{text}");
        }
    }
}
