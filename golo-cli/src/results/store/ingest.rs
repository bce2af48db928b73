//! Storing the new records of a batch.

use golo::wire::unix_nanoseconds;
use golo_proto::results::{Begun, Record, record};
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::integer;
use super::names::{check_name, check_run_name};
use super::part::Part;
use super::{StoreError, blobs, check, merge};

/// Maximum number of parts of a run; reports name each missing part.
pub const MAX_PARTS: u64 = 1000;

/// Records of one agent's part of a run, in order.
#[derive(Debug, Clone)]
pub struct Batch {
    /// ID of the run.
    pub run: String,
    /// Name of the agent.
    pub agent: String,
    /// ID of the job at its agent. If given, it must be the job that the stored part belongs to.
    pub job: Option<String>,
    /// Number of the first record.
    pub from: u64,
    /// Records.
    pub records: Vec<Record>,
}

/// Result of storing a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingested {
    /// Number of records that were new.
    pub new: u64,
    /// Number of the next record that is expected.
    pub next: u64,
}

pub(super) fn ingest(connection: &Connection, batch: Batch) -> Result<Ingested, StoreError> {
    let Batch { run, agent, job, from, records } = batch;
    check_run_name(&run)?;
    check_name("an agent", &agent)?;
    let mut part = Part::find(connection, &run, &agent)?;
    if let Some(part) = &part {
        part.check_job(job.as_deref())?;
    }
    let next = part.as_ref().map_or(0, |part| part.next_record);
    if from > next {
        return Err(StoreError::Gap { next });
    }
    if let (0, Some(part), Some(first)) = (from, &part, records.first()) {
        check_first_record(connection, part, first, &agent)?;
    }
    let known = usize::try_from(next - from).unwrap_or(usize::MAX);
    let mut records = records.into_iter().skip(known).peekable();
    if records.peek().is_none() {
        return Ok(Ingested { new: 0, next });
    }
    let now = integer(unix_nanoseconds(std::time::SystemTime::now()));
    let mut touched = Vec::new();
    for record in records {
        match &mut part {
            None => part = Some(begin(connection, &run, &agent, job.as_deref(), record, now)?),
            Some(part) => touched.extend(part.add(connection, record)?),
        }
    }
    let Some(part) = part else { return Ok(Ingested { new: 0, next }) };
    part.keep(connection, now)?;
    for second in touched {
        merge::second(connection, part.run, second)?;
    }
    Ok(Ingested { new: part.next_record - next, next: part.next_record })
}

/// Checks that the first record of a resent part equals the stored one.
fn check_first_record(connection: &Connection, part: &Part, first: &Record, agent: &str) -> Result<(), StoreError> {
    let select = "SELECT record FROM records WHERE part = ? AND number = 0";
    let kept: Option<Vec<u8>> = connection.prepare_cached(select)?.query_row([part.id], |row| row.get(0)).optional()?;
    let kept = kept.and_then(|kept| blobs::message::<Record>(&kept).ok());
    match kept.is_none_or(|kept| kept.record == first.record) {
        true => Ok(()),
        false => Err(StoreError::refused(format!(
            "agent {agent:?} has already sent another job of this run: each part needs an agent name of its own"
        ))),
    }
}

/// Creates the part from its first record, and the run if it is new.
fn begin(
    connection: &Connection,
    run: &str,
    agent: &str,
    job: Option<&str>,
    record: Record,
    now: i64,
) -> Result<Part, StoreError> {
    let Some(record::Record::Begun(begun)) = &record.record else {
        return Err(StoreError::refused("record 0 is not a `Begun`"));
    };
    let job = job.unwrap_or(&begun.job);
    for (what, found, expected) in [("run", &begun.run, run), ("agent", &begun.agent, agent), ("job", &begun.job, job)]
    {
        if found != expected {
            return Err(StoreError::refused(format!("record 0 is of the {what} {found:?}: expected {expected:?}")));
        }
    }
    let asked = Asked::of(begun)?;
    let run = find_or_begin(connection, begun, &asked, now)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO parts (run, agent, job, share_index, share_of, plan, binary_sha256, golo_version, next_record,
             next_second, has_finished, state, reason, heard_at_ns)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 'running', '', ?)",
    )?;
    let plan = asked.plan.encode_to_vec();
    let (index, of) = (integer(asked.share.0), integer(asked.share.1));
    insert.execute(params![run, agent, begun.job, index, of, plan, begun.binary, begun.version, now])?;
    let part = Part::begun(connection.last_insert_rowid(), run, job);
    part.record(connection, 0, &record)?;
    Ok(part)
}

/// The plan of a `Begun` record.
struct Asked<'a> {
    plan: &'a golo_proto::engine::Plan,
    /// Index of the share and number of shares.
    share: (u64, u64),
    description: String,
}

impl<'a> Asked<'a> {
    fn of(begun: &'a Begun) -> Result<Self, StoreError> {
        let plan = begun.plan.as_ref().ok_or_else(|| StoreError::refused("record 0 has no plan"))?;
        let load = plan.load.as_ref().ok_or_else(|| StoreError::refused("record 0 has a plan without a load"))?;
        let description = golo::engine::plan::Plan::try_from(load)?.to_string();
        let share = plan.share.as_ref().map(golo::engine::share::Share::try_from).transpose()?;
        let share = share.map_or((0, 1), |share| (share.index(), share.of()));
        if share.1 > MAX_PARTS {
            return Err(StoreError::refused(format!("record 0: a run has at most {MAX_PARTS} parts, not {}", share.1)));
        }
        check::thresholds(&begun.thresholds).map_err(|error| error.within(|| "record 0".to_owned()))?;
        Ok(Self { plan, share, description })
    }
}

fn find_or_begin(connection: &Connection, begun: &Begun, asked: &Asked<'_>, now: i64) -> Result<i64, StoreError> {
    let known: Option<(i64, Vec<u8>, String)> = connection
        .prepare_cached(
            "SELECT runs.id, parts.plan, parts.agent FROM runs JOIN parts ON parts.run = runs.id
             WHERE runs.run = ? LIMIT 1",
        )?
        .query_row([&begun.run], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    if let Some((run, plan, agent)) = known {
        let plan = golo_proto::engine::Plan::decode(&*plan).unwrap_or_default();
        let of = plan.share.as_ref().map_or(1, |share| share.of);
        let is_same = plan.load == asked.plan.load && plan.job_name == asked.plan.job_name && of == asked.share.1;
        return match is_same {
            true => Ok(run),
            false => Err(StoreError::refused(format!(
                "a part of another plan: agent {agent:?} runs a share of the run {:?} with a plan that differs",
                begun.run
            ))),
        };
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO runs (run, name, load_test, plan, thresholds, state, reason, parts_expected, added_at_ns)
         VALUES (?, ?, ?, ?, ?, 'running', '', ?, ?)",
    )?;
    let name = if asked.plan.job_name.is_empty() { &begun.load_test } else { &asked.plan.job_name };
    let thresholds = begun.thresholds.join("\n");
    let parts = integer(asked.share.1);
    insert.execute(params![begun.run, name, begun.load_test, asked.description, thresholds, parts, now])?;
    Ok(connection.last_insert_rowid())
}
