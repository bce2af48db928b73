//! The thread that writes records into the store.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use golo::cli::{RunCall, chain, say};
use golo::engine::Options;
use golo::wire;
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::{Begun, Ended, Record, record};

use super::KeepArgs;
use crate::results::listed::summarize;
use crate::results::store::{Batch, Store, StoreError, database_path};
use crate::support::environment::machine;
use crate::support::moments::now;

/// Maximum number of queued records: enough for some minutes without a response from the disk.
const WAITING: usize = 1024;
/// Maximum time that the end of a run waits for the remaining records to be written.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of characters of a short run ID.
const SHORT: usize = 8;

/// Returns the first characters of a run's ID, enough to identify it in a store.
#[must_use]
pub fn short(run: &str) -> &str {
    run.char_indices().nth(SHORT).map_or(run, |(at, _)| &run[..at])
}

/// Handle for the records of a run. The first error is printed as a warning; after it, no more records are stored.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Records, each with the number of its part.
    records: SyncSender<(usize, Record)>,
    /// True once an error has been printed.
    has_failed: Arc<AtomicBool>,
}

/// The end of the writing thread, to be awaited after the run.
pub struct Keeping {
    run: String,
    db: Option<PathBuf>,
    is_quiet: bool,
    has_failed: Arc<AtomicBool>,
    /// Receives whether anything was stored. The thread drops the sender in any case.
    is_done: Receiver<bool>,
}

impl Keeper {
    /// Starts to store a run with one part per agent.
    #[must_use]
    pub fn start(args: &KeepArgs, run: &str, agents: Vec<String>, is_quiet: bool) -> (Self, Keeping) {
        let (records, waiting) = sync_channel(WAITING);
        let (done, is_done) = sync_channel(1);
        let has_failed = Arc::<AtomicBool>::default();
        let (run, db, failed) = (run.to_owned(), args.db.clone(), Arc::clone(&has_failed));
        let keeping =
            Keeping { run: run.clone(), db: db.clone(), is_quiet, has_failed: Arc::clone(&has_failed), is_done };
        let writing = move || {
            let is_kept = write(db, &run, &agents, &waiting).unwrap_or_else(|error| {
                warn(&failed, &error);
                false
            });
            // The receiver may have been dropped.
            let _ = done.send(is_kept);
        };
        if let Err(error) = thread::Builder::new().name("golo-keep".to_owned()).spawn(writing) {
            warn(&has_failed, &format!("a thread cannot be started: {error}"));
        }
        (Self { records, has_failed }, keeping)
    }

    /// Starts to store a run of the load test `name` that this machine runs alone, under the ID `run`.
    #[must_use]
    pub fn start_alone(args: &KeepArgs, run: String, name: &str, call: &RunCall) -> (Self, Keeping) {
        let begun = begun(run, name, call, &call.options(name));
        let (keeper, keeping) = Self::start(args, &begun.run, vec![begun.agent.clone()], call.is_quiet());
        keeper.record(record::Record::Begun(begun));
        (keeper, keeping)
    }

    /// Stores an event of the only part.
    pub fn event(&self, event: Event) {
        self.record(record::Record::Event(wire::event(event)));
    }

    /// Stores the end of the only part.
    pub fn ended(&self, ended: Ended) {
        self.record(record::Record::Ended(ended));
    }

    fn record(&self, record: record::Record) {
        self.keep(0, Record { at: now(), record: Some(record) });
    }

    /// Queues the next record of a part. Never blocks.
    pub fn keep(&self, part: usize, record: Record) {
        if !self.has_failed.load(Relaxed) && self.records.try_send((part, record)).is_err() {
            warn(&self.has_failed, "the disk is too slow");
        }
    }
}

