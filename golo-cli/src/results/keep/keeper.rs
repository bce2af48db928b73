//! The records of a run that are to be stored, and the end of the storing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use golo::cli::{RunCall, say};
use golo::engine::Options;
use golo::report::Written;
use golo::wire;
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::{Begun, Ended, Record, record};
use tokio::time::{Instant, sleep};

use super::KeepArgs;
use super::storing::{End, Storing};
use super::writing::{PartRecord, write};
use crate::support::environment::machine;
use crate::support::moments::now;

/// Maximum number of queued records: enough for some minutes without a response from the disk.
const WAITING: usize = 1024;
/// Maximum number of queued records of each part, if there are many parts: all of them report at the same time.
const WAITING_OF_EACH: usize = 8;
/// Pause before another look for room in the queue.
const FULL: Duration = Duration::from_millis(5);
/// Maximum time that the end of a run waits for the remaining records to be written, and a record for room in the queue.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of characters of a short run ID.
const SHORT: usize = 8;
/// Kind of the store in the list of written files.
const KIND: &str = "store";

/// Returns the first characters of a run's ID, enough to identify it in a store.
#[must_use]
pub fn short(run: &str) -> &str {
    run.char_indices().nth(SHORT).map_or(run, |(at, _)| &run[..at])
}

/// Handle for the records of a run. Records that cannot be written at the moment wait in memory. Once records are lost,
/// no more are stored.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Records, each with the number of its part.
    records: SyncSender<PartRecord>,
    storing: Arc<Storing>,
}

/// The end of the storing, to be awaited after the run.
#[derive(Debug, Clone)]
pub struct Keeping {
    run: String,
    db: Option<PathBuf>,
    is_quiet: bool,
    storing: Arc<Storing>,
}

impl Keeper {
    /// Starts to store a run with one part per agent.
    #[must_use]
    pub fn start(args: &KeepArgs, run: &str, agents: Vec<String>, is_quiet: bool) -> (Self, Keeping) {
        let (records, queue) = sync_channel(WAITING.max(WAITING_OF_EACH * agents.len()));
        let storing = Arc::<Storing>::default();
        let (run, db, shared) = (run.to_owned(), args.db.clone(), Arc::clone(&storing));
        let keeping = Keeping { run: run.clone(), db: db.clone(), is_quiet, storing: Arc::clone(&storing) };
        let writing = move || {
            let written = write(db, &run, &agents, &queue, &shared);
            shared.end(written.map_or_else(End::Missing, |is_kept| End::Stored { is_empty: !is_kept }));
        };
        if let Err(error) = thread::Builder::new().name("golo-keep".to_owned()).spawn(writing) {
            storing.end(End::Missing(format!("a thread cannot be started: {error}")));
        }
        (Self { records, storing }, keeping)
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

    /// Queues the next record of a part once there is room for it, within 10 s. The records of a run that is followed from
    /// its beginning arrive faster than the disk takes them.
    pub async fn keep_in_turn(&self, part: usize, record: Record) {
        let until = Instant::now() + PATIENCE;
        let mut next = (part, record);
        while !self.storing.has_failed() {
            next = match self.records.try_send(next) {
                Err(TrySendError::Full(next)) if Instant::now() < until => next,
                Ok(()) => return,
                Err(_) => return self.storing.end(End::Missing("the disk is too slow".to_owned())),
            };
            sleep(FULL).await;
        }
    }

    /// Queues the next record of a part. Never blocks.
    pub fn keep(&self, part: usize, record: Record) {
        if !self.storing.has_failed() && self.records.try_send((part, record)).is_err() {
            self.storing.end(End::Missing("the disk is too slow".to_owned()));
        }
    }
}

impl Keeping {
    /// Waits until all records are written. Returns the store if records are missing in it. All keepers must have been
    /// dropped, or have received the last record of each part.
    #[must_use]
    pub fn settle(&self) -> Option<Written> {
        let End::Missing(reason) = self.storing.wait(PATIENCE) else { return None };
        let path = self.storing.path().map_or_else(|| "no database".to_owned(), |path| path.display().to_string());
        let remark = Some(format!("not stored, or only in part: {reason}"));
        Some(Written { kind: KIND, path, error: None, remark })
    }

    /// Waits until all records are written and prints the ID of the stored run.
    pub fn finish(self) {
        let is_stored = self.storing.wait(PATIENCE) == End::Stored { is_empty: false };
        let Self { run, db, is_quiet, .. } = self;
        if is_stored && !is_quiet {
            let short = short(&run);
            // `golo show` reads `GOLO_DB` too, so `--db` can be left out if both name the same file.
            let db = db.filter(|db| std::env::var_os("GOLO_DB").is_none_or(|variable| variable != db.as_os_str()));
            let db = db.map_or_else(String::new, |db| format!(" --db {}", db.display()));
            say(format_args!("stored as {short}: golo show {short}{db}"));
        }
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
