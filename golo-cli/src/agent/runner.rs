//! Runs jobs, one after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{iter, thread};

use golo::cli::{chain, say, start_runtime};
use golo::engine::plan::Plan;
use golo::report::{MetricsOutput, OutputArg};
use golo::run_loop::Order;
use golo_proto::engine::{Event, event};
use golo_proto::results::{Ended, ended, record};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::data;
use super::ending::record as now;
use super::job::{Job, Stop};
use super::jobs::Agent;
use super::kept::KeepError;
use super::request::Request;
use crate::drive::driven;
use crate::drive::engine_client::PlanCheck;
use crate::outputs::{self, exports::Hurry, frame::RunLabels};
use crate::process::load_test::LoadTest;
use crate::results::pieces::divide;
use crate::results::store::StoreError;
use crate::support::environment::variable;
use crate::support::failure::Failure;

/// Reason of a job that ends because its agent was stopped.
pub(super) const STOPPED: &str = "the agent was stopped";
/// Maximum number of commands that the engine has not received yet.
const COMMANDS: usize = 64;
/// Threads that drive a job.
const THREADS: usize = 2;
/// Environment variable with the allowed targets of a load test.
const TARGETS: &str = "GOLO_ALLOW_TARGETS";

/// Runs the load test of a job, and returns a receiver of how it ended. Does not block.
pub type Drive = fn(driven::Job, mpsc::Receiver<Order>, Events) -> Result<oneshot::Receiver<Ended>, Failure>;

/// Receives the events of a job. The job ends once all clones are dropped.
#[derive(Debug, Clone)]
pub struct Events {
    job: Arc<Job>,
    sender: Sender<Event>,
}

impl Events {
    /// Adds an event to the results of the job.
    pub fn add(&self, mut event: Event) {
        self.job.note_clock(&mut event);
        self.job.note(&event);
        // The receiver is dropped if records cannot be written; then the job is stopped.
        _ = self.sender.send(event);
    }
}

/// Runs queued jobs until the agent is to stop and the running job is over.
pub(super) async fn work(agent: Arc<Agent>) {
    let mut stopping = agent.stopping.subscribe();
    while !*stopping.borrow() {
        let Some(job) = agent.next() else {
            tokio::select! {
                () = agent.queued.notified() => {}
                _ = stopping.changed() => {}
            }
            continue;
        };
        let ended = run(&agent, &job).await.unwrap_or_else(|failure| failed(failure.into()));
        agent.end(&job, ended).await;
        agent.done();
    }
}

/// Returns the end of a job that failed.
fn failed(reason: String) -> Ended {
    Ended { state: ended::State::Failed.into(), reason, ..Ended::default() }
}

/// Runs a job and returns its end. Returns an error if it cannot be run.
async fn run(agent: &Arc<Agent>, job: &Arc<Job>) -> Result<Ended, Failure> {
    let (commands, told) = mpsc::channel(COMMANDS);
    job.begin(commands);
    if *agent.stopping.borrow() {
        job.stop_once(STOPPED);
    }
    let mut driving = driven_job(agent, job)?;
    driving.folder = data_folder(agent, job).await?;
    let begun = on_a_thread(agent, job, |agent, job| {
        job.save()?;
        Ok(agent.results.append(job, vec![agent.begun(job)])?)
    });
    let unkept = |error: Failure| format!("the results cannot be stored: {error}");
    begun.await.map_err(|error| error.to_string())?.map_err(unkept)?;
    agent.news.notify_one();
    let (events, come) = channel();
    let keeping = on_a_thread(agent, job, move |agent, job| {
        // Load without results is useless.
        keep(agent, job, &come).inspect_err(|_| job.stop_once("the results cannot be stored"))?;
        Ok(())
    });
    let events = Events { job: Arc::clone(job), sender: events };
    let ended = (agent.options.drive)(driving, told, events)?.await;
    let ended = ended.unwrap_or_else(|_| failed("the thread that drives the job ended unexpectedly".to_owned()));
    Ok(match keeping.await.unwrap_or_else(|error| Err(error.to_string().into())) {
        Err(error) => Ended {
            state: ended::State::Failed.into(),
            reason: format!("the results cannot be stored: {error}"),
            ..ended
        },
        Ok(()) => with_reason(ended, job),
    })
}

/// Runs `keep` on a thread that may block. Errors are returned as text.
fn on_a_thread(
    agent: &Arc<Agent>,
    job: &Arc<Job>,
    keep: impl FnOnce(&Agent, &Job) -> Result<(), KeepError> + Send + 'static,
) -> JoinHandle<Result<(), Failure>> {
    let (agent, job) = (Arc::clone(agent), Arc::clone(job));
    spawn_blocking(move || keep(&agent, &job).map_err(|error| chain(&error).into()))
}

