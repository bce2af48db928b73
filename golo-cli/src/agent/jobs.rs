//! The agent's state: its jobs, its load tests and its data folder.
//!
//! ```text
//! DATA/binaries/SHA256            load tests
//! DATA/files/SHA256               files of test data
//! DATA/jobs/ID/job.json           the job's request and state
//! DATA/jobs/ID/data               files of test data by name, while the job is running
//! DATA/jobs/ID/stderr             the last output of the load test on stderr
//! DATA/results.db                 the results, in the tables of `golo run` and `golo collector`
//! DATA/golo-agent.lock            marks the folder as an agent's data folder
//! DATA/uploads                    uploads in progress
//! DATA/reserve                    reserved space, to write the end of a job when the disk is full
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use golo::cli::say;
use golo::report::OutputArg;
use golo::wire::nanoseconds;
use golo_proto::results::{Ended, ended};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};

use super::folder::{self, DataError};
use super::job::Job;
use super::kept::{Kept, State};
use super::limits::JobLimits;
use super::queue::{Full, Queue, ROOM};
use super::request::Request;
use super::results::{Extent, Results};
use super::runner::Drive;
use super::uploads::{Content, Uploads, is_full, unwritten};
use crate::drive::run_end::RunEnd;
use crate::http::server::{Refusal, Statuses};
use crate::process::signature::Trust;
use crate::support::moments::now;

/// Number of bytes reserved for the end of a job.
const RESERVE: usize = 256 << 10;
/// Maximum number of uploads that write to the disk at a time; others wait.
const WRITERS: usize = 16;

/// Options of an agent.
#[derive(Debug)]
pub struct AgentOptions {
    /// Name of its parts of runs, unless a job sets another.
    pub name: String,
    /// Labels by which clients choose agents.
    pub labels: BTreeMap<String, String>,
    /// Data folder.
    pub data: PathBuf,
    /// Maximum size of an upload in bytes.
    pub max_upload: u64,
    /// Limits on jobs.
    pub limits: JobLimits,
    /// Keys of which one must have signed a load test.
    pub trust: Trust,
    /// Time for which records are kept after the collector has them or has refused them; without a collector, after the
    /// end of the job.
    pub keep: Duration,
    /// True if records are sent to a collector.
    pub has_collector: bool,
    /// Counts of the HTTP responses by status.
    pub statuses: Statuses,
    /// Receivers of the metrics of each job.
    pub receivers: Vec<OutputArg>,
    /// Runs the load test of each job: [`runner::drive`](super::runner::drive) does so in a process of its own.
    pub drive: Drive,
}

/// An agent.
pub struct Agent {
    /// Options.
    pub options: AgentOptions,
    /// ID of the data folder.
    pub id: String,
    /// Uploaded load tests.
    pub binaries: Uploads,
    /// Uploaded files of test data.
    pub files: Uploads,
    /// Results of the jobs.
    pub results: Results,
    /// Permits of uploads to write to the disk.
    pub writing: Semaphore,
    /// Number of finished uploads.
    pub uploads: AtomicU64,
    /// Notified when a job has been queued.
    pub queued: Notify,
    /// Notified when there are new records.
    pub news: Notify,
    /// Set to true once the agent is to stop.
    pub stopping: watch::Sender<bool>,
    jobs: Mutex<Jobs>,
    /// Lock on the data folder.
    _lock: File,
}

#[derive(Debug, Default)]
struct Jobs {
    queue: Queue,
    /// All listed jobs, the oldest first.
    all: Vec<Arc<Job>>,
    next: u64,
}

