//! The thread that writes records into the file, and how it went.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
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

use super::KeepArgs;
use crate::{
    results::{
        listed::summarize,
        store::{Batch, Store, StoreError, place},
    },
    support::{environment::machine, moments::now},
};

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
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Each with the number of the part that tells it.
    records: SyncSender<(usize, Record)>,
    /// Whether nothing more can be kept, and that was said.
    has_failed: Arc<AtomicBool>,
}

/// The other end of a [`Keeper`], for once the run is over.
pub struct Keeping {
    run: String,
    db: Option<PathBuf>,
    is_quiet: bool,
    has_failed: Arc<AtomicBool>,
    /// Gives whether anything was kept; the thread drops it in any case.
    is_done: Receiver<bool>,
}

impl Keeper {
    /// Begins to keep a run of which each of some agents delivers a part.
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
            // Nobody waits for it any more where the run was given up.
            let _ = done.send(is_kept);
        };
        if let Err(error) = thread::Builder::new().name("golo-keep".to_owned()).spawn(writing) {
            warn(&has_failed, &format!("no thread is left: {error}"));
        }
        (Self { records, has_failed }, keeping)
    }

    /// Begins to keep a run that this machine delivers alone, of the load test `name`.
    #[must_use]
    pub fn start_alone(args: &KeepArgs, name: &str, call: &RunCall) -> (Self, Keeping) {
        let begun = begun(golo::new_sequence_id(), name, call, &call.options(name));
        let (keeper, keeping) = Self::start(args, &begun.run, vec![begun.agent.clone()], call.is_quiet());
        keeper.tell(record::Record::Begun(begun));
        (keeper, keeping)
    }

    /// Keeps an event of the only part.
    pub fn event(&self, event: Event) {
        self.tell(record::Record::Event(wire::event(event)));
    }

    /// Keeps how the only part ended.
    pub fn ended(&self, ended: Ended) {
        self.tell(record::Record::Ended(ended));
    }

    fn tell(&self, record: record::Record) {
        self.keep(0, Record { at: now(), record: Some(record) });
    }

    /// Keeps the next record of a part. Never waits.
    pub fn keep(&self, part: usize, record: Record) {
        if !self.has_failed.load(Relaxed) && self.records.try_send((part, record)).is_err() {
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
            // There is nothing to show, or what went wrong was said.
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

fn begun(run: String, name: &str, call: &RunCall, options: &Options) -> Begun {
    let plan = pb::Plan {
        needs: 1,
        load: Some(call.plan().into()),
        share: Some(options.share.into()),
        job_name: options.job_name.clone(),
        workers: u32::try_from(options.workers).unwrap_or(u32::MAX),
        seed: options.seed,
        outputs: false,
        speaks: pb::REVISION,
        max_lag: options.max_lag.map(wire::nanoseconds),
        // The thresholds below say which.
        selected_routes: Vec::new(),
    };
    Begun {
        agent: machine(),
        job: run.clone(),
        run,
        load_test: name.to_owned(),
        plan: Some(plan),
        thresholds: call.thresholds().iter().map(ToString::to_string).collect(),
        // It is not read for that alone.
        binary: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Writes records as they come, those that have come meanwhile together, until every part has told its end or nothing more
/// comes; gives whether there were any. Others may keep the same run in the same file: what they have kept is passed over.
fn write(
    db: Option<PathBuf>,
    run: &str,
    agents: &[String],
    waiting: &Receiver<(usize, Record)>,
) -> Result<bool, String> {
    let Ok(mut first) = waiting.recv() else { return Ok(false) };
    let place = place(db).map_err(|error| error.to_string())?;
    let mut store = Store::open(&place).map_err(|error| chain(&error))?;
    let failed = |error: StoreError| format!("{}: {}", place.display(), chain(&error));
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
        let told = batches.iter().filter(|batch| !batch.records.is_empty());
        let kept = store.write(|writing| told.cloned().try_for_each(|batch| writing.ingest(batch).map(drop)));
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
    // Lists have it at hand then; where that cannot be, it is worked out once it is listed.
    let mut new = Vec::new();
    if let Ok(kept) = store.find(run)
        && summarize(&store, &kept, &mut new).is_ok()
    {
        _ = store.summarize(&new);
    }
    Ok(true)
}
