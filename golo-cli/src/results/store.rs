//! The store: one SQLite database of results, which `sqlite3` and Grafana can read too.
//!
//! Results arrive as numbered records. A record is stored once, however often it is sent, and is on disk before it is
//! acknowledged. [`collector`](crate::collector) describes the tables and queries.

mod blobs;
mod check;
mod columns;
mod error;
mod ingest;
mod merge;
mod metrics;
mod migrations;
mod names;
mod outputs;
mod part;
mod path;
mod prune;
mod read;
mod records;
mod seconds;
mod series;
mod summaries;
mod sweep;
mod tags;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Savepoint, TransactionBehavior};

pub use columns::Durations;
pub use error::StoreError;
pub use ingest::{Batch, Ingested, MAX_PARTS};
pub use merge::MergedRequests;
pub use names::{check_database_name, check_name, check_run_name};
pub use path::database_path;
pub use prune::{Keep, Pruned};
pub use read::{KeptPart, KeptRun};
pub use records::{Chunk, Records, Salvaged};
pub use seconds::{KeptRequests, KeptRoute, KeptSecond, MergedSecond};
pub use series::KeptSeries;
pub use summaries::{Summarized, Summary};

/// Maximum wait for another process that writes, in milliseconds.
const PATIENCE_MS: u32 = 10_000;
/// First bytes of a database file.
const HEAD: &[u8] = b"SQLite format 3\0";
/// Page size in bytes.
const PAGE: u32 = 4096;
/// Maximum number of cached prepared statements.
const STATEMENTS: usize = 64;

/// An open database of results.
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Device and number of the file, to notice that it was removed or replaced. `None` if they are unknown.
    file: Option<(u64, u64)>,
}

impl Store {
    /// Opens the database for writing and creates it if it does not exist. Several processes may do so at the same
    /// time.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened, is not a database of golo, or was written by a newer golo.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make(path)?;
        let mut store = Self::connect(path)?;
        // Checked first, so that another program's database is not changed.
        migrations::check(&store.connection, path)?;
        // Takes effect only in a new file. A record fills some pages and a part of one.
        store.set("page_size", PAGE)?;
        // Takes effect only in a new file, too. Deleted runs give their space back.
        store.set("auto_vacuum", prune::INCREMENTAL)?;
        // What is acknowledged survives a loss of power.
        store.set("journal_mode", "wal")?;
        store.set("synchronous", "full")?;
        store.set("journal_size_limit", 64 << 20)?;
        migrations::run(&mut store.connection, path)?;
        Ok(store)
    }

    /// Opens the database read-only, apart from schema migrations.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist, cannot be opened, is not a database of golo, or was written by a
    /// newer golo.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        Self::check_exists(path)?;
        let mut store = Self::connect(path)?;
        migrations::check(&store.connection, path)?;
        migrations::run(&mut store.connection, path)?;
        store.set("query_only", true)?;
        Ok(store)
    }

    fn check_exists(path: &Path) -> Result<(), StoreError> {
        match path.exists() {
            true => Ok(()),
            false => Err(StoreError::Unknown(format!("nothing is stored yet: there is no {}", path.display()))),
        }
    }

    fn connect(path: &Path) -> Result<Self, StoreError> {
        check_is_database(path)?;
        // Each connection is used by one thread at a time. Without the URI flag a path that begins with `file:` is an
        // ordinary path.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| StoreError::open(path, error))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Otherwise statements are prepared again for each value of some of their parameters.
        let is_set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
        is_set.map_err(|error| StoreError::open(path, error))?;
        let store = Self { connection, path: path.to_owned(), file: identity(path) };
        store.set("busy_timeout", PATIENCE_MS)?;
        store.set("foreign_keys", true)?;
        Ok(store)
    }

    fn set(&self, pragma: &str, value: impl rusqlite::ToSql) -> Result<(), StoreError> {
        // Some pragmas return a row, others do not.
        let answer = self.connection.pragma_update_and_check(None, pragma, value, |_| Ok(()));
        match answer {
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
            Err(error) => Err(StoreError::open(&self.path, error)),
        }
    }

    /// Returns the path of the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the size on disk in bytes, including the write-ahead log.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let beside = |suffix: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        beside("") + beside("-wal")
    }

    /// Sets how long a write waits for another process that writes: 10 s unless set.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be used.
    pub fn wait_for_others(&self, most: Duration) -> Result<(), StoreError> {
        Ok(self.connection.busy_timeout(most)?)
    }

    /// Limits the size of the database. Writes beyond it fail as on a full disk. Applies to this connection only.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be read.
    pub fn limit_bytes(&self, bytes: u64) -> Result<(), StoreError> {
        let page: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        self.set("max_page_count", columns::integer(bytes) / page.max(1))
    }

    /// Checks that the file is still at its path. What is written to a removed file is lost when it is closed.
    fn check_in_place(&self) -> Result<(), StoreError> {
        match self.file.is_none() || identity(&self.path) == self.file {
            true => Ok(()),
            false => Err(StoreError::Damaged(format!(
                "{} was removed or replaced while it was in use: start this program again",
                self.path.display()
            ))),
        }
    }

    /// Runs `write` in one transaction. The returned value is valid only if the transaction was committed.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails or is full, or if its file was removed; nothing is stored then.
    pub fn write<T>(&mut self, write: impl FnOnce(&mut Writing<'_>) -> T) -> Result<T, StoreError> {
        self.check_in_place()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut writing = Writing { transaction, lost: None, is_changed: false };
        let written = write(&mut writing);
        match writing.lost {
            Some(error) => Err(error),
            None => {
                writing.transaction.commit()?;
                Ok(written)
            }
        }
    }

    /// Stores the new records of a batch in a transaction of its own.
    ///
    /// # Errors
    ///
    /// As [`Writing::ingest`] and [`Store::write`].
    pub fn ingest(&mut self, batch: Batch) -> Result<Ingested, StoreError> {
        self.write(|writing| writing.ingest(batch))?
    }

    /// Stores summaries in a transaction of its own.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn summarize(&mut self, summarized: &[Summarized]) -> Result<(), StoreError> {
        self.write(|writing| writing.summarize(summarized))?
    }
}

