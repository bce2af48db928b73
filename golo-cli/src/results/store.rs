//! Where results are kept: one SQLite file, which `sqlite3` and Grafana read as well.
//!
//! What a run told comes as numbered records, and each is kept once however often it comes. What is acknowledged is on
//! the disk. [`collector`](crate::collector) says what the tables are, and how they are asked.

mod check;
mod columns;
mod error;
mod ingest;
mod merge;
mod migrations;
mod names;
mod outputs;
mod part;
mod place;
mod read;
mod records;
mod seconds;
mod series;
mod summaries;
mod sweep;
mod tags;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags, Savepoint, TransactionBehavior};

pub use columns::Durations;
pub use error::StoreError;
pub use ingest::{Batch, Ingested, MAX_PARTS};
pub use merge::MergedRequests;
pub use names::{check_database_name, check_name, check_run_name};
pub use place::place;
pub use read::{KeptPart, KeptRun};
pub use records::{Chunk, Records};
pub use seconds::{KeptRequests, KeptRoute, KeptSecond, MergedSecond};
pub use series::KeptSeries;
pub use summaries::{Summarized, Summary};

/// How long another process that writes is waited for.
const PATIENCE_MS: u32 = 10_000;
/// What a database begins with.
const HEAD: &[u8] = b"SQLite format 3\0";
/// Bytes of a page.
const PAGE: u32 = 8192;
/// Statements that stay prepared.
const STATEMENTS: usize = 64;

/// An open database of results.
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

