//! Deletes old results, for `golo runs prune`.

use std::{path::Path, time::Duration};

use golo::wire::nanoseconds;
use rusqlite::params;

use super::columns::integer;
use super::{KeptRun, Store, StoreError};

/// Value of the pragma `auto_vacuum` with which free pages can be removed from the file.
pub(super) const INCREMENTAL: i64 = 2;
/// A run that has not ended may go on until nothing was heard of it for this time.
const SILENCE: Duration = Duration::from_secs(3600);

/// Which results to keep.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Age since the last record of a run, or since a pushed request was complete.
    pub age: Duration,
    /// Current time in nanoseconds since the Unix epoch.
    pub now: u64,
}

/// Deleted results.
#[derive(Debug)]
pub struct Pruned {
    /// Runs, newest first.
    pub runs: Vec<KeptRun>,
    /// Number of requests that `POST /push/{db}` brought.
    pub outputs: u64,
}

impl Keep {
    /// Returns the end of the time before which results are not kept, for results that may be at most this young.
    fn before(self, at_least: Duration) -> i64 {
        integer(self.now.saturating_sub(nanoseconds(self.age.max(at_least))))
    }
}

impl Store {
    /// Opens an existing database to delete runs from it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Store::open`], and [`StoreError::Unknown`] if there is no file.
    pub fn open_to_prune(path: &Path) -> Result<Self, StoreError> {
        Self::check_exists(path)?;
        Self::open_to_sweep(path)
    }

    /// Returns what [`prune`](Self::prune) would delete.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn prunable(&self, keep: Keep) -> Result<Pruned, StoreError> {
        let mut outputs = self.connection.prepare("SELECT count(*) FROM outputs WHERE timestamp_ns < ?")?;
        let outputs: i64 = outputs.query_row([keep.before(Duration::ZERO)], |row| row.get(0))?;
        Ok(Pruned { runs: self.old_runs(keep)?, outputs: outputs.unsigned_abs() })
    }

    /// Deletes the runs of which nothing was heard for the time, and the pushed requests that are older, and shrinks the
    /// file. A run that has not ended is kept for an hour at least. Each part of a run is deleted in a transaction of its
    /// own, so that others can write in between.
    ///
    /// A file that golo 0.1 created is rewritten once, during which nobody else can write, and needs as much free disk
    /// space as the kept results.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails; then some of the runs may be deleted, and the file may not be smaller.
    pub fn prune(&mut self, keep: Keep) -> Result<Pruned, StoreError> {
        let runs = self.old_runs(keep)?;
        for run in &runs {
            for part in self.parts(run)? {
                self.delete(&part)?;
            }
        }
        let old = "DELETE FROM outputs WHERE timestamp_ns < ?";
        let outputs = self.connection.execute(old, [keep.before(Duration::ZERO)])?;
        self.make_small()?;
        Ok(Pruned { runs, outputs: outputs as u64 })
    }

    /// Returns the runs that are not kept, newest first.
    fn old_runs(&self, keep: Keep) -> Result<Vec<KeptRun>, StoreError> {
        self.runs_where(
            "NOT EXISTS (SELECT 1 FROM parts WHERE parts.run = runs.id
                         AND parts.heard_at_ns >= iif(parts.ended_at_ns IS NULL, ?1, ?2))",
            params![keep.before(SILENCE), keep.before(Duration::ZERO)],
        )
    }

    fn make_small(&mut self) -> Result<(), StoreError> {
        let vacuums: i64 = self.connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        if vacuums == INCREMENTAL {
            while self.shrink()? {}
        } else {
            self.set("auto_vacuum", INCREMENTAL)?;
            self.connection.execute_batch("VACUUM")?;
        }
        // Who reads at the moment prevents it; then the next checkpoint shortens the file.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}
