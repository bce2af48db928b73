//! Runs jobs, one after the other.

use std::{
    iter,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use golo::cli::chain;
use golo_proto::{
    engine::{Event, event},
    results::{Ended, ended, record},
};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
};

use super::{
    ending::record as now,
    job::{Job, Stop},
    jobs::Agent,
    kept::KeepError,
    request::Request,
};
use crate::{
    drive::driven::{self, Command},
    process::load_test::LoadTest,
    results::store::StoreError,
    support::failure::Failure,
};

/// Why a job is stopped when its agent is.
pub(super) const STOPPED: &str = "the agent was stopped";
/// Commands that an engine has not read yet.
const COMMANDS: usize = 64;
/// The variable that says which targets a load test may have.
const TARGETS: &str = "GOLO_ALLOW_TARGETS";

/// Runs what is queued until the agent is to stop and nothing runs any more.
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

/// A job that failed for this reason.
fn failed(reason: String) -> Ended {
    Ended { state: ended::State::Failed.into(), reason, ..Ended::default() }
}

/// Runs a job, and gives how it ended; or why it could not be run.
async fn run(agent: &Arc<Agent>, job: &Arc<Job>) -> Result<Ended, Failure> {
    let (commands, told) = mpsc::channel(COMMANDS);
    job.begin(commands);
    if *agent.stopping.borrow() {
        job.stop_once(STOPPED);
    }
    let driving = driven_job(agent, job)?;
    let begun = on_a_thread(agent, job, |agent, job| {
        job.save()?;
        Ok(agent.results.append(job, vec![agent.begun(job)])?)
    });
    let unkept = |error: String| format!("what it measures cannot be kept: {error}");
    begun.await.map_err(|error| error.to_string())?.map_err(unkept)?;
    agent.news.notify_one();
    let (events, come) = channel();
    let keeping = on_a_thread(agent, job, move |agent, job| {
        // Load that is not measured is for nothing.
        keep(agent, job, &come).inspect_err(|_| job.stop_once("what was measured could not be kept"))?;
        Ok(())
    });
    let ended = drive(driving, told, job, events)?.await;
    let ended = ended.unwrap_or_else(|_| failed("the engine ended before the job did".to_owned()));
    Ok(match keeping.await.unwrap_or_else(|error| Err(error.to_string())) {
        Err(error) => Ended {
            state: ended::State::Failed.into(),
            reason: format!("what it measured cannot be kept: {error}"),
            ..ended
        },
        Ok(()) => with_reason(ended, job),
    })
}

/// Starts to keep something of a job, on a thread that may wait for the disk. Returns the reason if it is not kept.
fn on_a_thread(
    agent: &Arc<Agent>,
    job: &Arc<Job>,
    keep: impl FnOnce(&Agent, &Job) -> Result<(), KeepError> + Send + 'static,
) -> JoinHandle<Result<(), String>> {
    let (agent, job) = (Arc::clone(agent), Arc::clone(job));
    spawn_blocking(move || keep(&agent, &job).map_err(|error| chain(&error)))
}

/// Commits events as they come, those that have come meanwhile together, until all are kept.
fn keep(agent: &Agent, job: &Job, events: &Receiver<Event>) -> Result<(), StoreError> {
    while let Ok(first) = events.recv() {
        let come = iter::once(first).chain(events.try_iter()).filter(is_kept);
        let records: Vec<_> = come.map(|event| now(record::Record::Event(event))).collect();
        if !records.is_empty() {
            agent.results.append(job, records)?;
            agent.news.notify_one();
        }
    }
    Ok(())
}

/// True for an event that tells something of the run.
fn is_kept(event: &Event) -> bool {
    match &event.event {
        None | Some(event::Event::Accepted(_) | event::Event::Outputs(_)) => false,
        Some(event::Event::Adjusted(adjusted)) => adjusted.refused.is_empty(),
        Some(_) => true,
    }
}

/// Who stopped it is what its engine does not know.
fn with_reason(ended: Ended, job: &Job) -> Ended {
    let Some(Stop { reason, run }) = job.stop_asked() else { return ended };
    run.of(match ended.state() {
        ended::State::Cancelled => Ended { reason: reason.to_owned(), ..ended },
        ended::State::Completed | ended::State::Failed => ended,
    })
}

/// What is to be driven for a job.
fn driven_job(agent: &Agent, job: &Job) -> Result<driven::Job, Failure> {
    let kept = job.kept();
    let mut request = Request::parse(&kept.request, &kept.agent)?;
    // The agent may have been started anew with other limits.
    agent.options.limits.check(&request.call, request.share)?;
    let path = agent.binaries.find(&kept.binary).ok_or("its load test is no longer here: upload it again")?;
    let mut params = std::mem::take(&mut request.params);
    if !agent.options.limits.targets.is_empty() {
        params.push((TARGETS.to_owned(), agent.options.limits.targets.join(",")));
    }
    let load_test = LoadTest { name: kept.name, path };
    let Request { call, share, limits, hold, .. } = request;
    let held = hold.then_some(driven::HELD);
    Ok(driven::Job { load_test, call, params, share, limits, held })
}

/// Drives it on a thread and a runtime of its own, whatever this process has to do besides.
fn drive(
    driving: driven::Job,
    told: mpsc::Receiver<Command>,
    job: &Arc<Job>,
    events: Sender<Event>,
) -> Result<oneshot::Receiver<Ended>, String> {
    let (tell, ended) = oneshot::channel();
    let job = Arc::clone(job);
    let thread = thread::Builder::new().name("golo-job".to_owned()).spawn(move || {
        let saying = Arc::clone(&job);
        let ended = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime.block_on(driven::drive(
                driving,
                told,
                move |line| saying.say(line),
                |event| {
                    job.note(&event);
                    // Where nothing can be kept any more, the job is told to stop.
                    _ = events.send(event);
                },
            )),
            Err(error) => failed(format!("no runtime for it: {error}")),
        };
        _ = tell.send(ended);
    });
    thread.map_err(|error| format!("no thread for it: {error}"))?;
    Ok(ended)
}
