//! Deletes results and shrinks the database file.

use std::path::Path;

use rusqlite::{OptionalExtension as _, TransactionBehavior};

use super::{KeptPart, Store, StoreError};

/// Maximum number of pages that one transaction frees. Other writers wait for it.
const PAGES: u32 = 1000;

impl Store {
    /// Opens or creates a database from which parts can be deleted.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Store::open`].
    pub fn open_to_sweep(path: &Path) -> Result<Self, StoreError> {
        let store = Self::open(path)?;
        // `seconds` has no index by series: with foreign keys, SQLite would scan it for each deleted series.
        store.set("foreign_keys", false)?;
        Ok(store)
    }

    /// Deletes a part with all its records. The run is deleted with its last part; until then its totals and merged
    /// seconds still include the deleted parts.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails; then nothing is deleted.
    pub fn delete(&mut self, part: &KeptPart) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let select = "SELECT run FROM parts WHERE id = ?";
        let run: Option<i64> = transaction.query_row(select, [part.id], |row| row.get(0)).optional()?;
        for table in ["records", "seconds", "triggers", "tags", "metrics"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE part = ?"), [part.id])?;
        }
        transaction.execute("DELETE FROM parts WHERE id = ?", [part.id])?;
        let has_parts = "SELECT EXISTS (SELECT 1 FROM parts WHERE run = ?)";
        if let Some(run) = run
            && !transaction.query_row(has_parts, [run], |row| row.get(0))?
        {
            let series = "DELETE FROM series WHERE route IN (SELECT id FROM routes WHERE run = ?)";
            transaction.execute(series, [run])?;
            for table in ["routes", "merged_seconds", "summaries"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE run = ?"), [run])?;
            }
            transaction.execute("DELETE FROM runs WHERE id = ?", [run])?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes up to 1000 free pages from the file. Returns true if there may be more. Has no effect on a database that
    /// golo 0.1 created for runs, until [`Store::prune`] has rewritten it.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn shrink(&mut self) -> Result<bool, StoreError> {
        // Each step of the statement frees one page.
        let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut pages = vacuum.query([])?;
        let mut freed = 0;
        while pages.next()?.is_some() {
            freed += 1;
        }
        drop(pages);
        drop(vacuum);
        // The file shrinks when the write-ahead log is moved into it.
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(freed == PAGES)
    }
}
