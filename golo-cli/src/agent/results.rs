//! The records of all jobs, in the agent's database.
//!
//! A record is reported only after it is committed, so a power failure cannot remove a record that a collector already
//! has.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use golo_proto::results::{Record, record};
use tokio::task::spawn_blocking;

use super::job::Job;
use crate::results::readers::Readers;
use crate::results::store::{Batch, Chunk, Ingested, KeptPart, Salvaged, Store, StoreError};

/// Name of the database in the data folder.
const FILE: &str = "results.db";

/// The agent's database.
pub struct Results {
    store: Arc<Mutex<Store>>,
    pub(super) readers: Readers,
}

/// Number of committed records of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Number of the next record.
    pub next: u64,
    /// True if no record follows.
    pub has_ended: bool,
}

impl Results {
    /// Opens the database of a data folder, or creates it.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be opened, is damaged, or was written by a newer golo.
    pub(super) fn open(data: &Path) -> Result<Self, StoreError> {
        let store = Store::open_to_sweep(&data.join(FILE))?;
        Ok(Self { readers: Readers::of(store.path()), store: Arc::new(Mutex::new(store)) })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of records of each job, by job ID.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub(super) fn extents(&self) -> Result<HashMap<String, Extent>, StoreError> {
        let parts = self.store().all_parts()?;
        let extent = |part: &KeptPart| Extent { next: part.records, has_ended: part.has_ended() };
        Ok(parts.into_iter().map(|part| (part.job.clone(), extent(&part))).collect())
    }

    /// Commits the next records of a job, then reports them. Blocks until they are on disk.
    ///
    /// # Errors
    ///
    /// Returns an error if a record is refused, or if the database fails or the disk is full; then none of them is
    /// stored.
    pub(super) fn append(&self, job: &Job, records: Vec<Record>) -> Result<(), StoreError> {
        let kept = job.kept();
        let has_ended = records.last().is_some_and(is_last);
        let mut store = self.store();
        let from = job.extent().next;
        let Ingested { next, .. } =
            store.ingest(Batch { run: kept.run, agent: kept.agent, job: Some(kept.id), from, records })?;
        job.set_extent(Extent { next, has_ended });
        Ok(())
    }

    /// Returns about `bytes` bytes of a job's records, beginning with number `from`; `None` if there is no such record
    /// yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails or is damaged.
    pub(super) async fn read(&self, job: &Job, from: u64, bytes: usize) -> Result<Option<Chunk>, StoreError> {
        let chunk = self.look_up(job, from, move |store, part| store.chunk(part, from, bytes)).await?;
        match chunk {
            None if job.extent().next > from && !job.kept().is_swept => Err(lost(from)),
            chunk => Ok(chunk),
        }
    }

    /// Returns one record of a job, also if others are damaged.
    ///
    /// # Errors
    ///
    /// Returns an error if the record cannot be read.
    pub(super) async fn salvage(&self, job: &Job, number: u64) -> Result<Salvaged, StoreError> {
        let found = self.look_up(job, number, move |store, part| store.salvage(part, number)).await?;
        found.ok_or_else(|| lost(number))
    }

    /// Looks something up in the part of a job, that exists if the record `number` does. If a connection that reads cannot
    /// find it, the one that writes is asked: it has the file open also after it was removed.
    async fn look_up<T: Send + 'static>(
        &self,
        job: &Job,
        number: u64,
        look: impl Fn(&Store, &KeptPart) -> Result<Option<T>, StoreError> + Clone + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let kept = job.kept();
        let look_up = move |store: &Store| match store.part_of_job(&kept.run, &kept.id)? {
            Some(part) => look(store, &part),
            None => Ok(None),
        };
        let found = self.readers.read(look_up.clone()).await;
        match &found {
            Ok(None) if job.extent().next > number => {}
            Err(error) if !error.is_passing() => {}
            _ => return found,
        }
        let store = Arc::clone(&self.store);
        let looking = move || look_up(&store.lock().unwrap_or_else(PoisonError::into_inner));
        match spawn_blocking(looking).await {
            Ok(Ok(None)) | Err(_) => found,
            Ok(found) => found,
        }
    }

    /// Deletes the records of the jobs for whose ID `is_swept` is true, and shrinks the database file.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails; then some of the records may remain.
    pub(super) fn sweep(&self, is_swept: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let parts = self.store().all_parts()?;
        // Locked for one part at a time, so that a running job can commit records in between.
        for part in parts.iter().filter(|part| is_swept(&part.job)) {
            self.store().delete(part)?;
        }
        while self.store().shrink()? {}
        Ok(())
    }
}

/// Error for a record that was committed and is not in the database any more.
fn lost(number: u64) -> StoreError {
    StoreError::Damaged(format!("the database is damaged: record {number} is missing"))
}

fn is_last(record: &Record) -> bool {
    matches!(record.record, Some(record::Record::Ended(_)))
}
