//! Results of a run, second by second.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use golo::engine::histogram::Histogram;
use golo::engine::series::Label;
use golo::engine::snapshot::{Snapshot, Triggers};
use golo_proto::engine::{self as pb, event};
use golo_proto::results::{Record, record};
use rusqlite::{Connection, types::ValueRef};
use serde::Serialize;

use super::columns::{Durations, Parameters, integer, number, optional};
use super::{KeptRun, MergedRequests, Store, StoreError, blobs, merge};

const SECOND: u64 = 1_000_000_000;

/// Returns the number of the second that ends at `elapsed` nanoseconds.
pub(super) fn second_of(elapsed: u64) -> u64 {
    elapsed.div_ceil(SECOND).saturating_sub(1)
}

/// Stores the requests of a series in a second of a part, which `key` identifies: part, second, series. Returns their
/// number. If the record has the `whole` snapshot, the histogram is in that record only: merging finds it by its second.
pub(super) fn add(
    connection: &Connection,
    key: [i64; 3],
    written: &pb::Series,
    is_whole: bool,
) -> Result<u64, StoreError> {
    let durations = match &written.durations {
        Some(durations) => Histogram::try_from(durations)?,
        None => Histogram::new(),
    };
    let mut insert = connection.prepare_cached(
        "INSERT INTO seconds (part, second, series, requests, received_bytes, sent_bytes, duration_sum_ns,
             duration_max_ns, durations)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    let sum = u64::try_from(durations.sum()).unwrap_or(u64::MAX);
    let parameters = Parameters::of(key)
        .numbers([durations.count(), written.received, written.sent, sum].map(integer))
        .optional(durations.max().map(integer))
        .blob(written.durations.as_ref().filter(|_| !is_whole).map(blobs::blob));
    match insert.execute(parameters.all())? {
        0 => Err(StoreError::refused("a series occurs twice in a snapshot")),
        _ => Ok(durations.count()),
    }
}

/// Reads a histogram column.
pub(super) fn histogram(column: ValueRef<'_>) -> Result<Histogram, StoreError> {
    match column.as_blob_or_null().map_err(rusqlite::Error::from)? {
        Some(blob) => Histogram::try_from(&blobs::message::<pb::Histogram>(blob)?).map_err(StoreError::damaged),
        None => Ok(Histogram::new()),
    }
}

/// A second of a run, over all parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeptSecond {
    /// Number of the second since the start of the measured part, from 0.
    pub second: u64,
    /// Users at its end; in an open model, triggers in flight.
    pub users: u64,
    /// All requests.
    pub requests: KeptRequests,
    /// Requests by route.
    pub routes: Vec<KeptRoute>,
    /// Number of starts due according to the plan.
    pub triggers_due: u64,
    /// Number of ended triggers, including failed ones.
    pub triggers_done: u64,
    /// Number of failed triggers.
    pub triggers_failed: u64,
    /// Number of interrupted triggers.
    pub triggers_interrupted: u64,
    /// Number of dropped starts.
    pub triggers_dropped: u64,
}

/// Requests of a route in a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptRoute {
    /// Scheme, host and port; empty if the request is not HTTP.
    pub origin: String,
    /// Name from the load test, or the path with `{id}` for its variable parts.
    pub route: String,
    /// HTTP method, or `MEASURE`.
    pub method: String,
    /// Requests of the route.
    #[serde(flatten)]
    pub requests: KeptRequests,
}

/// Requests of a second. Interrupted requests are counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeptRequests {
    /// Number of ended requests.
    pub requests: u64,
    /// Number of failed requests.
    pub failed: u64,
    /// Number of requests interrupted by the end of the run.
    pub interrupted: u64,
    /// Bytes of response bodies.
    pub received_bytes: u64,
    /// Bytes of request bodies.
    pub sent_bytes: u64,
    /// Durations of the requests.
    pub duration: Durations,
}

/// A second of a run, over all parts, with complete histograms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MergedSecond {
    /// Users at its end; in an open model, triggers in flight.
    pub users: u64,
    /// Counts and durations of triggers.
    pub triggers: Triggers,
    /// Requests by label.
    pub requests: BTreeMap<Label, MergedRequests>,
}

