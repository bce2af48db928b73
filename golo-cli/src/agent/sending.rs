//! Sends the records of a job. A record that cannot be sent as it is does not stop those after it: the collector receives
//! another one in its place, and the last record of the job reports what is missing.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use golo::cli::{chain, say};
use golo_proto::engine::{self as pb, event::Event};
use golo_proto::results::{Ended, Record, ended, record};
use prost::Message as _;
use tokio::task::spawn_blocking;

use super::ending::record as now;
use super::job::Job;
use super::jobs::Agent;
use super::kept::{Missing, State};
use super::pusher::{Collector, Place, Unpushed};
use crate::http::COLLECTOR_CALL;
use crate::results::store::{Chunk, Salvaged, StoreError};

/// Size of the records in one call, in bytes.
const BATCH: usize = 1 << 20;
/// Number of records that are read one by one after one of them could not be read.
const SALVAGED: u64 = 64;
/// Number of characters of a text in a last record that the collector refuses.
const TEXT: usize = 1000;

/// Sends the pending records of a job.
///
/// # Errors
///
/// Returns an error if the collector cannot be used, or refuses the job.
pub(super) async fn give(agent: &Agent, job: &Arc<Job>, collector: &Collector) -> Result<(), Unpushed> {
    let mut place = collector.next(&job.kept()).await?;
    // Records before this number are sent one by one.
    let mut alone = 0;
    let mut has_gone_back = false;
    loop {
        let (extent, Place { next, committed }) = (job.extent(), place);
        let known = committed.map_or(next, |committed| committed.max(next));
        if known > extent.next {
            let reason = format!("the collector has {known} records, the job only {}", extent.next);
            return Err(Unpushed::Refused(reason));
        }
        if let Some(committed) = committed {
            note(job, committed).await;
        }
        if next == extent.next {
            return Ok(());
        }
        let sent = if next < alone {
            send_one(agent, job, collector, next).await
        } else {
            match send_several(agent, job, collector, next).await {
                Ok(Sent::Next(place)) => Ok(place),
                Ok(Sent::AloneUntil(number)) => {
                    alone = number;
                    continue;
                }
                Err(unpushed) => Err(unpushed),
            }
        };
        place = sent?;
        if place.next <= next {
            if has_gone_back || !collector.may_go_back() || place.next == next {
                let reason =
                    format!("the collector expects record {} after it received those from {next} on", place.next);
                return Err(Unpushed::Refused(reason));
            }
            has_gone_back = true;
        }
    }
}

/// Notes that the collector has committed the records before number `next`.
async fn note(job: &Arc<Job>, next: u64) {
    let extent = job.extent();
    if !extent.has_ended || next < extent.next {
        job.change(|kept| kept.committed = next);
        return;
    }
    let committing = Arc::clone(job);
    // If this cannot be written, the collector is asked again after a restart.
    _ = spawn_blocking(move || committing.commit(next)).await;
}

/// What became of several records that were to be sent.
enum Sent {
    /// This record is next.
    Next(Place),
    /// One of the records up to this number cannot be read, or is refused.
    AloneUntil(u64),
}

async fn send_several(agent: &Agent, job: &Job, collector: &Collector, from: u64) -> Result<Sent, Unpushed> {
    let chunk = match agent.results.read(job, from, BATCH).await {
        Ok(Some(chunk)) => chunk,
        // There are records up to the job's extent.
        Ok(None) => return Ok(Sent::Next(Place { next: from, committed: None })),
        Err(error) if error.is_damage() => return Ok(Sent::AloneUntil(from + SALVAGED)),
        Err(error) => return Err(unread(&error)),
    };
    let Chunk { bytes, next, has_ended } = chunk;
    let bytes = match job.kept().missing {
        Some(missing) if has_ended => with_missing(bytes, &missing),
        _ => bytes,
    };
    if bytes.len() > COLLECTOR_CALL {
        return Ok(Sent::AloneUntil(next));
    }
    match collector.push(&job.kept(), from, next, bytes).await {
        Ok(place) => Ok(Sent::Next(place)),
        Err(Unpushed::Unfit(_)) => Ok(Sent::AloneUntil(next)),
        Err(unpushed) => Err(unpushed),
    }
}

/// Sends one record, or another one in its place. Returns the number of the record that the collector expects next.
async fn send_one(agent: &Agent, job: &Arc<Job>, collector: &Collector, number: u64) -> Result<Place, Unpushed> {
    let is_last = is_last(job, number);
    let (record, mut lost) = match agent.results.salvage(job, number).await {
        Ok(Salvaged { record, damage }) => (record, damage.map(|error| chain(&error))),
        Err(error) if !error.is_damage() => return Err(unread(&error)),
        // The first and the last record are made again from the job's file.
        Err(_) if number == 0 => (agent.begun(job), None),
        Err(_) if is_last => (last(job), None),
        Err(error) => (now(record::Record::Event(placeholder())), Some(chain(&error))),
    };
    let mut refused = String::new();
    let substitutes = substitutes(&record);
    for mut record in std::iter::once(record).chain(substitutes) {
        if let (Some(record::Record::Ended(ended)), Some(missing)) = (&mut record.record, job.kept().missing) {
            add_missing(ended, &missing);
        }
        match push_one(job, collector, number, &record).await {
            Ok(next) => {
                if let Some(reason) = lost {
                    miss(job, number, reason).await;
                }
                return Ok(next);
            }
            Err(Unpushed::Unfit(reason)) => {
                lost.get_or_insert_with(|| format!("the collector refuses it: {reason}"));
                refused = reason;
            }
            Err(unpushed) => return Err(unpushed),
        }
    }
    Err(Unpushed::Refused(refused))
}

