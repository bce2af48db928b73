//! Where runs are kept that are looked at again: a file, or a collector.

mod remote;

use std::{path::PathBuf, time::SystemTime};

use clap::Args;
use golo::{cli::chain, engine::Progress};

use crate::{
    http::server::Secret,
    results::{
        listed::{Listed, list},
        replay::{Records, Replayed, replay},
        store::{KeptPart, Store, StoreError, place},
    },
    support::environment::variable,
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
    /// Ask a collector rather than a file: HOST:PORT, or a URL where it speaks TLS, as https://store:8082; its token is taken
    /// from GOLO_TOKEN
    #[arg(long, value_name = "URL", conflicts_with = "db")]
    collector: Option<String>,
    /// Who vouches for the collector's certificate, beside those whom this machine trusts
    /// [env: GOLO_CA]
    #[arg(long, value_name = "FILE.pem", requires = "collector")]
    ca: Option<PathBuf>,
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
        let ArchiveArgs { db, collector, ca } = args;
        if let Some(url) = collector {
            let ca = ca.or_else(|| variable("GOLO_CA").map(PathBuf::from));
            return Remote::new(&url, variable("GOLO_TOKEN").map(Secret::from), ca.as_deref()).map(Self::Collector);
        }
        let place = place(db).map_err(|error| error.to_string())?;
        Store::open_to_read(&place).map(Self::File).map_err(said)
    }

    /// The newest runs, each in a line or with the reason why it cannot be read, the newest first.
    ///
    /// # Errors
    ///
    /// Where none can be read.
    pub fn list(&self, most: u64) -> Result<Vec<Result<Listed, String>>, String> {
        match self {
            Self::File(store) => {
                let (runs, new) = list(store, most).map_err(said)?;
                if !new.is_empty() {
                    // Where that cannot be, it is worked out again the next time.
                    _ = Store::open(store.path()).and_then(|mut store| store.summarize(&new));
                }
                Ok(runs.into_iter().map(|(run, summary)| Listed::of(run, summary)).collect())
            }
            Self::Collector(remote) => remote.list(most),
        }
    }

    /// Replays the run that is called so: by its id or what that begins with, by the job's name, or `latest`.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be read.
    pub fn replay(&self, called: &str, on_second: impl FnMut(&Progress)) -> Result<Replayed, String> {
        let replayed = match self {
            Self::File(store) => {
                let parts = store.find(called).and_then(|run| store.parts(&run)).map_err(said)?;
                replay_kept(store, &parts, on_second)
            }
            Self::Collector(remote) => {
                let parts = remote.records(called)?.into_iter();
                let parts = parts.map(|records| Box::new(records.into_iter().map(Ok)) as Records<'_>);
                replay(parts, SystemTime::now(), on_second)
            }
        };
        replayed.map_err(|error| format!("run `{called}`: {error}"))
    }
}

/// Replays a run of the parts that are kept of it.
pub(crate) fn replay_kept(
    store: &Store,
    parts: &[KeptPart],
    on_second: impl FnMut(&Progress),
) -> Result<Replayed, String> {
    let parts =
        parts.iter().map(|part| Box::new(store.records(part, 0).map(|record| record.map_err(said))) as Records<'_>);
    replay(parts, SystemTime::now(), on_second)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn said(error: StoreError) -> String {
    chain(&error)
}