impl Jobs {
    /// Checks that the queue has room and that the run has no part of this name. Returns the job if this very request has
    /// queued it already.
    fn check(&self, Request { run, agent, request, .. }: &Request) -> Result<Option<Arc<Job>>, Refusal> {
        let is_same = |job: &&Arc<Job>| job.change(|kept| kept.run == *run && kept.agent == *agent);
        if let Some(job) = self.all.iter().find(is_same) {
            if request.is_some() && job.change(|kept| kept.request["request"].as_str() == request.as_deref()) {
                return Ok(Some(Arc::clone(job)));
            }
            let reason = format!("the run `{run}` already has a part `{agent}`: set another `agent`");
            return Err(Refusal::conflict(reason));
        }
        if self.queue.has_room() { Ok(None) } else { Err(full()) }
    }
}

fn full() -> Refusal {
    let reason = format!("{ROOM} jobs are already waiting: try again when one of them has started");
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, reason)
}

impl Agent {
    /// Opens the data folder. Returns the agent, and the jobs whose end must still be written.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be used.
    pub fn open(options: AgentOptions) -> Result<(Arc<Self>, Vec<Arc<Job>>), DataError> {
        let data = options.data.clone();
        let wrong = |error: io::Error| DataError::Failed(data.clone(), error);
        let (lock, id) = folder::take(&data)?;
        let uploads = |content| Uploads::open(&data, content, options.max_upload).map_err(wrong);
        let (binaries, files) = (uploads(Content::LoadTests)?, uploads(Content::Data)?);
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
                Err(error) => say(format_args!("golo agent: cannot read the job in `{}`: {error}", folder.display())),
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
            files,
            results,
            writing: Semaphore::new(WRITERS),
            uploads: AtomicU64::new(0),
            queued: Notify::new(),
            news: Notify::new(),
            stopping: watch::Sender::new(false),
            jobs: Mutex::new(jobs),
            id,
            _lock: lock,
            options,
        };
        agent.set_aside();
        Ok((Arc::new(agent), cut_short))
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all listed jobs, the oldest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<Arc<Job>> {
        self.lock().all.clone()
    }