async fn push_one(job: &Job, collector: &Collector, number: u64, record: &Record) -> Result<Place, Unpushed> {
    let bytes = record.encode_length_delimited_to_vec();
    if bytes.len() > COLLECTOR_CALL {
        let (length, most) = (bytes.len() >> 20, COLLECTOR_CALL >> 20);
        return Err(Unpushed::Unfit(format!("it has {length} MiB, and a call may have {most} MiB")));
    }
    collector.push(&job.kept(), number, number + 1, bytes.into()).await
}

fn unread(error: &StoreError) -> Unpushed {
    Unpushed::Refused(format!("the records cannot be read: {}", chain(error)))
}

/// Records that the collector has received a record without its content.
async fn miss(job: &Arc<Job>, number: u64, reason: String) {
    let (job, said) = (Arc::clone(job), reason.clone());
    let id = job.id.clone();
    // A failed write counts as the first one. In memory it is recorded.
    let missing = spawn_blocking(move || job.miss(number, &reason).unwrap_or(true)).await;
    if missing.unwrap_or(true) {
        say(format_args!("golo agent: record {number} of job {id} is sent without its content: {said}"));
    }
}

/// Returns true if record `number` is the last one of a job that has ended.
fn is_last(job: &Job, number: u64) -> bool {
    let extent = job.extent();
    extent.has_ended && number + 1 == extent.next
}

/// Returns the last record of a job, made from the job's file.
fn last(job: &Job) -> Record {
    let kept = job.kept();
    let state = match kept.state {
        State::Completed => ended::State::Completed,
        State::Cancelled => ended::State::Cancelled,
        _ => ended::State::Failed,
    };
    now(record::Record::Ended(Ended { state: state.into(), reason: kept.reason, ..Ended::default() }))
}

/// Returns an event without measurements that can stand for any other.
fn placeholder() -> pb::Event {
    golo::wire::event(Event::Ready(pb::Ready::default()))
}

/// Returns the records to send if the collector refuses this one, those with more of its content first.
fn substitutes(refused: &Record) -> Vec<Record> {
    let events = match &refused.record {
        Some(record::Record::Event(pb::Event { event: Some(Event::Second(second)) })) => {
            let with = |snapshot| golo::wire::event(Event::Second(pb::Second { snapshot: Some(snapshot), ..*second }));
            reduced(second.snapshot.as_ref()).into_iter().map(with).chain([placeholder()]).collect()
        }
        Some(record::Record::Event(pb::Event { event: Some(Event::Finished(finished)) })) => {
            let with = |rest| pb::Finished { rest: Some(rest), ..finished.clone() };
            let finished = reduced(finished.rest.as_ref()).into_iter().map(with);
            finished.map(|finished| golo::wire::event(Event::Finished(finished))).collect()
        }
        Some(record::Record::Event(_)) => vec![placeholder()],
        Some(record::Record::Ended(ended)) => return vec![shortened(refused.at, ended)],
        // It identifies the job, or is of a later version.
        Some(record::Record::Begun(_)) | None => Vec::new(),
    };
    events.into_iter().map(|event| Record { at: refused.at, record: Some(record::Record::Event(event)) }).collect()
}

/// Returns a snapshot with only its counts of triggers and the state of the generator, and one without measurements.
fn reduced(snapshot: Option<&pb::Snapshot>) -> [pb::Snapshot; 2] {
    let snapshot = snapshot.cloned().unwrap_or_default();
    let nothing = pb::Snapshot { piece: snapshot.piece, ..pb::Snapshot::default() };
    let pb::Snapshot { triggers, generator, .. } = snapshot;
    [pb::Snapshot { triggers, generator, ..nothing.clone() }, nothing]
}

/// Returns a last record with the beginning of each text.
fn shortened(at: u64, ended: &Ended) -> Record {
    let short = |text: &str| text.chars().take(TEXT).collect::<String>();
    let ended = Ended {
        reason: short(&ended.reason),
        died: short(&ended.died),
        missing: short(&ended.missing),
        run_died: short(&ended.run_died),
        run_lost: short(&ended.run_lost),
        stderr: String::new(),
        ..ended.clone()
    };
    Record { at, record: Some(record::Record::Ended(ended)) }
}

/// Adds what is missing to the last one of these records.
fn with_missing(mut bytes: Bytes, missing: &Missing) -> Bytes {
    let whole = bytes.clone();
    while bytes.has_remaining() {
        let start = whole.len() - bytes.remaining();
        match Record::decode_length_delimited(&mut bytes) {
            Ok(Record { at, record: Some(record::Record::Ended(mut ended)) }) => {
                add_missing(&mut ended, missing);
                let last = Record { at, record: Some(record::Record::Ended(ended)) };
                return [&whole[..start], &last.encode_length_delimited_to_vec()].concat().into();
            }
            Ok(_) => {}
            // The agent has encoded them, so this cannot happen; the collector would report it.
            Err(_) => break,
        }
    }
    whole
}

fn add_missing(ended: &mut Ended, missing: &Missing) {
    let and = if ended.missing.is_empty() { "" } else { "; " };
    ended.missing = format!("{}{and}{missing}", ended.missing);
}
