//! All that an agent has: its jobs, its load tests, and what it keeps of them on disk.
//!
//! ```text
//! DATA/binaries/SHA256            load tests
//! DATA/jobs/ID/job.json           what was asked for, and what became of it
//! DATA/jobs/ID/stderr             the last that the load test said
//! DATA/results.db                 what was measured: the tables of `golo run` and `golo collector`
//! DATA/golo-agent.lock            says that all of this is an agent's
//! DATA/uploads                    load tests that are coming
//! DATA/reserve                    room for the end of a job on a disk that is full
//! ```

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::StatusCode;
use golo::cli::say;
use golo_proto::results::{Ended, ended};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};

use super::{
    binaries::{Binaries, is_full, unwritten},
    folder::{self, DataError},
    job::Job,
    kept::{Kept, State},
    limits::JobLimits,
    queue::{Full, Queue, ROOM},
    request::Request,
    results::{Extent, Results},
};
use crate::{
    drive::run_end::RunEnd,
    http::server::{Refusal, Statuses},
    support::moments::now,
};

/// Bytes that are set aside for the end of a job.
const RESERVE: usize = 256 << 10;
/// Uploads that are written at a time; more wait for their turn.
const WRITERS: usize = 16;

/// What an agent is told.
#[derive(Debug)]
pub struct AgentOptions {
    /// What its parts of runs are called.
    pub name: String,
    /// Where it keeps everything.
    pub data: PathBuf,
    /// Most bytes of a load test.
    pub max_upload: u64,
    /// What jobs may ask.
    pub limits: JobLimits,
    /// How long records are kept that nobody waits for.
    pub keep: Duration,
    /// Whether a collector is to have them.
    pub has_collector: bool,
    /// What its server has answered.
    pub statuses: Statuses,
}

/// An agent.
pub struct Agent {
    /// What it was told.
    pub options: AgentOptions,
    /// Its load tests.
    pub binaries: Binaries,
    /// What its jobs measured.
    pub results: Results,
    /// Turns of uploads at the disk.
    pub writing: Semaphore,
    /// How many there were.
    pub uploads: AtomicU64,
    /// A job was queued.
    pub queued: Notify,
    /// There are more records.
    pub news: Notify,
    /// Whether it is to stop.
    pub stopping: watch::Sender<bool>,
    jobs: Mutex<Jobs>,
    /// Held as long as the agent lives, so that no other takes its data.
    _lock: File,
}

#[derive(Debug, Default)]
struct Jobs {
    queue: Queue,
    /// In the order in which they came.
    all: Vec<Arc<Job>>,
    next: u64,
}

impl Jobs {
    /// Says why a part of a run cannot be taken in.
    fn check(&self, run: &str, agent: &str) -> Result<(), Refusal> {
        if !self.queue.has_room() {
            return Err(full());
        }
        if self.all.iter().any(|job| job.change(|kept| kept.run == run && kept.agent == agent)) {
            let reason = format!("the run `{run}` has a part `{agent}` already: give another `agent`");
            return Err(Refusal::conflict(reason));
        }
        Ok(())
    }
}

fn full() -> Refusal {
    let reason = format!("{ROOM} jobs wait already: try again when one of them has begun");
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
}

impl Agent {
    /// Returns the agent whose data is in a folder, and the jobs whose end it has not kept yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be used, see [`DataError`].
    pub fn open(options: AgentOptions) -> Result<(Arc<Self>, Vec<Arc<Job>>), DataError> {
        let data = options.data.clone();
        let wrong = |error: io::Error| DataError::Failed(data.clone(), error);
        let lock = folder::take(&data)?;
        let binaries = Binaries::open(&data, options.max_upload).map_err(wrong)?;
        let results = Results::open(&data)?;
        let mut extents = results.extents()?;
        let mut jobs = Jobs::default();
        for folder in fs::read_dir(data.join("jobs")).map_err(wrong)? {
            let folder = folder.map_err(wrong)?.path();
            match Kept::read(&folder) {
                Ok(kept) => {
                    let swept = Extent { next: kept.records, has_ended: true };
                    let found = extents.remove(&kept.id).unwrap_or_default();
                    let extent = if kept.is_swept { swept } else { found };
                    jobs.all.push(Arc::new(Job::new(kept, folder, extent)));
                }
                Err(error) => say(format_args!("golo agent: `{}` is no job: {error}", folder.display())),
            }
        }
        jobs.all.sort_by_cached_key(|job| job.kept().number);
        jobs.next = jobs.all.last().map_or(0, |job| job.kept().number + 1);
        let mut cut_short = Vec::new();
        for job in &jobs.all {
            match job.state() {
                State::Queued => jobs.queue.restore(&job.id),
                state if !state.is_over() || !job.extent().has_ended || job.kept().records == 0 => {
                    cut_short.push(Arc::clone(job));
                }
                _ => {}
            }
        }
        let agent = Self {
            binaries,
            results,
            writing: Semaphore::new(WRITERS),
            uploads: AtomicU64::new(0),
            queued: Notify::new(),
            news: Notify::new(),
            stopping: watch::Sender::new(false),
            jobs: Mutex::new(jobs),
            _lock: lock,
            options,
        };
        agent.set_aside();
        Ok((Arc::new(agent), cut_short))
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All jobs, in the order in which they came.
    #[must_use]
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        self.lock().all.clone()
    }

