//! Where runs are kept that are looked at again: a file, or a collector.

mod remote;

use std::{path::PathBuf, time::SystemTime};

use clap::Args;
use golo::{cli::chain, engine::Progress};

use crate::{
    replay::{Records, Replayed, replay},
    store::{Store, StoreError, place},
};
use remote::Remote;

/// Where they are.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where runs are kept")]
pub struct ArchiveArgs {
    /// The file that they are in
    /// [env: GOLO_DB] [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Ask a collector rather than a file; its token is taken from GOLO_TOKEN
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    collector: Option<String>,
}

/// Runs that are kept.
pub enum Archive {
    /// In a file.
    File(Store),
    /// At a collector.
    Collector(Remote),
}

impl Archive {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn open(args: ArchiveArgs) -> Result<Self, String> {
        if let Some(url) = args.collector {
            return Remote::new(&url).map(Self::Collector);
        }
        let place = place(args.db).map_err(|error| error.to_string())?;
        Store::open_to_read(&place).map(Self::File).map_err(said)
    }

    /// The ids of the newest runs, the newest first.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub fn newest(&self, most: u64) -> Result<Vec<String>, String> {
        match self {
            Self::File(store) => {
                let runs = store.runs(most).map_err(said)?;
                Ok(runs.into_iter().map(|run| run.run).collect())
            }
            Self::Collector(remote) => remote.newest(most),
        }
    }

    /// Replays the run that is called so: by its id or what that begins with, by the job's name, or `latest`.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be read.
    pub fn replay(&self, called: &str, on_second: impl FnMut(&Progress)) -> Result<Replayed, String> {
        let now = SystemTime::now();
        let replayed = match self {
            Self::File(store) => {
                let run = store.find(called).map_err(said)?;
                let parts = store.parts(&run).map_err(said)?;
                let parts = parts
                    .iter()
                    .map(|part| Box::new(store.records(part, 0).map(|record| record.map_err(said))) as Records<'_>);
                replay(parts, now, on_second)
            }
            Self::Collector(remote) => {
                let parts = remote.records(called)?.into_iter();
                replay(parts.map(|records| Box::new(records.into_iter().map(Ok)) as Records<'_>), now, on_second)
            }
        };
        replayed.map_err(|error| format!("run `{called}`: {error}"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn said(error: StoreError) -> String {
    chain(&error)
}
