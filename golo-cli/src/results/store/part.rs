//! One agent's part of a run while its records arrive.

use golo::{engine::snapshot::Snapshot, wire::WireError};
use golo_proto::engine::{self as pb, event};
use golo_proto::results::{Ended, Record, ended, record};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{Durations, Parameters, integer, number};
use super::{StoreError, blobs, check, metrics, seconds, series, tags};
use crate::drive::local_time::local;

/// State of a part before its next record.
pub(super) struct Part {
    pub(super) id: i64,
    pub(super) run: i64,
    /// ID of its job at the agent.
    job: String,
    pub(super) next_record: u64,
    next_second: u64,
    has_finished: bool,
    has_ended: bool,
}

impl Part {
    /// Returns the part of `agent` if it exists.
    pub(super) fn find(connection: &Connection, run: &str, agent: &str) -> Result<Option<Self>, StoreError> {
        let mut select = connection.prepare_cached(
            "SELECT parts.id, runs.id, parts.next_record, parts.next_second, parts.has_finished, parts.state <> 'running',
                 parts.job
             FROM runs JOIN parts ON parts.run = runs.id WHERE runs.run = ? AND parts.agent = ?",
        )?;
        let part = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                id: row.get(0)?,
                run: row.get(1)?,
                next_record: number(row, 2)?,
                next_second: number(row, 3)?,
                has_finished: row.get(4)?,
                has_ended: row.get(5)?,
                job: row.get(6)?,
            })
        };
        Ok(select.query_row([run, agent], part).optional()?)
    }

    /// Creates the state after the first record.
    pub(super) fn begun(id: i64, run: i64, job: &str) -> Self {
        Self { id, run, job: job.to_owned(), next_record: 1, next_second: 0, has_finished: false, has_ended: false }
    }

    /// Checks that `job`, if given, is the job that this part belongs to.
    pub(super) fn check_job(&self, job: Option<&str>) -> Result<(), StoreError> {
        match job.is_none_or(|job| job == self.job) {
            true => Ok(()),
            false => Err(StoreError::OtherJob { known: self.job.clone() }),
        }
    }

    /// Saves the state.
    pub(super) fn keep(&self, connection: &Connection, now: i64) -> Result<(), StoreError> {
        let mut update = connection.prepare_cached(
            "UPDATE parts SET next_record = ?, next_second = ?, has_finished = ?, heard_at_ns = ? WHERE id = ?",
        )?;
        let (record, second) = (integer(self.next_record), integer(self.next_second));
        update.execute(params![record, second, self.has_finished, now, self.id])?;
        Ok(())
    }

    /// Stores the next record. Returns the second that it belongs to, if any.
    pub(super) fn add(&mut self, connection: &Connection, mut record: Record) -> Result<Option<u64>, StoreError> {
        let number = self.next_record;
        let refused = |reason: &str| Err(StoreError::refused(format!("record {number} {reason}")));
        if self.has_ended {
            return refused("comes after the part has ended");
        }
        check::record(&record).map_err(|error| error.within(|| format!("record {number}")))?;
        let at = record.at;
        let mut second = None;
        match &mut record.record {
            None => return refused("is of a kind unknown to this golo"),
            Some(record::Record::Begun(_)) => return refused("is a second `Begun`"),
            Some(record::Record::Ended(ended)) => self.end(connection, ended, at)?,
            Some(record::Record::Event(pb::Event { event })) => match event {
                None => return refused("is of a kind unknown to this golo"),
                Some(event::Event::Accepted(_) | event::Event::Outputs(_) | event::Event::SetUp(_)) => {
                    return refused("is an event that is not stored");
                }
                Some(_) if self.has_finished => return refused("comes after the engine has finished"),
                Some(event::Event::Planned(_) | event::Event::Ready(_) | event::Event::Adjusted(_)) => {}
                Some(event::Event::Started(started)) => {
                    self.start(connection, local(started.at, started.ahead.into()))?;
                }
                Some(event::Event::Second(pb::Second { elapsed, snapshot: Some(piece), .. }))
                    if piece.piece() == pb::Piece::Followed =>
                {
                    let at = seconds::second_of(*elapsed).max(self.next_second);
                    self.measurements(connection, at, piece)?;
                    second = Some(at);
                }
                Some(event::Event::Second(received)) => {
                    let at = seconds::second_of(received.elapsed);
                    if at < self.next_second {
                        return refused(&format!("contains second {at}, which is out of order"));
                    }
                    let Some(snapshot) = &mut received.snapshot else {
                        return refused("is a second without a snapshot");
                    };
                    self.snapshot(connection, at, Some(received.users), snapshot)?;
                    second = Some(at);
                }
                Some(event::Event::Finished(finished)) => {
                    if let Some(started) = finished.started_at {
                        self.start_if_unknown(connection, started)?;
                    }
                    self.has_finished = true;
                    if let Some(rest) = &mut finished.rest {
                        let at = self.next_second;
                        self.snapshot(connection, at, None, rest)?;
                        second = Some(at);
                    }
                }
            },
        }
        self.record(connection, number, &record)?;
        self.next_record += 1;
        Ok(second)
    }

    /// Stores a record as a whole.
    pub(super) fn record(&self, connection: &Connection, number: u64, record: &Record) -> Result<(), StoreError> {
        let mut insert = connection.prepare_cached("INSERT INTO records (part, number, record) VALUES (?, ?, ?)")?;
        insert.execute(params![self.id, integer(number), blobs::blob(record)])?;
        Ok(())
    }

    fn start(&self, connection: &Connection, at: u64) -> Result<(), StoreError> {
        let mut update = connection
            .prepare_cached("UPDATE runs SET started_at_ns = min(coalesce(started_at_ns, ?1), ?1) WHERE id = ?2")?;
        update.execute([integer(at), self.run])?;
        Ok(())
    }

    /// Sets the start of the run from the end of a part, unless an earlier record had it. That one knows the difference of
    /// the clocks.
    fn start_if_unknown(&self, connection: &Connection, at: u64) -> Result<(), StoreError> {
        let mut update =
            connection.prepare_cached("UPDATE runs SET started_at_ns = ?1 WHERE id = ?2 AND started_at_ns IS NULL")?;
        update.execute([integer(at), self.run])?;
        Ok(())
    }

    /// Stores the snapshot of a second, or the last piece of it.
    fn snapshot(
        &mut self,
        connection: &Connection,
        second: u64,
        users: Option<u64>,
        snapshot: &mut pb::Snapshot,
    ) -> Result<(), StoreError> {
        let checked = self.measurements(connection, second, snapshot)?;
        self.triggers(connection, second, users, &checked)?;
        self.next_second = second + 1;
        Ok(())
    }

    /// Stores the requests, tags and metrics of a snapshot or of a piece of it, as rows for SQL. Returns the snapshot without
    /// its requests.
    fn measurements(
        &self,
        connection: &Connection,
        second: u64,
        snapshot: &mut pb::Snapshot,
    ) -> Result<Snapshot, StoreError> {
        let wrong = |error: WireError| StoreError::refused(format!("record {}: {error}", self.next_record));
        let within = |error: StoreError| error.within(|| format!("record {}", self.next_record));
        let mut counts = (0_u64, 0_u64);
        let is_whole = snapshot.piece() == pb::Piece::Whole;
        let requests = std::mem::take(&mut snapshot.requests);
        for written in &requests {
            let (series, is_failed) = series::find_or_add(connection, self.run, written).map_err(within)?;
            let requests =
                seconds::add(connection, [self.id, integer(second), series], written, is_whole).map_err(within)?;
            if golo::wire::is_step(written) {
                continue;
            }
            let is_cut = matches!(written.outcome, Some(pb::series::Outcome::Interrupted(_)));
            counts.0 = counts.0.saturating_add(if is_cut { 0 } else { requests });
            counts.1 = counts.1.saturating_add(if is_failed { requests } else { 0 });
        }
        let checked = Snapshot::try_from(&*snapshot).map_err(wrong)?;
        tags::add(connection, self.id, second, &checked.tags).map_err(within)?;
        metrics::add(connection, self.id, second, &checked.metrics).map_err(within)?;
        snapshot.requests = requests;
        let mut update = connection.prepare_cached(
            "UPDATE runs SET requests = min(requests, ?4 - ?1) + ?1,
                 requests_failed = min(requests_failed, ?4 - ?2) + ?2 WHERE id = ?3",
        )?;
        update.execute([integer(counts.0), integer(counts.1), self.run, i64::MAX])?;
        Ok(checked)
    }

    fn triggers(
        &self,
        connection: &Connection,
        second: u64,
        users: Option<u64>,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let triggers = &snapshot.triggers;
        let mut insert = connection.prepare_cached(
            "INSERT INTO triggers VALUES (
                 ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let counts = [
            triggers.due,
            triggers.done,
            triggers.failed,
            triggers.panicked,
            triggers.interrupted,
            triggers.dropped_busy,
            triggers.dropped_unready,
            triggers.dropped_stopped,
        ];
        let parameters = Parameters::of([self.id, integer(second), integer(self.next_record)])
            .optional(users.map(integer))
            .numbers(counts.map(integer))
            .durations(&Durations::of(&triggers.service))
            .durations(&Durations::of(&triggers.response));
        insert.execute(parameters.all())?;
        Ok(())
    }

    fn end(&mut self, connection: &Connection, ended: &Ended, at: u64) -> Result<(), StoreError> {
        let state = match ended::State::try_from(ended.state) {
            Ok(ended::State::Completed) => "completed",
            Ok(ended::State::Cancelled) => "cancelled",
            // A state of a later version counts as failed.
            Ok(ended::State::Failed) | Err(_) => "failed",
        };
        let update = "UPDATE parts SET state = ?, reason = ?, ended_at_ns = ? WHERE id = ?";
        connection.prepare_cached(update)?.execute(params![state, ended.reason, integer(at), self.id])?;
        self.has_ended = true;
        self.end_run(connection)
    }

    /// Sets the state of the run once all parts have ended: the worst state of its parts.
    fn end_run(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut update = connection.prepare_cached(
            "UPDATE runs SET
                 ended_at_ns = of.ended_at_ns,
                 state = CASE WHEN of.failed THEN 'failed' WHEN of.cancelled THEN 'cancelled' ELSE 'completed' END,
                 reason = coalesce(of.reason, '')
             FROM (
                 SELECT
                     count(*) AS parts,
                     max(ended_at_ns) AS ended_at_ns,
                     max(state = 'failed') AS failed,
                     max(state = 'cancelled') AS cancelled,
                     max(state = 'running') AS running,
                     group_concat(CASE WHEN reason <> '' THEN agent || ': ' || reason END, '; ') AS reason
                 FROM parts WHERE run = ?1
             ) AS of
             WHERE id = ?1 AND NOT of.running AND of.parts >= parts_expected",
        )?;
        update.execute([self.run])?;
        Ok(())
    }
}