    /// Returns the job with this ID.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Job>> {
        self.lock().all.iter().find(|job| job.id == id).cloned()
    }

    /// Returns the running job.
    #[must_use]
    pub fn running(&self) -> Option<Arc<Job>> {
        let id = self.lock().queue.running()?.to_owned();
        self.find(&id)
    }

    /// Queues a job. It is written to disk first. A request that is repeated with the same ID returns the job of the first
    /// one.
    ///
    /// # Errors
    ///
    /// Returns an error if the request is invalid, exceeds a limit or names a file that was not uploaded, if the load
    /// test is not signed by a trusted key, if the run already has this part, if the queue is full, if the disk cannot be
    /// written, or if the agent is stopping.
    pub fn queue(self: &Arc<Self>, asked: Value) -> Result<Arc<Job>, Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping"));
        }
        let request = Request::parse(&asked, &self.options.name).map_err(Refusal::bad)?;
        self.options.limits.check(&request.call, &request.params, request.share).map_err(Refusal::bad)?;
        let binary = self.binaries.find(&request.binary).ok_or_else(|| {
            Refusal::bad("`binary` is unknown: upload the load test first, and use the `binary` that `/upload` returns")
        })?;
        let trusted = self.options.trust.check(&binary, request.signature.as_deref());
        trusted.map_err(|error| Refusal::new(StatusCode::FORBIDDEN, error.to_string()))?;
        if let Some((name, _)) = request.data.iter().find(|(_, hash)| self.files.find(hash).is_none()) {
            let reason = format!(
                "`data`: the file for `{name}` is unknown: upload it first, and use the `file` that `/files` returns"
            );
            return Err(Refusal::bad(reason));
        }
        if let Some(job) = self.lock().check(&request)? {
            return Ok(job);
        }
        let kept = self.kept(asked, &request);
        let folder = self.options.data.join("jobs").join(&kept.id);
        let job = Arc::new(Job::new(kept, folder.clone(), Extent::default()));
        let written = fs::create_dir(&folder).and_then(|()| job.save());
        let taken = written.map_err(|error| unwritten(&error)).and_then(|()| self.take_in(&job, &request));
        if !matches!(taken, Ok(None)) {
            _ = fs::remove_dir_all(&folder);
        }
        if let Some(known) = taken? {
            return Ok(known);
        }
        self.watch_lease(&job);
        self.queued.notify_one();
        Ok(job)
    }

    /// Adds a job to the queue. Returns another one if this request has queued that meanwhile.
    fn take_in(&self, job: &Arc<Job>, request: &Request) -> Result<Option<Arc<Job>>, Refusal> {
        let mut jobs = self.lock();
        // Other jobs may have been queued while this one was written.
        if let Some(known) = jobs.check(request)? {
            return Ok(Some(known));
        }
        jobs.queue.add(&job.id).map_err(|Full| full())?;
        jobs.all.push(Arc::clone(job));
        Ok(None)
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
            data: request.data.clone(),
            request: asked,
            plan: plan.to_string(),
            length: length.map(|length| u64::try_from(length).unwrap_or(u64::MAX)),
            share: (request.share.index(), request.share.of()),
            hold: request.hold,
            lease: request.lease.map(nanoseconds),
            state: State::Queued,
            reason: String::new(),
            queued: now(),
            started: None,
            ended: None,
            elapsed: 0,
            requests: (0, 0),
            interrupted: 0,
            records: 0,
            for_collector: self.options.has_collector,
            committed: 0,
            committed_at: None,
            refused: None,
            missing: None,
            refused_at: None,
            is_swept: false,
        }
    }

    /// Takes the next job from the queue, unless one is running.
    #[must_use]
    pub fn next(&self) -> Option<Arc<Job>> {
        let id = self.lock().queue.start()?;
        self.find(&id)
    }

    /// Marks the running job as over, so that the next one can start.
    pub fn done(&self) {
        self.lock().queue.end();
    }

    /// Stops a job. A queued job is cancelled at once.
    pub async fn stop(self: &Arc<Self>, job: &Arc<Job>, reason: &'static str, run: RunEnd) {
        if self.withdraw_queued(job) {
            let reason = format!("{} before the job started", run.reason().as_deref().unwrap_or(reason));
            let ended = run.of(Ended { state: ended::State::Cancelled.into(), ..Ended::default() });
            let ended = Ended { reason, ..ended };
            let (agent, job) = (Arc::clone(self), Arc::clone(job));
            // In a task of its own: a client that disconnects must not interrupt it.
            _ = tokio::spawn(async move { agent.end(&job, ended).await }).await;
        } else if !job.state().is_over() {
            job.stop(reason, &run);
        }
    }

    /// Removes a job from the queue. Returns false if it does not wait there.
    pub(super) fn withdraw_queued(&self, job: &Job) -> bool {
        self.lock().queue.remove(&job.id)
    }

    /// Removes a job from the list.
    pub(super) fn forget(&self, id: &str) {
        self.lock().all.retain(|job| job.id != id);
    }

    /// Counts a finished upload.
    pub fn count_upload(&self) {
        self.uploads.fetch_add(1, Relaxed);
    }

    fn reserve(&self) -> PathBuf {
        self.options.data.join("reserve")
    }

    /// Reserves space for the end of a job by writing a file. Does without if the disk is full.
    pub(super) fn set_aside(&self) {
        let write = |path: &Path| {
            if path.metadata().is_ok_and(|about| about.len() == RESERVE as u64) {
                return Ok(());
            }
            // Not only zeros: some file systems do not allocate space for them.
            let bytes: Vec<u8> = (0..RESERVE).map(|number| (number % 251) as u8).collect();
            File::create(path).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        };
        if let Err(error) = write(&self.reserve())
            && is_full(&error)
        {
            _ = fs::remove_file(self.reserve());
        }
    }

    /// Frees the reserved space.
    pub(super) fn release(&self) {
        _ = fs::remove_file(self.reserve());
    }
}
