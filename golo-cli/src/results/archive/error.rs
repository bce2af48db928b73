//! Errors of reading stored runs, and their exit codes.

use golo::cli::Exit;

use crate::results::store::StoreError;
use crate::support::failure::Failure;

/// Error of reading stored runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// There is no such archive or run, or it cannot be reached.
    #[error("{0}")]
    NotFound(Failure),
    /// The archive or the run is there and cannot be read: it is damaged.
    #[error("{0}")]
    Unreadable(Failure),
}

impl ArchiveError {
    /// Returns the exit code of every command that reads stored runs.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound(_) => Exit::BadConfiguration,
            Self::Unreadable(_) => Exit::Failed,
        }
    }
}

impl From<StoreError> for ArchiveError {
    fn from(error: StoreError) -> Self {
        if error.is_damage() { Self::Unreadable(error.into()) } else { Self::NotFound(error.into()) }
    }
}
