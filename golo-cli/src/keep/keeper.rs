//! The thread that writes records into the file, and how it went.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use golo::{
    cli::{RunCall, chain, say},
    engine::Options,
    wire,
};
use golo_proto::{
    engine::{self as pb, event::Event},
    results::{Begun, Ended, Record, record},
};

use super::{KeepArgs, machine};
use crate::store::{Batch, Store, place};

/// Records that wait to be written: some minutes of a disk that does not answer.
const WAITING: usize = 1024;
/// How long the end of a run waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of an id that tell a run from the others of one file.
const SHORT: usize = 8;

/// The first characters of a run's id: enough to call it by.
#[must_use]
pub fn short(run: &str) -> &str {
    run.char_indices().nth(SHORT).map_or(run, |(at, _)| &run[..at])
}

/// Takes what is to be kept. Whatever goes wrong is said once, and then nothing more is kept.
#[derive(Clone)]
pub struct Keeper {
    records: SyncSender<Record>,
    /// Whether nothing more can be kept, and that was said.
    has_failed: Arc<AtomicBool>,
}

/// The other end of a [`Keeper`], for once the run is over.
pub struct Keeping {
    run: String,
    db: Option<PathBuf>,
    is_quiet: bool,
    has_failed: Arc<AtomicBool>,
    /// Gives whether the run was kept to its end; the thread drops it in any case.
    is_done: Receiver<bool>,
}

impl Keeper {
    /// Begins to keep a run of the load test `name`, whose SHA-256 is `binary` where it is known.
    #[must_use]
    pub fn start(args: &KeepArgs, name: &str, binary: &str, call: &RunCall, options: &Options) -> (Self, Keeping) {
        let run = golo::new_sequence_id();
        let begun = begun(&run, name, binary, call, options);
        let (records, waiting) = sync_channel(WAITING);
        let (done, is_done) = sync_channel(1);
        let has_failed = Arc::<AtomicBool>::default();
        let keeper = Self { records, has_failed: Arc::clone(&has_failed) };
        let (agent, db, failed) = (begun.agent.clone(), args.db.clone(), Arc::clone(&has_failed));
        let batch = Batch { run: run.clone(), agent, job: None, from: 0, records: Vec::new() };
        let writing = move || {
            let written = write(db, batch, &waiting);
            let is_whole = written.unwrap_or_else(|error| {
                warn(&failed, &error);
                false
            });
            // Nobody waits for it any more where the run was given up.
            let _ = done.send(is_whole);
        };
        match thread::Builder::new().name("golo-keep".to_owned()).spawn(writing) {
            Ok(_) => keeper.keep(record::Record::Begun(begun)),
            Err(error) => warn(&has_failed, &format!("no thread is left: {error}")),
        }
        let keeping = Keeping { run, db: args.db.clone(), is_quiet: call.is_quiet(), has_failed, is_done };
        (keeper, keeping)
    }

    /// Keeps an event.
    pub fn event(&self, event: Event) {
        self.keep(record::Record::Event(wire::event(event)));
    }

    /// Keeps how the run ended.
    pub fn ended(&self, ended: Ended) {
        self.keep(record::Record::Ended(ended));
    }

    /// Never waits.
    fn keep(&self, record: record::Record) {
        if self.has_failed.load(Relaxed) {
            return;
        }
        let record = Record { at: wire::unix_nanoseconds(SystemTime::now()), record: Some(record) };
        if self.records.try_send(record).is_err() {
            warn(&self.has_failed, "the disk is too slow for it");
        }
    }
}

impl Keeping {
    /// Waits until everything is written, and says what the run can be called by.
    pub fn finish(self) {
        let Self { run, db, is_quiet, has_failed, is_done } = self;
        match is_done.recv_timeout(PATIENCE) {
            Ok(true) if !is_quiet => {
                let short = short(&run);
                // What the variable says, it says to `show` as well.
                let db = db.filter(|db| std::env::var_os("GOLO_DB").is_none_or(|variable| variable != db.as_os_str()));
                let db = db.map_or_else(String::new, |db| format!(" --db {}", db.display()));
                say(format_args!("kept as {short}: golo show {short}{db}"));
            }
            Err(RecvTimeoutError::Timeout) => {
                warn(&has_failed, &format!("its file could not be written within {} s", PATIENCE.as_secs()));
            }
            // What went wrong was said.
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// Says, the first time, why a run is not kept, or no further.
fn warn(has_failed: &AtomicBool, reason: &str) {
    if !has_failed.swap(true, Relaxed) {
        say(format_args!("golo: warning: the results are not kept, or not whole: {reason}; `--no-keep` keeps none"));
    }
}

fn begun(run: &str, name: &str, binary: &str, call: &RunCall, options: &Options) -> Begun {
    let plan = pb::Plan {
        needs: 1,
        load: Some(call.plan().into()),
        share: Some(options.share.into()),
        job_name: options.job_name.clone(),
        workers: u32::try_from(options.workers).unwrap_or(u32::MAX),
        seed: options.seed,
        outputs: false,
        speaks: pb::REVISION,
    };
    Begun {
        run: run.to_owned(),
        agent: machine(),
        job: run.to_owned(),
        load_test: name.to_owned(),
        plan: Some(plan),
        thresholds: call.thresholds().iter().map(ToString::to_string).collect(),
        binary: binary.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Writes records as they come, those that have come meanwhile together; gives whether the last of them told the run's end.
fn write(db: Option<PathBuf>, mut batch: Batch, waiting: &Receiver<Record>) -> Result<bool, String> {
    let place = place(db).map_err(|error| error.to_string())?;
    let mut store = Store::open(&place).map_err(|error| chain(&error))?;
    let mut has_ended = false;
    while let Ok(first) = waiting.recv() {
        batch.records = std::iter::once(first).chain(waiting.try_iter()).collect();
        has_ended = batch.records.iter().any(|record| matches!(record.record, Some(record::Record::Ended(_))));
        let kept = store.ingest(batch.clone()).map_err(|error| format!("{}: {}", place.display(), chain(&error)))?;
        batch.from = kept.next;
        if has_ended {
            break;
        }
    }
    Ok(has_ended)
}
