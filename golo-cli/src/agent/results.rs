//! The records of all jobs, in the agent's database until a collector has them.
//!
//! A record is reported once it is committed, and never before: a power cut cannot take back what a collector was given.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use golo_proto::results::{Record, record};

use super::job::Job;
use crate::results::{
    readers::Readers,
    store::{Batch, Chunk, Ingested, KeptPart, Store, StoreError},
};

/// The database, in the data folder.
const FILE: &str = "results.db";

/// The agent's database.
pub struct Results {
    store: Mutex<Store>,
    pub(super) readers: Readers,
}

/// How many records of a job are committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// The number of the next record.
    pub next: u64,
    /// True if no record follows.
    pub has_ended: bool,
}

impl Results {
    /// Opens the database of a data folder, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be opened, is damaged, or is one of a newer golo.
    pub(super) fn open(data: &Path) -> Result<Self, StoreError> {
        let store = Store::open_to_sweep(&data.join(FILE))?;
        Ok(Self { readers: Readers::of(store.path()), store: Mutex::new(store) })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many records each job has, by the job's ID.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub(super) fn extents(&self) -> Result<HashMap<String, Extent>, StoreError> {
        let parts = self.store().all_parts()?;
        let extent = |part: &KeptPart| Extent { next: part.records, has_ended: part.has_ended() };
        Ok(parts.into_iter().map(|part| (part.job.clone(), extent(&part))).collect())
    }

    /// Commits the next records of a job, then reports them. Waits for the disk.
    ///
    /// # Errors
    ///
    /// Returns an error if they are refused, or if the database fails or is full; then none of them is kept.
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

    /// Returns the records of a job from number `from` on, of about `bytes` bytes; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails or is damaged.
    pub(super) async fn read(&self, job: &Job, from: u64, bytes: usize) -> Result<Option<Chunk>, StoreError> {
        let kept = job.kept();
        let read = move |store: &Store| match store.part_of_job(&kept.run, &kept.id)? {
            Some(part) => store.chunk(&part, from, bytes),
            None => Ok(None),
        };
        self.readers.read(read).await
    }

    /// Deletes the records of the jobs that `is_swept` selects by ID, and gives the room back to the disk.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails; then some of them may be left.
    pub(super) fn sweep(&self, is_swept: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let parts = self.store().all_parts()?;
        // A job that is running commits its records in between.
        for part in parts.iter().filter(|part| is_swept(&part.job)) {
            self.store().delete(part)?;
        }
        while self.store().shrink()? {}
        Ok(())
    }
}

fn is_last(record: &Record) -> bool {
    matches!(record.record, Some(record::Record::Ended(_)))
}
