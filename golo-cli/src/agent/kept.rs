//! The record of a job on disk. It is a small file, separate from the results, so that it can be written even if the
//! disk is nearly full.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::{fmt, fs};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::results::store::StoreError;

/// Name of the file in the job's folder.
const FILE: &str = "job.json";

/// Error of writing a job's data.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A file in the job's folder cannot be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The records cannot be written to the database.
    #[error(transparent)]
    Results(#[from] StoreError),
}

/// State of a job. The order is the order of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits in the queue.
    Queued,
    /// Its load test is starting, or is ready and waits for its start.
    Starting,
    /// Sends load.
    Running,
    /// Stops, or its duration is over: no new triggers start.
    Draining,
    /// Ran to its end.
    Completed,
    /// Ended early because of an error.
    Failed,
    /// Was stopped.
    Cancelled,
}

impl State {
    /// All states, in order.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Starting, Self::Running, Self::Draining, Self::Completed, Self::Failed, Self::Cancelled];

    /// Returns true if the job has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        self >= Self::Completed
    }

    /// Returns the state's name in JSON and metrics.
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

/// Records whose content is missing at the collector: it refuses them, or they are damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Number of these records.
    pub records: u64,
    /// The first of them, with the reason.
    pub first: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, first } = self;
        match records {
            1 => write!(f, "a record is missing: {first}"),
            _ => write!(f, "{records} records are missing; the first is {first}"),
        }
    }
}

/// Content of `job.json`. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// ID of the job.
    pub id: String,
    /// Sequence number, which orders the jobs of an agent.
    pub number: u64,
    /// ID of the run that the job is a part of.
    pub run: String,
    /// Name of this part of the run.
    pub agent: String,
    /// Name of the job.
    pub name: String,
    /// SHA-256 of the load test.
    pub binary: String,
    /// SHA-256 of each file of test data, by its name.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// The request that queued the job.
    pub request: Value,
    /// The plan of the whole run, as text.
    pub plan: String,
    /// Duration of the measured part in nanoseconds; `None` if the plan has none and ends after its iterations.
    pub length: Option<u64>,
    /// Index of this part, from 0, and number of parts.
    pub share: (u64, u64),
    /// True if the job waits for its start once it is ready.
    pub hold: bool,
    /// Lease in nanoseconds, if the job has one: its client must renew it.
    #[serde(default)]
    pub lease: Option<u64>,
    /// State of the job.
    pub state: State,
    /// Reason of the final state; empty if the job completed normally.
    pub reason: String,
    /// Time at which the job was queued.
    pub queued: u64,
    /// Time at which the job's clock started.
    pub started: Option<u64>,
    /// Time at which the job ended.
    pub ended: Option<u64>,
    /// Elapsed time of the measured part in nanoseconds.
    pub elapsed: u64,
    /// Number of requests, and of failed requests.
    pub requests: (u64, u64),
    /// Number of requests that the end of the run cut off.
    #[serde(default)]
    pub interrupted: u64,
    /// Number of records once the job is over, else 0.
    pub records: u64,
    /// True if the records are sent to a collector.
    pub for_collector: bool,
    /// Number of records that the collector has committed.
    pub committed: u64,
    /// Time at which the collector had committed all of them.
    pub committed_at: Option<u64>,
    /// Reason why the collector refuses the records.
    #[serde(default)]
    pub refused: Option<String>,
    /// Records that the collector has received without their content, if there are any.
    #[serde(default)]
    pub missing: Option<Missing>,
    /// Time since which the collector has refused them.
    #[serde(default)]
    pub refused_at: Option<u64>,
    /// True if the records have been deleted or are about to be.
    pub is_swept: bool,
}

impl Kept {
    /// Reads the record from a job's folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(FILE))?)?)
    }

    /// Writes the record to a job's folder. If this fails, the previous file remains.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().sync_all()?;
        file.persist(folder.join(FILE))?;
        fs::File::open(folder)?.sync_all()
    }
}
