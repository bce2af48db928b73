//! Runs jobs, one after the other.

use std::{sync::Arc, thread};

use golo_proto::results::{Ended, ended};
use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    job::{Job, Stop},
    jobs::Agent,
    request::Request,
    writer::Writer,
};
use crate::{
    drive::driven::{self, Command},
    process::load_test::LoadTest,
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
        let ended = run(&agent, &job).await.unwrap_or_else(failed);
        agent.end(&job, ended).await;
        agent.done();
    }
}

/// A job that failed for this reason.
fn failed(reason: String) -> Ended {
    Ended { state: ended::State::Failed.into(), reason, ..Ended::default() }
}

/// Runs a job, and gives how it ended; or why it could not be run.
async fn run(agent: &Arc<Agent>, job: &Arc<Job>) -> Result<Ended, String> {
    let (commands, told) = mpsc::channel(COMMANDS);
    job.begin(commands);
    if *agent.stopping.borrow() {
        job.stop_once(STOPPED);
    }
    let driving = driven_job(agent, job)?;
    let (starting, first) = (Arc::clone(job), agent.begun(job));
    let begun = spawn_blocking(move || starting.save().and_then(|()| starting.spool.append(&first, true))).await;
    let unkept = |error: std::io::Error| format!("what it measures cannot be kept: {error}");
    begun.map_err(|error| error.to_string())?.map_err(unkept)?;
    agent.news.notify_one();
    let writer = Writer::start(Arc::clone(agent), Arc::clone(job)).map_err(unkept)?;
    let ended = drive(driving, told, job, &writer)?;
    let ended = ended.await;
    let kept = writer.finish().await;
    let ended = ended.unwrap_or_else(|_| failed("the engine ended before the job did".to_owned()));
    Ok(match kept {
        Err(error) => Ended {
            state: ended::State::Failed.into(),
            reason: format!("what it measured cannot be kept: {error}"),
            ..ended
        },
        Ok(()) => with_reason(ended, job),
    })
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
fn driven_job(agent: &Agent, job: &Job) -> Result<driven::Job, String> {
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
    writer: &Writer,
) -> Result<oneshot::Receiver<Ended>, String> {
    let (tell, ended) = oneshot::channel();
    let (job, events) = (Arc::clone(job), writer.events());
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
