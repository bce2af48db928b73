//! Reading runs and their parts, and finding runs by ID or name.

use rusqlite::{OptionalExtension as _, Params, Row, params};
use serde::Serialize;

use super::columns::{integer, number, optional};
use super::names::LATEST;
use super::part::Part;
use super::{Store, StoreError};
use crate::{results::keep::short, support::moments};

/// State of a part whose last record is not stored yet.
const RUNNING: &str = "running";

/// A stored run. Times are nanoseconds since the Unix epoch; as JSON, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptRun {
    #[serde(skip)]
    pub(super) id: i64,
    /// ID that agents and reports use.
    pub run: String,
    /// Name of the job.
    pub name: String,
    /// Name of the load test.
    pub load_test: String,
    /// Description of the plan.
    pub plan: String,
    /// Thresholds.
    pub thresholds: Vec<String>,
    /// `running`, `completed`, `failed` or `cancelled`.
    pub state: String,
    /// Reason for a failure or cancellation.
    pub reason: String,
    /// Number of agents that share the plan.
    pub parts_expected: u64,
    /// Start of the measured part.
    #[serde(rename = "started_at", serialize_with = "moments::serialize_optional")]
    pub started_at_ns: Option<u64>,
    /// End of the last part.
    #[serde(rename = "ended_at", serialize_with = "moments::serialize_optional")]
    pub ended_at_ns: Option<u64>,
    /// Time at which the first record was stored.
    #[serde(rename = "added_at", serialize_with = "moments::serialize")]
    pub added_at_ns: u64,
    /// Number of requests so far.
    pub requests: u64,
    /// Number of failed requests so far.
    pub requests_failed: u64,
}

/// One agent's part of a run. Times are nanoseconds since the Unix epoch; in JSON, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptPart {
    #[serde(skip)]
    pub(super) id: i64,
    /// Name of the agent.
    pub agent: String,
    /// ID of the job at the agent.
    pub job: String,
    /// Index of its share of the plan, from 0.
    pub share_index: u64,
    /// Number of shares.
    pub share_of: u64,
    /// SHA-256 of the load test; empty if unknown.
    pub binary_sha256: String,
    /// Version of golo that wrote the records.
    pub golo_version: String,
    /// Number of stored records.
    pub records: u64,
    /// `running`, `completed`, `failed` or `cancelled`.
    pub state: String,
    /// Reason for a failure or cancellation.
    pub reason: String,
    /// End, by the agent's clock.
    #[serde(rename = "ended_at", serialize_with = "moments::serialize_optional")]
    pub ended_at_ns: Option<u64>,
    /// Time at which the last record was stored, by the storing machine's clock.
    #[serde(rename = "heard_at", serialize_with = "moments::serialize")]
    pub heard_at_ns: u64,
}

const RUN: &str = "SELECT id, run, name, load_test, plan, thresholds, state, reason, parts_expected, started_at_ns, \
     ended_at_ns, added_at_ns, requests, requests_failed FROM runs";
const PART: &str = "SELECT id, agent, job, share_index, share_of, binary_sha256, golo_version, next_record, state, \
     reason, ended_at_ns, heard_at_ns FROM parts";
const NEWEST_FIRST: &str = "ORDER BY added_at_ns DESC, id DESC LIMIT";
/// As [`NEWEST_FIRST`], with runs that never started last.
const STARTED_FIRST: &str = "ORDER BY started_at_ns IS NULL, added_at_ns DESC, id DESC LIMIT";