impl Store {
    /// Opens the database to write to it, and makes it where there is none. Several processes may.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, is no database of golo, or one of a newer golo.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, false)
    }

    fn open_with(path: &Path, can_shrink: bool) -> Result<Self, StoreError> {
        make(path)?;
        let mut store = Self::connect(path)?;
        // A database of others is left as it is.
        migrations::check(&store.connection, path)?;
        // Only a new file takes it. Rows with a histogram have a few thousand bytes, and hardly fit into less.
        store.set("page_size", PAGE)?;
        if can_shrink {
            // Only a new file takes this too.
            store.set("auto_vacuum", "incremental")?;
        }
        // What is acknowledged survives a loss of power.
        store.set("journal_mode", "wal")?;
        store.set("synchronous", "full")?;
        store.set("journal_size_limit", 64 << 20)?;
        migrations::run(&mut store.connection, path)?;
        Ok(store)
    }

    /// Opens the database to read from it alone.
    ///
    /// # Errors
    ///
    /// Where there is none, it cannot be opened, is no database of golo, or one of a newer golo.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Unknown(format!("nothing is kept yet: there is no {}", path.display())));
        }
        let mut store = Self::connect(path)?;
        migrations::check(&store.connection, path)?;
        migrations::run(&mut store.connection, path)?;
        store.set("query_only", true)?;
        Ok(store)
    }

    fn connect(path: &Path) -> Result<Self, StoreError> {
        is_none_or_a_database(path)?;
        // Each connection stays in one thread at a time. A path is no `file:` URI, whatever it begins with.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| StoreError::open(path, error))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let store = Self { connection, path: path.to_owned() };
        store.set("busy_timeout", PATIENCE_MS)?;
        store.set("foreign_keys", true)?;
        Ok(store)
    }

    fn set(&self, pragma: &str, value: impl rusqlite::ToSql) -> Result<(), StoreError> {
        // Some of them answer with a row, others do not.
        let answer = self.connection.pragma_update_and_check(None, pragma, value, |_| Ok(()));
        match answer {
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
            Err(error) => Err(StoreError::open(&self.path, error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the disk that it takes, with what has not been moved into the file yet.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let beside = |suffix: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        beside("") + beside("-wal")
    }

    /// Lets the database grow to so many bytes and no further: what would need more is refused as by a full disk. Holds
    /// for this connection.
    ///
    /// # Errors
    ///
    /// Where the database cannot be read.
    pub fn limit_bytes(&self, bytes: u64) -> Result<(), StoreError> {
        let page: i64 = self.connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        self.set("max_page_count", columns::integer(bytes) / page.max(1))
    }

    /// One transaction with whatever `write` writes; what it gives back holds only where this does not fail.
    ///
    /// # Errors
    ///
    /// Where the database fails, or is full: then nothing of all this is kept.
    pub fn write<T>(&mut self, write: impl FnOnce(&mut Writing<'_>) -> T) -> Result<T, StoreError> {
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

    /// Keeps what of a batch is new, in a transaction of its own.
    ///
    /// # Errors
    ///
    /// As [`Writing::ingest`] and [`Store::write`].
    pub fn ingest(&mut self, batch: Batch) -> Result<Ingested, StoreError> {
        self.write(|writing| writing.ingest(batch))?
    }

    /// Keeps what runs came to, in a transaction of its own.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub fn summarize(&mut self, summarized: &[Summarized]) -> Result<(), StoreError> {
        self.write(|writing| writing.summarize(summarized))?
    }
}

/// Makes an empty file where there is none, for its owner alone: URLs with queries are in it. SQLite gives what it puts
/// beside it the same rights.
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

/// SQLite takes what is shorter than a page for an empty database, and would write over it.
///
/// A file is looked at before this process has connected to it, and never again: closing any descriptor of a file drops all
/// locks that a process has on it, POSIX says, SQLite's too. Another process would then take itself for the last one, and
/// remove the log that connections here go on writing to: <https://sqlite.org/howtocorrupt.html>, 2.2.
fn is_none_or_a_database(path: &Path) -> Result<(), StoreError> {
    static LOOKED_AT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let Ok(whole) = path.canonicalize() else { return Ok(()) };
    let mut looked_at = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if looked_at.contains(&whole) {
        return Ok(());
    }
    look_at(path)?;
    looked_at.insert(whole);
    Ok(())
}

fn look_at(path: &Path) -> Result<(), StoreError> {
    let mut head = Vec::with_capacity(HEAD.len());
    let read = File::open(path).and_then(|file| file.take(HEAD.len() as u64).read_to_end(&mut head));
    match read {
        Ok(_) if head.is_empty() || head == HEAD => Ok(()),
        Ok(_) => Err(StoreError::Unusable(format!("cannot open {}: it is no database", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::no_file(path, &error)),
    }
}

/// A transaction that is under way. Each of its parts is kept whole or not at all, whatever becomes of the others.
pub struct Writing<'a> {
    transaction: rusqlite::Transaction<'a>,
    /// Why nothing of it can be kept.
    lost: Option<StoreError>,
    /// Whether there is anything new in it.
    is_changed: bool,
}

impl Writing<'_> {
    /// Keeps what of a batch is new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gap`] where records before the batch are missing, [`StoreError::Refused`] where they cannot be.
    pub fn ingest(&mut self, batch: Batch) -> Result<Ingested, StoreError> {
        let ingested = self.whole(|connection| ingest::ingest(connection, batch))?;
        self.is_changed |= ingested.new > 0;
        Ok(ingested)
    }

    /// Keeps outputs under the name of a database, and says how many.
    ///
    /// # Errors
    ///
    /// Where the name is none.
    pub fn push(&mut self, database: &str, outputs: &[golo::Output]) -> Result<u64, StoreError> {
        let stored = self.whole(|connection| outputs::push(connection, database, outputs))?;
        self.is_changed |= stored > 0;
        Ok(stored)
    }

    /// Whether there is anything new in it.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Keeps what runs came to.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub fn summarize(&mut self, summarized: &[Summarized]) -> Result<(), StoreError> {
        self.whole(|connection| summaries::keep(connection, summarized))
    }

    fn whole<T>(&mut self, write: impl FnOnce(&Savepoint<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(error) = &self.lost {
            return Err(error.again());
        }
        // Dropped without a commit, it takes back what was written.
        let done = self.transaction.savepoint().map_err(StoreError::from).and_then(|savepoint| {
            let written = write(&savepoint)?;
            savepoint.commit()?;
            Ok(written)
        });
        // SQLite may have taken back all of the transaction.
        if let Err(error) = &done
            && !error.is_callers()
        {
            self.lost = Some(error.again());
        }
        done
    }
}
