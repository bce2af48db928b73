//! Original records, reassembled from the tables.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use golo_proto::engine::{self as pb, event};
use golo_proto::results::{Record, record};
use prost::Message as _;
use rusqlite::{OptionalExtension as _, params};

use super::columns::{integer, number};
use super::seconds::second_of;
use super::{KeptPart, Store, StoreError, blobs, series};

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
    /// Series that were read, by their number.
    series: HashMap<i64, SeriesKey>,
}

/// What is the same in all seconds of a series: its label, its outcome, and whether that was caused by the content.
type SeriesKey = (pb::Label, pb::series::Outcome, bool);

impl Store {
    /// Returns the records of a part, beginning at the number `from`. The series of a snapshot may have another order
    /// than originally.
    #[must_use]
    pub fn records(&self, part: &KeptPart, from: u64) -> Records<'_> {
        Records { store: self, part: part.id, next: from, page: VecDeque::new(), series: HashMap::new() }
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
        let mut record: Record = blobs::message(&blob)?;
        let mut damage = None;
        if let Some(record::Record::Event(pb::Event { event: Some(event) })) = &mut record.record {
            damage = self.records(part, number).fill(number, event).err();
        }
        Ok(Some(Salvaged { record, damage }))
    }

    /// Returns the second under which the rest of a finished event is stored.
    fn rest(&self, part: i64, record: u64) -> Result<Option<u64>, StoreError> {
        let select = "SELECT second FROM triggers WHERE part = ? AND record = ?";
        let mut select = self.connection.prepare_cached(select)?;
        Ok(select.query_row([part, integer(record)], |row| number(row, 0)).optional()?)
    }

    fn series_of(&self, number: i64) -> Result<SeriesKey, StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT origin, routes.route, method, priority, outcome, status, error, series.tags
             FROM series JOIN routes ON routes.id = series.route WHERE series.id = ?",
        )?;
        let mut rows = select.query([number])?;
        series::read(rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?, 0)
    }
}

impl Records<'_> {
    /// Reads the next page.
    fn read(&mut self) -> Result<(), StoreError> {
        let (part, from) = (self.part, self.next);
        let select = "SELECT number, record FROM records WHERE part = ? AND number >= ? AND number < ? ORDER BY number";
        let mut select = self.store.connection.prepare_cached(select)?;
        let mut rows = select.query(params![part, integer(from), integer(from.saturating_add(PAGE))])?;
        let mut page = VecDeque::new();
        while let Some(row) = rows.next()? {
            let (found, expected) = (number(row, 0)?, from + page.len() as u64);
            if found != expected {
                return Err(StoreError::damaged(format_args!("record {expected} is missing")));
            }
            let mut record: Record = blobs::message(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            if let Some(record::Record::Event(pb::Event { event: Some(event) })) = &mut record.record {
                self.fill(found, event)?;
            }
            page.push_back(record);
        }
        self.page = page;
        Ok(())
    }

    /// Restores the series that older versions of golo removed from an event.
    fn fill(&mut self, record: u64, event: &mut event::Event) -> Result<(), StoreError> {
        let (second, snapshot) = match event {
            event::Event::Second(second) => (Some(second_of(second.elapsed)), &mut second.snapshot),
            event::Event::Finished(finished) => (self.store.rest(self.part, record)?, &mut finished.rest),
            _ => return Ok(()),
        };
        // A piece has always kept its series.
        if let (Some(second), Some(snapshot)) = (second, snapshot)
            && snapshot.requests.is_empty()
            && snapshot.piece() == pb::Piece::Whole
        {
            snapshot.requests = self.requests(second)?;
        }
        Ok(())
    }

    fn requests(&mut self, second: u64) -> Result<Vec<pb::Series>, StoreError> {
        let mut select = self.store.connection.prepare_cached(
            "SELECT series, received_bytes, sent_bytes, durations FROM seconds WHERE part = ? AND second = ? ORDER BY series",
        )?;
        let mut rows = select.query([self.part, integer(second)])?;
        let mut requests = Vec::new();
        while let Some(row) = rows.next()? {
            let (label, outcome, is_content) = match self.series.entry(row.get(0)?) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let series = self.store.series_of(*new.key())?;
                    new.insert(series)
                }
            };
            let durations = row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            requests.push(pb::Series {
                label: Some(label.clone()),
                outcome: Some(*outcome),
                durations: durations.map(blobs::message).transpose()?,
                received: number(row, 1)?,
                sent: number(row, 2)?,
                is_content: *is_content,
            });
        }
        Ok(requests)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty()
            && let Err(error) = self.read()
        {
            return Some(Err(error));
        }
        let record = self.page.pop_front()?;
        self.next += 1;
        Some(Ok(record))
    }
}