impl Store {
    /// Returns the newest runs, newest first.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn runs(&self, most: u64) -> Result<Vec<KeptRun>, StoreError> {
        self.runs_from(0, most)
    }

    /// As [`runs`](Self::runs), without the newest `skipped` runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn runs_from(&self, skipped: u64, most: u64) -> Result<Vec<KeptRun>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!("{RUN} {NEWEST_FIRST} ? OFFSET ?"))?;
        let runs = select.query_map([integer(most), integer(skipped)], KeptRun::read)?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// Returns the runs for which an SQL condition holds, newest first.
    pub(super) fn runs_where(&self, which: &str, parameters: impl Params) -> Result<Vec<KeptRun>, StoreError> {
        let mut select = self.connection.prepare(&format!("{RUN} WHERE {which} {NEWEST_FIRST} -1"))?;
        let runs = select.query_map(parameters, KeptRun::read)?;
        Ok(runs.collect::<Result<_, _>>()?)
    }

    /// Returns a run by its ID, `latest`, its name (the newest of that name), or the unique beginning of its ID. A run
    /// that never started is not `latest`, and is found by name only if no run of that name started.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] if there is no such run, or more than one.
    pub fn find(&self, called: &str) -> Result<KeptRun, StoreError> {
        let one = |which: &str, parameter: &str| -> Result<Option<KeptRun>, StoreError> {
            let mut select = self.connection.prepare_cached(&format!("{RUN} WHERE {which} {STARTED_FIRST} 1"))?;
            Ok(select.query_row([parameter], KeptRun::read).optional()?)
        };
        if let Some(run) = one("run = ?", called)? {
            return Ok(run);
        }
        if called == LATEST {
            return match one("?1 = ?1", called)? {
                Some(run) if run.started_at_ns.is_some() => Ok(run),
                Some(run) => Err(StoreError::Unknown(format!(
                    "no stored run has started: the newest is {}, which did not; give its ID to see the reason",
                    short(&run.run)
                ))),
                None => Err(StoreError::Unknown("no run is stored yet".to_owned())),
            };
        }
        if let Some(run) = one("name = ?", called)? {
            return Ok(run);
        }
        let mut select =
            self.connection.prepare_cached(&format!("{RUN} WHERE substr(run, 1, ?) = ? {NEWEST_FIRST} 2"))?;
        let length = integer(called.chars().count() as u64);
        let mut begin_so = select.query_map(params![length, called], KeptRun::read)?;
        match (begin_so.next().transpose()?, begin_so.next().transpose()?) {
            (Some(run), None) if !called.is_empty() => Ok(run),
            (Some(_), Some(_)) if !called.is_empty() => {
                Err(StoreError::Unknown(format!("more than one run ID begins with {called:?}: give more of it")))
            }
            _ => Err(StoreError::Unknown(format!("no run is called {called:?}"))),
        }
    }

    /// Returns the parts of a run, ordered by share.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn parts(&self, run: &KeptRun) -> Result<Vec<KeptPart>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!("{PART} WHERE run = ? ORDER BY share_index, id"))?;
        let parts = select.query_map([run.id], KeptPart::read)?;
        Ok(parts.collect::<Result<_, _>>()?)
    }

    /// Returns the parts of all runs, the oldest first.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn all_parts(&self) -> Result<Vec<KeptPart>, StoreError> {
        let mut select = self.connection.prepare_cached(&format!("{PART} ORDER BY id"))?;
        let parts = select.query_map([], KeptPart::read)?;
        Ok(parts.collect::<Result<_, _>>()?)
    }

    /// Returns the part of a job, or `None` if no record of it is stored.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn part_of_job(&self, run: &str, job: &str) -> Result<Option<KeptPart>, StoreError> {
        let mut select = self
            .connection
            .prepare_cached(&format!("{PART} WHERE run = (SELECT id FROM runs WHERE run = ?) AND job = ?"))?;
        Ok(select.query_row([run, job], KeptPart::read).optional()?)
    }

    /// Returns the number of the next record that is expected of an agent's part; 0 if the store has none of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherJob`] if `job` is given and the part belongs to another job. Otherwise if the database fails.
    pub fn next(&self, run: &str, agent: &str, job: Option<&str>) -> Result<u64, StoreError> {
        let Some(part) = Part::find(&self.connection, run, agent)? else { return Ok(0) };
        part.check_job(job)?;
        Ok(part.next_record)
    }
}

impl KeptPart {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            agent: row.get(1)?,
            job: row.get(2)?,
            share_index: number(row, 3)?,
            share_of: number(row, 4)?,
            binary_sha256: row.get(5)?,
            golo_version: row.get(6)?,
            records: number(row, 7)?,
            state: row.get(8)?,
            reason: row.get(9)?,
            ended_at_ns: optional(row, 10)?,
            heard_at_ns: number(row, 11)?,
        })
    }

    /// Returns true if the last record is stored.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state != RUNNING
    }
}

impl KeptRun {
    /// Returns true if the last record of a part is not stored yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == RUNNING
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let thresholds: String = row.get(5)?;
        Ok(Self {
            id: row.get(0)?,
            run: row.get(1)?,
            name: row.get(2)?,
            load_test: row.get(3)?,
            plan: row.get(4)?,
            thresholds: thresholds.lines().map(str::to_owned).collect(),
            state: row.get(6)?,
            reason: row.get(7)?,
            parts_expected: number(row, 8)?,
            started_at_ns: optional(row, 9)?,
            ended_at_ns: optional(row, 10)?,
            added_at_ns: number(row, 11)?,
            requests: number(row, 12)?,
            requests_failed: number(row, 13)?,
        })
    }
}
