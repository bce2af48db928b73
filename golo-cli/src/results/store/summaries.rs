//! Summaries of runs, one row each. A summary is computed once from all records, not whenever the run is listed.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::columns::{integer, number, optional};
use super::{KeptRun, Store, StoreError};
use crate::support::moments;

/// Summary of a run. Durations are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Time of the first record, in nanoseconds since the Unix epoch; in JSON, RFC 3339 to the second.
    #[serde(rename = "begun_at", with = "moments::seconds")]
    pub begun_at_ns: u64,
    /// Verdict, for example `PASSED`.
    pub verdict: String,
    /// Number of ended requests.
    pub requests: u64,
    /// Number of failed requests.
    pub requests_failed: u64,
    /// Total duration of the run.
    #[serde(rename = "whole_time")]
    pub whole_time_ns: u64,
    /// Number of requests interrupted by the end of the run.
    #[serde(default)]
    pub requests_interrupted: u64,
    /// Number of requests in the rate per second: those that ended during the load.
    #[serde(default)]
    pub rated_requests: u64,
    /// Time that the rate is computed over; 0 in the reply of an older collector.
    #[serde(rename = "rate_time", default)]
    pub rate_time_ns: u64,
    /// 95th percentile of the request durations, if there were requests.
    #[serde(rename = "p95")]
    pub p95_ns: Option<u64>,
}

/// A computed summary to be stored.
#[derive(Debug, Clone)]
pub struct Summarized {
    pub(super) run: i64,
    pub(super) records: u64,
    pub(super) summary: Summary,
}

impl Summarized {
    /// Creates the summary of a run that had `records` records before it was computed.
    #[must_use]
    pub fn of(run: &KeptRun, records: u64, summary: Summary) -> Self {
        Self { run: run.id, records, summary }
    }
}

impl Store {
    /// Returns the number of stored records of a run.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn records_of(&self, run: &KeptRun) -> Result<u64, StoreError> {
        let mut select =
            self.connection.prepare_cached("SELECT coalesce(sum(next_record), 0) FROM parts WHERE run = ?")?;
        Ok(select.query_row([run.id], |row| number(row, 0))?)
    }

    /// Returns the stored summary of a run if it was computed from this number of records.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn summary(&self, run: &KeptRun, records: u64) -> Result<Option<Summary>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT begun_at_ns, verdict, requests, requests_failed, whole_time_ns, duration_p95_ns,
                 rated_requests, rate_time_ns, requests_interrupted
             FROM summaries WHERE run = ? AND records = ?",
        )?;
        let summary = select.query_row(params![run.id, integer(records)], |row| {
            Ok(Summary {
                begun_at_ns: number(row, 0)?,
                verdict: row.get(1)?,
                requests: number(row, 2)?,
                requests_failed: number(row, 3)?,
                whole_time_ns: number(row, 4)?,
                p95_ns: optional(row, 5)?,
                rated_requests: number(row, 6)?,
                rate_time_ns: number(row, 7)?,
                requests_interrupted: number(row, 8)?,
            })
        });
        Ok(summary.optional()?)
    }
}

pub(super) fn keep(connection: &Connection, summarized: &[Summarized]) -> Result<(), StoreError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO summaries (run, records, begun_at_ns, verdict, requests, requests_failed, whole_time_ns,
             duration_p95_ns, rated_requests, rate_time_ns, requests_interrupted)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for Summarized { run, records, summary } in summarized {
        insert.execute(params![
            run,
            integer(*records),
            integer(summary.begun_at_ns),
            summary.verdict,
            integer(summary.requests),
            integer(summary.requests_failed),
            integer(summary.whole_time_ns),
            summary.p95_ns.map(integer),
            integer(summary.rated_requests),
            integer(summary.rate_time_ns),
            integer(summary.requests_interrupted),
        ])?;
    }
    Ok(())
}
