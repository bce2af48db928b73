//! First and last record of a job. Writing the last one is retried until it succeeds.

use std::{fs, sync::Arc, time::Duration};

use golo::cli::{chain, say};
use golo::wire;
use golo_proto::engine;
use golo_proto::results::{Begun, Ended, Record, ended, record};
use tokio::{task::spawn_blocking, time::sleep};

use super::data;
use super::job::Job;
use super::jobs::Agent;
use super::kept::{KeepError, State};
use super::request::Request;
use super::results::Extent;
use crate::results::store::{Store, StoreError};
use crate::support::moments::now;

/// Pause before another attempt to write the end of a job.
const AGAIN: Duration = Duration::from_secs(1);
/// Maximum number of retries once the agent is stopping.
const TRIES: u32 = 3;

impl Agent {
    /// Ends a job and writes its last record. Retries until that succeeds; once the agent is stopping, at most
    /// `TRIES` times.
    pub async fn end(self: &Arc<Self>, job: &Arc<Job>, ended: Ended) {
        job.end(&ended);
        let mut tries = 0;
        loop {
            let (agent, ending, last) = (Arc::clone(self), Arc::clone(job), ended.clone());
            let written = spawn_blocking(move || agent.write_end(&ending, &last)).await;
            let Ok(Err(error)) = written else { break };
            tries += 1;
            if tries == 1 {
                say(format_args!(
                    "golo agent: the end of job {} cannot be written, retrying: {}",
                    job.id,
                    chain(&error)
                ));
            }
            if *self.stopping.borrow() && tries > TRIES {
                break;
            }
            self.release();
            sleep(if tries == 1 { Duration::ZERO } else { AGAIN }).await;
        }
        let folder = job.folder().to_owned();
        _ = spawn_blocking(move || data::remove(&folder)).await;
        self.news.notify_one();
    }

    fn write_end(&self, job: &Job, ended: &Ended) -> Result<(), KeepError> {
        // The job's file is small and may fit on a disk that has no room for the last record.
        let saved = job.save();
        let extent = job.extent();
        if !extent.has_ended {
            let mut records = Vec::from_iter((extent.next == 0).then(|| self.begun(job)));
            records.push(record(record::Record::Ended(ended.clone())));
            match self.results.append(job, records) {
                // The last record is made again when it is sent.
                Err(error) if error.is_damage() => {
                    say(format_args!("golo agent: the end of job {} cannot be stored: {}", job.id, chain(&error)));
                    job.set_extent(Extent { next: extent.next.max(1) + 1, has_ended: true });
                }
                // A retry would be refused too, and would block the waiting jobs.
                Err(error) if error.is_callers() => {
                    say(format_args!("golo agent: the end of job {} cannot be stored: {}", job.id, chain(&error)));
                    job.set_extent(Extent { has_ended: true, ..extent });
                }
                appended => appended?,
            }
        }
        fs::write(job.folder().join("stderr"), job.stderr().as_deref().unwrap_or(&ended.stderr))?;
        job.forget_stderr();
        job.change(|kept| kept.records = job.extent().next);
        saved.and_then(|()| job.save())?;
        self.set_aside();
        Ok(())
    }

    /// Returns the first record of a job.
    #[must_use]
    pub fn begun(&self, job: &Job) -> Record {
        let kept = job.kept();
        let request = Request::parse(&kept.request, &kept.agent).ok();
        let plan = request.as_ref().map(|request| engine::Plan {
            needs: engine::REVISION,
            load: Some(request.call.plan().into()),
            share: Some(request.share.into()),
            job_name: kept.name.clone(),
            workers: request.workers,
            seed: request.seed,
            speaks: engine::REVISION,
            max_lag: request.call.options(&kept.name).max_lag.map(wire::nanoseconds),
            // The thresholds below contain what is selected, `Planned` follows with the scenarios, and samples of
            // failed requests are in the records.
            ..engine::Plan::default()
        });
        record(record::Record::Begun(Begun {
            run: kept.run,
            agent: kept.agent,
            job: kept.id,
            load_test: kept.name,
            plan,
            thresholds: request.map(|request| request.thresholds).unwrap_or_default(),
            binary: kept.binary,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    /// Ends a job that was running when an earlier agent ended, or whose end was not completely written. Its outcome is
    /// that of its last record, if there is one, and its measurements are restored from its records.
    pub async fn resume(self: &Arc<Self>, job: &Arc<Job>) {
        let (kept, next, reading) = (job.kept(), job.extent().next, Arc::clone(job));
        let replayed = self.results.readers.read(move |store| replay(store, &reading)).await;
        let last = replayed.unwrap_or_else(|error| {
            say(format_args!("golo agent: the records of job {} cannot be read: {}", job.id, chain(&error)));
            None
        });
        let (state, reason) = match kept.state {
            // The job's file has the number of records only after all of them were committed.
            _ if kept.records > next => (ended::State::Failed, format!("the records from {next} on are lost")),
            State::Completed => (ended::State::Completed, kept.reason),
            State::Failed => (ended::State::Failed, kept.reason),
            State::Cancelled => (ended::State::Cancelled, kept.reason),
            _ => (ended::State::Failed, "the agent ended while the job was running".to_owned()),
        };
        let ended = last.unwrap_or_else(|| Ended { state: state.into(), reason, ..Ended::default() });
        self.end(job, ended).await;
    }
}

/// Creates a record with the current time.
#[must_use]
pub(super) fn record(record: record::Record) -> Record {
    Record { at: now(), record: Some(record) }
}

/// Replays a job's records into its state. Returns the content of its last record if it has one.
fn replay(store: &Store, job: &Job) -> Result<Option<Ended>, StoreError> {
    job.forget_events();
    let mut last = None;
    if let Some(part) = store.part_of_job(&job.kept().run, &job.id)? {
        for record in store.records(&part, 0) {
            match record?.record {
                Some(record::Record::Event(event)) => job.note(&event),
                Some(record::Record::Ended(ended)) => last = Some(ended),
                Some(record::Record::Begun(_)) | None => {}
            }
        }
    }
    Ok(last)
}