impl Keeping {
    /// Waits until all records are written and prints the ID of the stored run.
    pub fn finish(self) {
        let Self { run, db, is_quiet, has_failed, is_done } = self;
        match is_done.recv_timeout(PATIENCE) {
            Ok(true) if !is_quiet => {
                let short = short(&run);
                // `golo show` reads `GOLO_DB` too, so `--db` can be left out if both name the same file.
                let db = db.filter(|db| std::env::var_os("GOLO_DB").is_none_or(|variable| variable != db.as_os_str()));
                let db = db.map_or_else(String::new, |db| format!(" --db {}", db.display()));
                say(format_args!("stored as {short}: golo show {short}{db}"));
            }
            Err(RecvTimeoutError::Timeout) => {
                warn(&has_failed, &format!("the file could not be written within {} s", PATIENCE.as_secs()));
            }
            // Nothing to show, or the error has been printed.
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// Prints the first warning that a run is not stored, or only in part.
fn warn(has_failed: &AtomicBool, reason: &str) {
    if !has_failed.swap(true, Relaxed) {
        say(format_args!(
            "golo: warning: the results are not stored, or only in part: {reason}; `--no-keep` turns storing off"
        ));
    }
}

fn begun(run: String, name: &str, call: &RunCall, options: &Options) -> Begun {
    let plan = pb::Plan {
        needs: 1,
        load: Some(call.plan().into()),
        share: Some(options.share.into()),
        job_name: options.job_name.clone(),
        workers: u32::try_from(options.workers).unwrap_or(u32::MAX),
        seed: options.seed,
        speaks: pb::REVISION,
        max_lag: options.max_lag.map(wire::nanoseconds),
        // The thresholds below contain what is selected, `Planned` follows with the scenarios, and samples of failed
        // requests are in the records.
        ..pb::Plan::default()
    };
    Begun {
        agent: machine(),
        job: run.clone(),
        run,
        load_test: name.to_owned(),
        plan: Some(plan),
        thresholds: call.thresholds().iter().map(ToString::to_string).collect(),
        // Hashing the file only for this would be too slow.
        binary: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Writes records as they arrive, all queued ones in one transaction, until every part has ended or the sender is gone.
/// Returns whether there were any records. Other writers may store the same run in the same file; records that are
/// already stored are skipped.
fn write(
    db: Option<PathBuf>,
    run: &str,
    agents: &[String],
    waiting: &Receiver<(usize, Record)>,
) -> Result<bool, String> {
    let Ok(mut first) = waiting.recv() else { return Ok(false) };
    let path = database_path(db).map_err(|error| error.to_string())?;
    let mut store = Store::open(&path).map_err(|error| chain(&error))?;
    let failed = |error: StoreError| format!("{}: {}", path.display(), chain(&error));
    let batch =
        |agent: &String| Batch { run: run.to_owned(), agent: agent.clone(), job: None, from: 0, records: Vec::new() };
    let mut batches: Vec<Batch> = agents.iter().map(batch).collect();
    let mut running = agents.len();
    loop {
        for (part, record) in std::iter::once(first).chain(waiting.try_iter()) {
            let is_last = matches!(record.record, Some(record::Record::Ended(_)));
            running = running.saturating_sub(usize::from(is_last));
            batches[part].records.push(record);
        }
        let filled = batches.iter().filter(|batch| !batch.records.is_empty());
        let kept = store.write(|writing| filled.cloned().try_for_each(|batch| writing.ingest(batch).map(drop)));
        kept.and_then(|kept| kept).map_err(failed)?;
        for batch in &mut batches {
            batch.from += batch.records.drain(..).len() as u64;
        }
        if running == 0 {
            break;
        }
        match waiting.recv() {
            Ok(next) => first = next,
            Err(_) => break,
        }
    }
    // Lists read the summary. If this fails, it is computed when the run is listed.
    let mut new = Vec::new();
    if let Ok(kept) = store.find(run)
        && summarize(&store, &kept, &mut new).is_ok()
    {
        _ = store.summarize(&new);
    }
    Ok(true)
}