/// Commits events until the sender is dropped. Events that arrive during a commit are committed together.
fn keep(agent: &Agent, job: &Job, events: &Receiver<Event>) -> Result<(), StoreError> {
    while let Ok(first) = events.recv() {
        let come = iter::once(first).chain(events.try_iter()).filter(is_kept);
        let records: Vec<_> = come.flat_map(|event| divide(now(record::Record::Event(event)))).collect();
        if !records.is_empty() {
            agent.results.append(job, records)?;
            agent.news.notify_one();
        }
    }
    Ok(())
}

/// Returns true if an event belongs to the results of the run.
fn is_kept(event: &Event) -> bool {
    match &event.event {
        None | Some(event::Event::Accepted(_) | event::Event::Outputs(_)) => false,
        Some(event::Event::Adjusted(adjusted)) => adjusted.refused.is_empty(),
        Some(_) => true,
    }
}

/// Adds the reason of a stop and the end of the run, which the engine does not know.
fn with_reason(ended: Ended, job: &Job) -> Ended {
    let Some(Stop { reason, run, is_lease_over }) = job.stop_asked() else { return ended };
    run.of(match (ended.state(), &job.lease) {
        (ended::State::Cancelled, Some(lease)) if is_lease_over => lease.end_of_job(ended),
        (ended::State::Cancelled, _) => Ended { reason: reason.to_owned(), ..ended },
        (ended::State::Completed | ended::State::Failed, _) => ended,
    })
}

/// Prepares a job for the driver.
fn driven_job(agent: &Agent, job: &Arc<Job>) -> Result<driven::Job, Failure> {
    let kept = job.kept();
    let mut request = Request::parse(&kept.request, &kept.agent)?;
    // The agent may have been restarted with other limits and keys.
    agent.options.limits.check(&request.call, &request.params, request.share)?;
    let path = agent.binaries.find(&kept.binary).ok_or("the load test has been deleted: upload it again")?;
    agent.options.trust.check(&path, request.signature.as_deref()).map_err(|error| error.to_string())?;
    let mut params = std::mem::take(&mut request.params);
    if !agent.options.limits.targets.is_empty() {
        params.push((TARGETS.to_owned(), agent.options.limits.targets.join(",")));
    }
    let load_test = LoadTest { name: kept.name, path };
    let Request { call, share, limits, hold, .. } = request;
    // A client that renews the lease may hold the job for as long as it likes.
    let held = hold.then_some(if job.lease.is_some() { Duration::MAX } else { driven::HELD });
    let allowed = agent.options.limits.clone();
    let check: PlanCheck =
        Arc::new(move |plan: &Plan| allowed.check_plan(plan, share).map_err(|failure| failure.to_string()));
    let exchange = Arc::clone(&job.exchange);
    let labels = RunLabels {
        run: kept.run,
        job: call.options(&load_test.name).job_name,
        load_test: load_test.name.clone(),
        agent: Some(kept.agent),
    };
    let outputs = exports(agent, job, labels);
    Ok(driven::Job {
        load_test,
        folder: None,
        call,
        params,
        share,
        limits,
        check: Some(check),
        exchange,
        held,
        outputs,
    })
}

/// Opens the receivers of a job's metrics. A job runs without those that cannot be opened.
fn exports(agent: &Agent, job: &Arc<Job>, labels: RunLabels) -> Vec<Box<dyn MetricsOutput>> {
    let receivers = agent.options.receivers.iter().filter_map(OutputArg::receiver);
    let job = Arc::clone(job);
    let hurry = Hurry::of_job(move || job.stop_asked().is_some());
    match outputs::open(receivers, labels, variable, hurry) {
        Ok(exports) => exports.into_iter().map(|exports| Box::new(exports) as Box<dyn MetricsOutput>).collect(),
        Err(failure) => {
            say(format_args!("golo agent: the metrics of this job are not sent: {failure}"));
            Vec::new()
        }
    }
}

/// Creates the folder in which a job's load test finds its files of test data. Returns `None` if there are none.
async fn data_folder(agent: &Arc<Agent>, job: &Arc<Job>) -> Result<Option<PathBuf>, Failure> {
    let files = job.kept().data;
    if files.is_empty() {
        return Ok(None);
    }
    let (agent, folder) = (Arc::clone(agent), job.folder().to_owned());
    let made = spawn_blocking(move || data::create(&folder, &files, &agent.files)).await;
    made.map_err(|error| error.to_string())?.map(Some)
}

/// Drives a job on its own thread and runtime, so that the agent's other work does not disturb it.
///
/// # Errors
///
/// Returns an error if the thread cannot be started.
pub fn drive(
    driving: driven::Job,
    told: mpsc::Receiver<Order>,
    events: Events,
) -> Result<oneshot::Receiver<Ended>, Failure> {
    let (tell, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("golo-job".to_owned()).spawn(move || {
        let saying = Arc::clone(&events.job);
        let ended = match start_runtime(THREADS) {
            Ok(runtime) => runtime.block_on(driven::drive(
                driving,
                told,
                move |line| saying.say(line),
                move |event| events.add(event),
            )),
            Err(error) => failed(format!("cannot start a runtime: {error}")),
        };
        _ = tell.send(ended);
    });
    thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    Ok(ended)
}