impl Store {
    /// Returns the seconds of a run in order, as stored in the tables.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn seconds(&self, run: &KeptRun, range: Range<u64>) -> Result<Vec<KeptSecond>, StoreError> {
        Ok(self.page_of_seconds(run, range, usize::MAX)?.0)
    }

    /// Returns the first seconds of a run in a range, as [`seconds`](Self::seconds) does: as many as have `rows` rows, of a
    /// route in a second each, but at least one. Also returns the number of the next second of the run, in the range or
    /// after it, if there is one.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn page_of_seconds(
        &self,
        run: &KeptRun,
        range: Range<u64>,
        rows: usize,
    ) -> Result<(Vec<KeptSecond>, Option<u64>), StoreError> {
        let mut seconds: Vec<KeptSecond> = Vec::new();
        let (mut read, mut next) = (0, None);
        let mut select = self.connection.prepare_cached(
            "SELECT second, requests, failed, interrupted, received_bytes, sent_bytes, duration_sum_ns, duration_min_ns,
                 duration_p50_ns, duration_p90_ns, duration_p95_ns, duration_p99_ns, duration_p999_ns, duration_max_ns,
                 merged_seconds.route, origin, routes.route, method
             FROM merged_seconds LEFT JOIN routes ON routes.id = merged_seconds.route
             WHERE merged_seconds.run = ? AND second >= ? AND second < ? ORDER BY second, merged_seconds.route",
        )?;
        let mut selected = select.query(bounds(run, &range))?;
        while let Some(row) = selected.next()? {
            // The row for all routes is the first of each second.
            let is_first = row.get::<_, i64>(14)? == merge::ALL;
            if is_first && read >= rows {
                next = Some(number(row, 0)?);
                break;
            }
            read += 1;
            let requests = KeptRequests {
                requests: number(row, 1)?,
                failed: number(row, 2)?,
                interrupted: number(row, 3)?,
                received_bytes: number(row, 4)?,
                sent_bytes: number(row, 5)?,
                duration: Durations::read(row, 6)?,
            };
            if is_first {
                seconds.push(KeptSecond::of(number(row, 0)?, requests));
            } else if let Some(second) = seconds.last_mut() {
                let (origin, route, method) = (row.get(15)?, row.get(16)?, row.get(17)?);
                second.routes.push(KeptRoute { origin, route, method, requests });
            }
        }
        if next.is_none() {
            next = self.second_from(run, range.end)?;
        }
        if let (Some(first), Some(last)) = (seconds.first(), seconds.last()) {
            self.triggers(run, &(first.second..last.second.saturating_add(1)), &mut seconds)?;
        }
        Ok((seconds, next))
    }

    /// Returns the number of the first second of a run from `from` on.
    fn second_from(&self, run: &KeptRun, from: u64) -> Result<Option<u64>, StoreError> {
        let select = "SELECT min(second) FROM merged_seconds WHERE run = ? AND second >= ?";
        let mut select = self.connection.prepare_cached(select)?;
        Ok(select.query_row([run.id, integer(from)], |row| optional(row, 0))?)
    }

    fn triggers(&self, run: &KeptRun, range: &Range<u64>, seconds: &mut [KeptSecond]) -> Result<(), StoreError> {
        let mut select = self.connection.prepare_cached(
            "SELECT second, sum(users), sum(due), sum(done), sum(failed), sum(interrupted),
                 sum(dropped_busy + dropped_unready + dropped_stopped)
             FROM parts JOIN triggers ON triggers.part = parts.id
             WHERE parts.run = ? AND second >= ? AND second < ? GROUP BY second ORDER BY second",
        )?;
        let mut rows = select.query(bounds(run, range))?;
        while let Some(row) = rows.next()? {
            let number_of = number(row, 0)?;
            let Ok(at) = seconds.binary_search_by_key(&number_of, |second| second.second) else { continue };
            let second = &mut seconds[at];
            second.users = optional(row, 1)?.unwrap_or_default();
            second.triggers_due = number(row, 2)?;
            second.triggers_done = number(row, 3)?;
            second.triggers_failed = number(row, 4)?;
            second.triggers_interrupted = number(row, 5)?;
            second.triggers_dropped = number(row, 6)?;
        }
        Ok(())
    }

    /// Returns the seconds of a run by number, with merged histograms. Percentiles over several seconds or routes are
    /// computed from these.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails or is damaged.
    pub fn merged(&self, run: &KeptRun, range: Range<u64>) -> Result<BTreeMap<u64, MergedSecond>, StoreError> {
        let mut seconds: BTreeMap<u64, MergedSecond> = BTreeMap::new();
        let labels = self.labels(run)?;
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT {}, seconds.second FROM parts JOIN seconds ON seconds.part = parts.id
             JOIN series ON series.id = seconds.series
             WHERE parts.run = ? AND seconds.second >= ? AND seconds.second < ?",
            merge::SERIES
        ))?;
        let mut rows = select.query(bounds(run, &range))?;
        while let Some(row) = rows.next()? {
            let Some(label) = labels.get(&row.get(6)?) else { continue };
            let requests = &mut seconds.entry(number(row, 7)?).or_default().requests;
            if !requests.contains_key(label) {
                requests.insert(label.clone(), MergedRequests::default());
            }
            if let Some(merged) = requests.get_mut(label) {
                merged.add(row)?;
            }
        }

        let mut select = self.connection.prepare_cached(
            "SELECT triggers.second, triggers.users, records.record FROM parts JOIN triggers ON triggers.part = parts.id
             JOIN records ON records.part = parts.id AND records.number = triggers.record
             WHERE parts.run = ? AND triggers.second >= ? AND triggers.second < ?",
        )?;
        let known: HashMap<_, _> =
            labels.values().map(|label| ([&*label.origin, &label.route, &label.method], label)).collect();
        let mut rows = select.query(bounds(run, &range))?;
        while let Some(row) = rows.next()? {
            let second = seconds.entry(number(row, 0)?).or_default();
            second.users = second.users.saturating_add(optional(row, 1)?.unwrap_or_default());
            let record: Record = blobs::message(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
            let Some(snapshot) = snapshot_of(&record) else { continue };
            for (label, durations) in merge::durations_of(snapshot) {
                // `seconds` has a row of each series, which has added its label.
                let requests = known.get(&[&*label.origin, &label.route, &label.method]);
                if let Some(requests) = requests.and_then(|label| second.requests.get_mut(*label)) {
                    requests.durations.merge(&durations?);
                }
            }
            if let Some(triggers) = &snapshot.triggers {
                let triggers = Triggers::try_from(triggers).map_err(StoreError::damaged)?;
                let mut both = Snapshot { triggers: std::mem::take(&mut second.triggers), ..Snapshot::default() };
                both.merge(&Snapshot { triggers, ..Snapshot::default() });
                second.triggers = both.triggers;
            }
        }
        Ok(seconds)
    }

    fn labels(&self, run: &KeptRun) -> Result<BTreeMap<i64, Label>, StoreError> {
        let select = "SELECT id, origin, route, method FROM routes WHERE run = ?";
        let mut select = self.connection.prepare_cached(select)?;
        let rows = select.query_map([run.id], |row| {
            let [origin, route, method]: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
            Ok((row.get(0)?, Label::new(origin, route, method)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl KeptSecond {
    fn of(second: u64, requests: KeptRequests) -> Self {
        Self {
            second,
            users: 0,
            requests,
            routes: Vec::new(),
            triggers_due: 0,
            triggers_done: 0,
            triggers_failed: 0,
            triggers_interrupted: 0,
            triggers_dropped: 0,
        }
    }
}

fn bounds(run: &KeptRun, range: &Range<u64>) -> impl rusqlite::Params {
    [run.id, integer(range.start), integer(range.end)]
}

/// Returns the snapshot of a record.
pub(super) fn snapshot_of(record: &Record) -> Option<&pb::Snapshot> {
    let Some(record::Record::Event(pb::Event { event: Some(event) })) = &record.record else { return None };
    match event {
        event::Event::Second(second) => second.snapshot.as_ref(),
        event::Event::Finished(finished) => finished.rest.as_ref(),
        _ => None,
    }
}
