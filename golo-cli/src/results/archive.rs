//! Stored runs to read again: in a database file or at a collector.

mod error;
mod remote;

use std::{path::PathBuf, time::SystemTime};

use clap::Args;
use golo::engine::Progress;
use golo::report::Timeline;

use crate::http::server::Secret;
use crate::results::listed::{Listed, list};
use crate::results::replay::{Records, Replayed, replay};
use crate::results::store::{KeptPart, Store, database_path};
use crate::support::environment::variable;
use crate::support::failure::Failure;
pub use error::ArchiveError;
use remote::Remote;

/// Location of the stored runs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Stored runs")]
pub struct ArchiveArgs {
    /// Database file with the runs
    /// [env: GOLO_DB] [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Read from a collector instead: HOST:PORT, or a URL if it uses TLS, for example https://store:8082; its token is
    /// read from GOLO_TOKEN
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    collector: Option<String>,
    /// File with CA certificates to trust for the collector, in addition to those of this machine
    /// [env: GOLO_CA]
    #[arg(long, value_name = "FILE.pem", requires = "collector")]
    ca: Option<PathBuf>,
}

impl ArchiveArgs {
    /// Returns the location of a database file.
    #[must_use]
    pub fn of_file(db: PathBuf) -> Self {
        Self { db: Some(db), ..Self::default() }
    }
}

/// An open archive of runs.
pub enum Archive {
    /// A database file.
    File(Store),
    /// A collector.
    Collector(Remote),
}

impl Archive {
    /// Opens the archive.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened, or the collector's URL, token or certificates are invalid.
    pub fn open(args: ArchiveArgs) -> Result<Self, ArchiveError> {
        let ArchiveArgs { db, collector, ca } = args;
        if let Some(url) = collector {
            let ca = ca.or_else(|| variable("GOLO_CA").map(PathBuf::from));
            let remote = Remote::new(&url, variable("GOLO_TOKEN").map(Secret::from), ca.as_deref());
            return remote.map(Self::Collector).map_err(ArchiveError::NotFound);
        }
        let path = database_path(db).map_err(|error| ArchiveError::NotFound(error.to_string().into()))?;
        Ok(Self::File(Store::open_to_read(&path)?))
    }

    /// Returns the newest runs, newest first: a line for each, or the reason why it cannot be read.
    ///
    /// # Errors
    ///
    /// Returns an error if the archive cannot be read.
    pub fn list(&self, most: u64) -> Result<Vec<Result<Listed, ArchiveError>>, ArchiveError> {
        match self {
            Self::File(store) => {
                let (runs, new) = list(store, most)?;
                if !new.is_empty() {
                    // If this fails, the summaries are computed again next time.
                    _ = Store::open(store.path()).and_then(|mut store| store.summarize(&new));
                }
                let listed = runs.into_iter().map(|(run, summary)| Listed::of(run, summary));
                Ok(listed.map(|listed| listed.map_err(ArchiveError::Unreadable)).collect())
            }
            Self::Collector(remote) => {
                let listed = remote.list(most).map_err(ArchiveError::NotFound)?.into_iter();
                Ok(listed.map(|listed| listed.map_err(ArchiveError::Unreadable)).collect())
            }
        }
    }

    /// Returns the ID of a run. `called` is its ID or the beginning of it, the job's name, or `latest`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such run or the archive cannot be read.
    pub fn find(&self, called: &str) -> Result<String, ArchiveError> {
        match self {
            Self::File(store) => Ok(store.find(called)?.run),
            Self::Collector(remote) => remote.find(called).map(|(run, _)| run),
        }
    }

    /// Replays a run. `called` is as for [`find`](Self::find). Without a `timeline`, the outcome has an empty one.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such run or it cannot be read.
    pub fn replay(
        &self,
        called: &str,
        timeline: Option<Timeline>,
        on_second: impl FnMut(&Progress),
    ) -> Result<Replayed, ArchiveError> {
        let replayed = match self {
            Self::File(store) => {
                let parts = store.find(called).and_then(|run| store.parts(&run))?;
                replay_kept(store, &parts, timeline, on_second)
            }
            Self::Collector(remote) => {
                let parts = remote.records(called)?.into_iter().map(|pages| Box::new(pages) as Records<'_>);
                replay(parts, SystemTime::now(), timeline, on_second)
            }
        };
        replayed.map_err(|error| ArchiveError::Unreadable(format!("run `{called}`: {error}").into()))
    }
}

/// Replays a run from its stored parts. Without a `timeline`, the outcome has an empty one.
pub(crate) fn replay_kept(
    store: &Store,
    parts: &[KeptPart],
    timeline: Option<Timeline>,
    on_second: impl FnMut(&Progress),
) -> Result<Replayed, Failure> {
    let parts = parts
        .iter()
        .map(|part| Box::new(store.records(part, 0).map(|record| record.map_err(Failure::from))) as Records<'_>);
    replay(parts, SystemTime::now(), timeline, on_second)
}