    /// The job with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().all.iter().find(|job| job.id == id).cloned()
    }

    /// The job that runs.
    #[must_use]
    pub fn running(&self) -> Option<Arc<Job>> {
        let id = self.lock().queue.running()?.to_owned();
        self.find(&id)
    }

    /// Queues a job, on disk before anything else.
    ///
    /// # Errors
    ///
    /// Where it cannot be one, is beyond a limit, or has no room.
    pub fn queue(&self, asked: Value) -> Result<Arc<Job>, Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the agent stops"));
        }
        let request = Request::parse(&asked, &self.options.name).map_err(Refusal::bad)?;
        self.options.limits.check(&request.call, request.share).map_err(Refusal::bad)?;
        if self.binaries.find(&request.binary).is_none() {
            return Err(Refusal::bad(
                "`binary` is not here: it is what `/upload` answered, and has to be uploaded first",
            ));
        }
        self.lock().check(&request.run, &request.agent)?;
        let kept = self.kept(asked, &request);
        let folder = self.options.data.join("jobs").join(&kept.id);
        let job = Arc::new(Job::new(kept, folder.clone(), Extent::default()));
        let written = fs::create_dir(&folder).and_then(|()| job.save());
        let taken = written.map_err(|error| unwritten(&error)).and_then(|()| self.take_in(&job, &request));
        if let Err(refusal) = taken {
            _ = fs::remove_dir_all(&folder);
            return Err(refusal);
        }
        self.queued.notify_one();
        Ok(job)
    }

    fn take_in(&self, job: &Arc<Job>, request: &Request) -> Result<(), Refusal> {
        let mut jobs = self.lock();
        // Others may have come while it was written.
        jobs.check(&request.run, &request.agent)?;
        jobs.queue.add(&job.id).map_err(|Full| full())?;
        jobs.all.push(Arc::clone(job));
        Ok(())
    }

    fn kept(&self, asked: Value, request: &Request) -> Kept {
        let number = {
            let mut jobs = self.lock();
            jobs.next += 1;
            jobs.next - 1
        };
        let plan = request.call.plan();
        let length = plan.duration().map(|duration| duration.as_nanos());
        Kept {
            id: golo::new_sequence_id(),
            number,
            run: request.run.clone(),
            agent: request.agent.clone(),
            name: request.name.clone(),
            binary: request.binary.clone(),
            request: asked,
            plan: plan.to_string(),
            length: length.map(|length| u64::try_from(length).unwrap_or(u64::MAX)),
            share: (request.share.index(), request.share.of()),
            hold: request.hold,
            state: State::Queued,
            reason: String::new(),
            queued: now(),
            started: None,
            ended: None,
            elapsed: 0,
            requests: (0, 0),
            records: 0,
            for_collector: self.options.has_collector,
            committed: 0,
            committed_at: None,
            refused: None,
            refused_at: None,
            is_swept: false,
        }
    }

    /// The job whose turn it is.
    #[must_use]
    pub fn next(&self) -> Option<Arc<Job>> {
        let id = self.lock().queue.start()?;
        self.find(&id)
    }

    /// The job that ran is over.
    pub fn done(&self) {
        self.lock().queue.end();
    }

    /// Has a job stop; one that waits is over at once.
    pub async fn stop(self: &Arc<Self>, job: &Arc<Job>, reason: &'static str, run: RunEnd) {
        if self.lock().queue.remove(&job.id) {
            let reason = format!("{} before its turn came", run.reason().as_deref().unwrap_or(reason));
            let ended = run.of(Ended { state: ended::State::Cancelled.into(), ..Ended::default() });
            let ended = Ended { reason, ..ended };
            let (agent, job) = (Arc::clone(self), Arc::clone(job));
            // Whoever asked may go away; it is carried out all the same.
            _ = tokio::spawn(async move { agent.end(&job, ended).await }).await;
        } else if !job.state().is_over() {
            job.stop(reason, &run);
        }
    }

    /// Lists a job no more.
    pub(super) fn forget(&self, id: &str) {
        self.lock().all.retain(|job| job.id != id);
    }

    /// Counts an upload that is done.
    pub fn count_upload(&self) {
        self.uploads.fetch_add(1, Relaxed);
    }

    fn reserve(&self) -> PathBuf {
        self.options.data.join("reserve")
    }

    /// Keeps room for the end of a job. Where there is none, there is none.
    pub(super) fn set_aside(&self) {
        let write = |path: &Path| {
            if path.metadata().is_ok_and(|about| about.len() == RESERVE as u64) {
                return Ok(());
            }
            // Not zeros alone: some file systems keep no room for those.
            let bytes: Vec<u8> = (0..RESERVE).map(|number| (number % 251) as u8).collect();
            File::create(path).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        };
        if let Err(error) = write(&self.reserve())
            && is_full(&error)
        {
            _ = fs::remove_file(self.reserve());
        }
    }

    pub(super) fn release(&self) {
        _ = fs::remove_file(self.reserve());
    }
}
