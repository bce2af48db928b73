//! The thread that writes records into the store. What cannot be written at the moment waits in memory.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use golo::cli::chain;
use golo_proto::results::{Record, record};
use prost::Message as _;

use super::storing::Storing;
use crate::results::listed::summarize;
use crate::results::store::{Batch, Store, StoreError, database_path};

/// Maximum size in bytes of the records that wait in memory until they can be written.
const ROOM: usize = 64 << 20;
/// Pause before a failed write is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Maximum time that a write waits for another process. The write is then tried again.
const LOCKED: Duration = Duration::from_secs(2);

/// A record with the number of its part.
pub(super) type PartRecord = (usize, Record);

/// Writes records as they arrive, all queued ones in one transaction, until every part has ended or the sender is gone.
/// A write that fails because of the disk or of another process is tried again. Returns whether there were any records.
/// Other writers may store the same run in the same file; records that are already stored are skipped.
///
/// # Errors
///
/// Returns the reason if the records cannot be stored, or if too many wait.
pub(super) fn write(
    db: Option<PathBuf>,
    run: &str,
    agents: &[String],
    queue: &Receiver<PartRecord>,
    storing: &Storing,
) -> Result<bool, String> {
    let Ok(first) = queue.recv() else { return Ok(false) };
    let path = database_path(db).map_err(|error| error.to_string())?;
    storing.set_path(path.clone());
    let mut pending = Pending::new(path, run, agents);
    pending.add(first);
    let mut is_open = true;
    loop {
        is_open &= pending.take(queue);
        match pending.write() {
            Ok(()) => storing.wrote(),
            Err(error) if error.is_passing() && pending.bytes <= ROOM => {
                storing.retry(pending.describe(&error), pending.records());
                is_open = is_open && pending.take_for(AGAIN, queue);
                continue;
            }
            Err(error) => return Err(pending.describe(&error)),
        }
        if pending.running == 0 || !is_open {
            break;
        }
        match queue.recv() {
            Ok(next) => pending.add(next),
            Err(_) => break,
        }
    }
    pending.summarize(run);
    Ok(true)
}

/// Records that are not written yet, and the store that they go to.
struct Pending {
    path: PathBuf,
    /// `None` until it has been opened.
    store: Option<Store>,
    /// A batch for each part.
    batches: Vec<Batch>,
    /// Encoded size of the records.
    bytes: usize,
    /// Number of parts that have not ended.
    running: usize,
}

impl Pending {
    fn new(path: PathBuf, run: &str, agents: &[String]) -> Self {
        let batch = |agent: &String| Batch {
            run: run.to_owned(),
            agent: agent.clone(),
            job: None,
            from: 0,
            records: Vec::new(),
        };
        let batches: Vec<_> = agents.iter().map(batch).collect();
        Self { path, store: None, running: batches.len(), batches, bytes: 0 }
    }

    fn add(&mut self, (part, record): PartRecord) {
        let is_last = matches!(record.record, Some(record::Record::Ended(_)));
        self.running = self.running.saturating_sub(usize::from(is_last));
        self.bytes += record.encoded_len();
        self.batches[part].records.push(record);
    }

    /// Takes all queued records. Returns false if no more can come.
    fn take(&mut self, queue: &Receiver<PartRecord>) -> bool {
        loop {
            match queue.try_recv() {
                Ok(next) => self.add(next),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Takes records for this time. Returns false if no more can come.
    fn take_for(&mut self, time: Duration, queue: &Receiver<PartRecord>) -> bool {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match queue.recv_timeout(left) {
                Ok(next) => self.add(next),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(left);
                    return false;
                }
            }
        }
    }

    /// Writes all records in one transaction. If this fails, none of them is written.
    fn write(&mut self) -> Result<(), StoreError> {
        let store = match &mut self.store {
            Some(store) => store,
            none => {
                let store = Store::open(&self.path)?;
                store.wait_for_others(LOCKED)?;
                none.insert(store)
            }
        };
        let filled = self.batches.iter().filter(|batch| !batch.records.is_empty());
        store.write(|writing| filled.cloned().try_for_each(|batch| writing.ingest(batch).map(drop)))??;
        for batch in &mut self.batches {
            batch.from += batch.records.drain(..).len() as u64;
        }
        self.bytes = 0;
        Ok(())
    }

    /// Returns the number of records that wait.
    fn records(&self) -> usize {
        self.batches.iter().map(|batch| batch.records.len()).sum()
    }

    fn describe(&self, error: &StoreError) -> String {
        match error {
            // These name the path.
            StoreError::Unusable(_) | StoreError::Damaged(_) | StoreError::NotOpened(..) => chain(error),
            error => format!("{}: {}", self.path.display(), chain(error)),
        }
    }

    /// Stores the summary of the run, which lists read. If this fails, it is computed when the run is listed.
    fn summarize(&mut self, run: &str) {
        let mut new = Vec::new();
        if let Some(store) = &mut self.store
            && let Ok(kept) = store.find(run)
            && summarize(store, &kept, &mut new).is_ok()
        {
            _ = store.summarize(&new);
        }
    }
}
