//! What is kept of a job on disk, beside its records: a file of its own, which a small rest of room is enough for.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::results::store::StoreError;

/// Its file, in the job's folder.
const FILE: &str = "job.json";

/// Why something of a job cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A file in its folder cannot be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The database does not take its records.
    #[error(transparent)]
    Results(#[from] StoreError),
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Others are before it.
    Queued,
    /// Its load test starts, or waits to be told to.
    Starting,
    /// It sends load.
    Running,
    /// Nothing starts any more.
    Draining,
    /// It ran to its end.
    Completed,
    /// It did not, for a reason.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Starting, Self::Running, Self::Draining, Self::Completed, Self::Failed, Self::Cancelled];

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_over(self) -> bool {
        self >= Self::Completed
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What is kept of a job, in `job.json`. Moments are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// How many came before it.
    pub number: u64,
    /// The run that it is a part of.
    pub run: String,
    /// What this part is called.
    pub agent: String,
    /// The job's name.
    pub name: String,
    /// The load test's hash.
    pub binary: String,
    /// What was asked for.
    pub request: Value,
    /// The plan of the whole run, in words.
    pub plan: String,
    /// How long the measured part is; nothing where its iterations say.
    pub length: Option<u64>,
    /// Which part it is, and of how many.
    pub share: (u64, u64),
    /// Whether it waits to be started.
    pub hold: bool,
    /// Where it is in its life.
    pub state: State,
    /// Why, where it did not simply complete.
    pub reason: String,
    /// When it was queued.
    pub queued: u64,
    /// When its clock started.
    pub started: Option<u64>,
    /// When it was over.
    pub ended: Option<u64>,
    /// How much of the measured part is over.
    pub elapsed: u64,
    /// Requests, and how many failed.
    pub requests: (u64, u64),
    /// How many records it has, once it is over.
    pub records: u64,
    /// Whether a collector is to have it.
    pub for_collector: bool,
    /// How many records the collector has.
    pub committed: u64,
    /// Since when it has all of them.
    pub committed_at: Option<u64>,
    /// Why the collector does not take them.
    #[serde(default)]
    pub refused: Option<String>,
    /// Since when that is so.
    #[serde(default)]
    pub refused_at: Option<u64>,
    /// Whether its records have been deleted, or are about to be.
    pub is_swept: bool,
}

impl Kept {
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(FILE))?)?)
    }

    /// It is there as a whole, or as it was before.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(FILE))?;
        fs::File::open(folder)?.sync_all()
    }
}
