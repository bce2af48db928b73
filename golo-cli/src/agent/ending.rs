//! The first record of a job and its last one, which is written whatever it takes.

use std::{fs, io, sync::Arc, time::Duration};

use golo::{cli::say, wire};
use golo_proto::{
    engine,
    results::{Begun, Ended, Record, ended, record},
};
use prost::Message as _;
use tokio::{task::spawn_blocking, time::sleep};

use super::{job::Job, jobs::Agent, kept::State, request::Request};
use crate::support::moments::now;

/// How long is waited before the end of a job is written again, and how often that is done once the agent is to stop.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;
/// Bytes of records that are looked through at once.
const REPLAYED: u64 = 1 << 20;

impl Agent {
    /// A job is over: its last record is written, whatever it takes.
    pub async fn end(self: &Arc<Self>, job: &Arc<Job>, ended: Ended) {
        job.end(&ended);
        let mut tries = 0;
        loop {
            let (agent, ending, last) = (Arc::clone(self), Arc::clone(job), ended.clone());
            let written = spawn_blocking(move || agent.write_end(&ending, &last)).await;
            let Ok(Err(error)) = written else { break };
            tries += 1;
            if tries == 1 {
                say(format_args!("golo agent: the end of job {} cannot be kept yet: {error}", job.id));
            }
            if *self.stopping.borrow() && tries > TRIES {
                break;
            }
            self.release();
            sleep(if tries == 1 { Duration::ZERO } else { AGAIN }).await;
        }
        self.news.notify_one();
    }

    fn write_end(&self, job: &Job, ended: &Ended) -> io::Result<()> {
        // What became of it may find room where its last record does not.
        let saved = job.save();
        let extent = job.recover()?;
        if extent.next == 0 {
            job.spool.append(&self.begun(job), true)?;
        }
        if !extent.has_ended {
            job.spool.append(&record(record::Record::Ended(ended.clone())), true)?;
        }
        fs::write(job.folder().join("stderr"), job.stderr().as_deref().unwrap_or(&ended.stderr))?;
        job.forget_stderr();
        let records = job.spool.extent().borrow().next;
        job.change(|kept| kept.records = records);
        saved.and_then(|()| job.save())?;
        self.set_aside();
        Ok(())
    }

    /// The first record of a job.
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
            outputs: false,
            speaks: engine::REVISION,
            max_lag: request.call.options(&kept.name).max_lag.map(wire::nanoseconds),
            // The thresholds below say which.
            selected_routes: Vec::new(),
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

    /// Ends a job that ran when the agent ended, or whose end could not be kept: it is what its last record says, if it has
    /// one, and has measured what its records say.
    pub async fn resume(self: &Arc<Self>, job: &Arc<Job>) {
        let (kept, reading) = (job.kept(), Arc::clone(job));
        let last = spawn_blocking(move || replay(&reading)).await.ok().and_then(Result::ok).flatten();
        let (state, reason) = match kept.state {
            State::Completed => (ended::State::Completed, kept.reason),
            State::Failed => (ended::State::Failed, kept.reason),
            State::Cancelled => (ended::State::Cancelled, kept.reason),
            _ => (ended::State::Failed, "the agent ended while it ran".to_owned()),
        };
        let ended = last.unwrap_or_else(|| Ended { state: state.into(), reason, ..Ended::default() });
        self.end(job, ended).await;
    }
}

/// A record of this moment.
#[must_use]
pub(super) fn record(record: record::Record) -> Record {
    Record { at: now(), record: Some(record) }
}

/// Takes note of all that a job's records say, and gives how it ended, if the last of them says so.
fn replay(job: &Job) -> io::Result<Option<Ended>> {
    job.recover()?;
    job.forget_events();
    let (mut from, mut last) = (0, None);
    while let Some(chunk) = job.spool.read(from, REPLAYED)? {
        let mut bytes = chunk.bytes;
        while !bytes.is_empty() {
            match Record::decode_length_delimited(&mut bytes)?.record {
                Some(record::Record::Event(event)) => job.note(&event),
                Some(record::Record::Ended(ended)) => last = Some(ended),
                Some(record::Record::Begun(_)) | None => {}
            }
        }
        from = chunk.next;
    }
    Ok(last)
}
