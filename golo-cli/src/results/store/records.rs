//! Original records, reassembled from the tables.

use std::collections::VecDeque;

use bytes::Bytes;
use golo_proto::engine::{self as pb, event};
use golo_proto::results::{Record, record};
use prost::Message as _;
use rusqlite::{OptionalExtension as _, params};

use super::columns::{integer, number};
use super::seconds::{second_of, written};
use super::{KeptPart, Store, StoreError, series};

/// Number of records read at once. No lock is held between pages, so a slow reader does not block others.
const PAGE: u64 = 64;

/// Maximum number of records in a chunk, which is the maximum that a collector accepts in one call.
const CHUNK: u64 = 10_000;

/// Consecutive records of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Encoded records, each preceded by its length.
    pub bytes: Bytes,
    /// Number of the record that follows the chunk.
    pub next: u64,
    /// True if the chunk ends with the part's last record.
    pub has_ended: bool,
}

/// A record of a database that may be damaged.
#[derive(Debug)]
pub struct Salvaged {
    /// The record.
    pub record: Record,
    /// Reason why its series of requests are missing.
    pub damage: Option<StoreError>,
}

/// The records of a part, in order. Records that arrive during the iteration may be included.
pub struct Records<'a> {
    store: &'a Store,
    part: i64,
    next: u64,
    page: VecDeque<Record>,
}

impl Store {
    /// Returns the records of a part, beginning at the number `from`. The series of a snapshot may have another order
    /// than originally.
    #[must_use]
    pub fn records(&self, part: &KeptPart, from: u64) -> Records<'_> {
        Records { store: self, part: part.id, next: from, page: VecDeque::new() }
    }

    /// Returns records of a part, beginning with number `from`, until they have at least `bytes` bytes; `None` if there
    /// is no such record yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails or is damaged.
    pub fn chunk(&self, part: &KeptPart, from: u64, bytes: usize) -> Result<Option<Chunk>, StoreError> {
        let mut buffer = Vec::new();
        let (mut next, mut has_ended) = (from, false);
        for record in self.records(part, from) {
            let record = record?;
            has_ended = matches!(record.record, Some(record::Record::Ended(_)));
            // Encoding into a vector cannot fail.
            _ = record.encode_length_delimited(&mut buffer);
            next += 1;
            if buffer.len() >= bytes || next - from >= CHUNK {
                break;
            }
        }
        Ok((next > from).then(|| Chunk { bytes: buffer.into(), next, has_ended }))
    }

    /// Returns one record of a part, also if other records or a part of this one are damaged. `None` if there is no such
    /// record.
    ///
    /// # Errors
    ///
    /// Returns an error if the record cannot be read.
    pub fn salvage(&self, part: &KeptPart, number: u64) -> Result<Option<Salvaged>, StoreError> {
        let select = "SELECT record FROM records WHERE part = ? AND number = ?";
        let mut select = self.connection.prepare_cached(select)?;
        let blob: Option<Vec<u8>> = select.query_row([part.id, integer(number)], |row| row.get(0)).optional()?;
        let Some(blob) = blob else { return Ok(None) };
        let mut record: Record = written(&blob)?;
        let mut damage = None;
        if let Some(record::Record::Event(pb::Event { event: Some(event) })) = &mut record.record {
            damage = self.fill(part.id, number, event).err();
        }
        Ok(Some(Salvaged { record, damage }))
    }

    fn page(&self, part: i64, from: u64) -> Result<VecDeque<Record>, StoreError> {
        let select = "SELECT number, record FROM records WHERE part = ? AND number >= ? AND number < ? ORDER BY number";
        let mut select = self.connection.prepare_cached(select)?;
        let mut rows = select.query(params![part, integer(from), integer(from.saturating_add(PAGE))])?;
        let mut records = VecDeque::new();
        while let Some(row) = rows.next()? {
            let (found, expected) = (number(row, 0)?, from + records.len() as u64);
            if found != expected {
                return Err(StoreError::damaged(format_args!("record {expected} is missing")));
            }
            let mut record: Record = written(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            if let Some(record::Record::Event(pb::Event { event: Some(event) })) = &mut record.record {
                self.fill(part, found, event)?;
            }
            records.push_back(record);
        }
        Ok(records)
    }

    /// Restores the series that were removed from an event.
    fn fill(&self, part: i64, record: u64, event: &mut event::Event) -> Result<(), StoreError> {
        let (second, snapshot) = match event {
            event::Event::Second(second) => (Some(second_of(second.elapsed)), &mut second.snapshot),
            event::Event::Finished(finished) => (self.rest(part, record)?, &mut finished.rest),
            _ => return Ok(()),
        };
        // A piece has kept its series.
        if let (Some(second), Some(snapshot)) = (second, snapshot)
            && snapshot.piece() == pb::Piece::Whole
        {
            snapshot.requests = self.requests(part, second)?;
        }
        Ok(())
    }

    /// Returns the second under which the rest of a finished event is stored.
    fn rest(&self, part: i64, record: u64) -> Result<Option<u64>, StoreError> {
        let select = "SELECT second FROM triggers WHERE part = ? AND record = ?";
        let mut select = self.connection.prepare_cached(select)?;
        Ok(select.query_row([part, integer(record)], |row| number(row, 0)).optional()?)
    }

    fn requests(&self, part: i64, second: u64) -> Result<Vec<pb::Series>, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT origin, routes.route, method, priority, outcome, status, error, series.tags, received_bytes,
                 sent_bytes, durations
             FROM seconds JOIN series ON series.id = seconds.series JOIN routes ON routes.id = series.route
             WHERE part = ? AND second = ? ORDER BY seconds.series",
        )?;
        let mut rows = select.query([part, integer(second)])?;
        let mut requests = Vec::new();
        while let Some(row) = rows.next()? {
            let (label, outcome, is_content) = series::read(row, 0)?;
            let durations = row.get_ref(10)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            requests.push(pb::Series {
                label: Some(label),
                outcome: Some(outcome),
                durations: durations.map(written).transpose()?,
                received: number(row, 8)?,
                sent: number(row, 9)?,
                is_content,
            });
        }
        Ok(requests)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            match self.store.page(self.part, self.next) {
                Ok(page) => self.page = page,
                Err(error) => return Some(Err(error)),
            }
        }
        let record = self.page.pop_front()?;
        self.next += 1;
        Some(Ok(record))
    }
}