/// Creates an empty file if there is none, readable by its owner only, because it contains URLs with queries. SQLite
/// creates its other files with the same permissions.
fn make(path: &Path) -> Result<(), StoreError> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::no_file(path, &error)),
    }
}

/// Returns the device and the number of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// Rejects a file that is not a database. SQLite would treat a file shorter than a page as empty and overwrite it.
///
/// A file is checked only before the first connection of this process. Closing any descriptor of a file drops all POSIX
/// locks that the process has on it, also SQLite's. Another process could then delete the log that connections here
/// still write to: <https://sqlite.org/howtocorrupt.html>, 2.2.
fn check_is_database(path: &Path) -> Result<(), StoreError> {
    static CHECKED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let Ok(whole) = path.canonicalize() else { return Ok(()) };
    let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    if checked.contains(&whole) {
        return Ok(());
    }
    check_head(path)?;
    checked.insert(whole);
    Ok(())
}

fn check_head(path: &Path) -> Result<(), StoreError> {
    let mut head = Vec::with_capacity(HEAD.len());
    let read = File::open(path).and_then(|file| file.take(HEAD.len() as u64).read_to_end(&mut head));
    match read {
        Ok(_) if head.is_empty() || head == HEAD => Ok(()),
        Ok(_) => Err(StoreError::Unusable(format!("cannot open {}: it is not a database", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::no_file(path, &error)),
    }
}

/// An open transaction. Each write is stored completely or not at all, independent of the others.
pub struct Writing<'a> {
    transaction: rusqlite::Transaction<'a>,
    /// Error because of which the whole transaction is lost.
    lost: Option<StoreError>,
    /// True if anything new was written.
    is_changed: bool,
}

impl Writing<'_> {
    /// Stores the new records of a batch.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gap`] if records before the batch are missing, [`StoreError::Refused`] if records are invalid,
    /// [`StoreError::OtherJob`] if the part belongs to another job. Otherwise if the database fails.
    pub fn ingest(&mut self, batch: Batch) -> Result<Ingested, StoreError> {
        let ingested = self.whole(|connection| ingest::ingest(connection, batch))?;
        self.is_changed |= ingested.new > 0;
        Ok(ingested)
    }

    /// Stores outputs under a database name and returns their number.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is invalid or the database fails.
    pub fn push(&mut self, database: &str, outputs: &[golo::Output]) -> Result<u64, StoreError> {
        let stored = self.whole(|connection| outputs::push(connection, database, outputs))?;
        self.is_changed |= stored > 0;
        Ok(stored)
    }

    /// True if anything new was written.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Stores summaries of runs.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn summarize(&mut self, summarized: &[Summarized]) -> Result<(), StoreError> {
        self.whole(|connection| summaries::keep(connection, summarized))
    }

    fn whole<T>(&mut self, write: impl FnOnce(&Savepoint<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(error) = &self.lost {
            return Err(error.again());
        }
        // Without a commit, dropping the savepoint rolls back.
        let done = self.transaction.savepoint().map_err(StoreError::from).and_then(|savepoint| {
            let written = write(&savepoint)?;
            savepoint.commit()?;
            Ok(written)
        });
        // SQLite may have rolled back the whole transaction.
        if let Err(error) = &done
            && !error.is_callers()
        {
            self.lost = Some(error.again());
        }
        done
    }
}
