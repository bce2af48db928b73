//! Requests of a second, merged over parts and outcomes. Percentiles cannot be computed from percentiles, so histograms
//! are merged.

use std::collections::{BTreeMap, BTreeSet};

use golo::engine::histogram::Histogram;
use golo_proto::engine::{self as pb, series::Outcome};
use golo_proto::results::Record;
use rusqlite::{Connection, Row};

use super::columns::{Durations, Parameters, integer, number};
use super::seconds::{histogram, snapshot_of};
use super::{StoreError, blobs, series};

/// Method of a measured step.
const STEP: &str = "MEASURE";

/// Route number of the rows for all routes together.
pub(super) const ALL: i64 = 0;

/// Merged requests of several series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MergedRequests {
    /// Number of failed requests.
    pub failed: u64,
    /// Number of requests interrupted by the end of the run; no other field includes them.
    pub interrupted: u64,
    /// Bytes of response bodies.
    pub received_bytes: u64,
    /// Bytes of request bodies.
    pub sent_bytes: u64,
    /// Durations of the requests.
    pub durations: Histogram,
}

impl MergedRequests {
    /// Adds a row that begins with the columns of [`SERIES`].
    pub(super) fn add(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let requests = number(row, 2)?;
        if row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)? == "interrupted" {
            self.interrupted = self.interrupted.saturating_add(requests);
            return Ok(());
        }
        if row.get(1)? {
            self.failed = self.failed.saturating_add(requests);
        }
        self.received_bytes = self.received_bytes.saturating_add(number(row, 3)?);
        self.sent_bytes = self.sent_bytes.saturating_add(number(row, 4)?);
        self.durations.merge(&histogram(row.get_ref(5)?)?);
        Ok(())
    }

    /// Adds the requests of other series.
    pub fn merge(&mut self, other: &Self) {
        let Self { failed, interrupted, received_bytes, sent_bytes, durations } = other;
        for (to, from) in [
            (&mut self.failed, failed),
            (&mut self.interrupted, interrupted),
            (&mut self.received_bytes, received_bytes),
            (&mut self.sent_bytes, sent_bytes),
        ] {
            *to = to.saturating_add(*from);
        }
        self.durations.merge(durations);
    }
}

/// Columns of `series` and `seconds` that [`MergedRequests::add`] reads.
pub(super) const SERIES: &str = "series.outcome, series.failed, seconds.requests, seconds.received_bytes, \
     seconds.sent_bytes, seconds.durations, series.route";

/// Recomputes the merged rows of a second. The row for all routes contains requests only, no measured steps.
pub(super) fn second(connection: &Connection, run: i64, second: u64) -> Result<(), StoreError> {
    let second = integer(second);
    let mut routes: BTreeMap<i64, MergedRequests> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    let mut select = connection.prepare_cached(&format!(
        "SELECT {SERIES}, routes.method FROM parts JOIN seconds ON seconds.part = parts.id
         JOIN series ON series.id = seconds.series JOIN routes ON routes.id = series.route
         WHERE parts.run = ? AND seconds.second = ?"
    ))?;
    let mut rows = select.query([run, second])?;
    while let Some(row) = rows.next()? {
        let route = row.get(6)?;
        if row.get_ref(7)?.as_str().map_err(rusqlite::Error::from)? == STEP {
            steps.insert(route);
        }
        routes.entry(route).or_default().add(row)?;
    }
    add_durations(connection, run, second, &mut routes)?;
    let mut all = MergedRequests::default();
    routes.iter().filter(|(route, _)| !steps.contains(route)).for_each(|(_, route)| all.merge(route));
    routes.insert(ALL, all);

    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO merged_seconds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (route, merged) in &routes {
        let MergedRequests { failed, interrupted, received_bytes, sent_bytes, durations } = merged;
        let counts = [durations.count(), *failed, *interrupted, *received_bytes, *sent_bytes];
        let parameters =
            Parameters::of([run, second, *route]).numbers(counts.map(integer)).durations(&Durations::of(durations));
        insert.execute(parameters.all())?;
    }
    Ok(())
}

/// Adds the durations that are in records, and not in `seconds`.
fn add_durations(
    connection: &Connection,
    run: i64,
    second: i64,
    routes: &mut BTreeMap<i64, MergedRequests>,
) -> Result<(), StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT records.record FROM parts JOIN triggers ON triggers.part = parts.id
         JOIN records ON records.part = parts.id AND records.number = triggers.record
         WHERE parts.run = ? AND triggers.second = ?",
    )?;
    let mut rows = select.query([run, second])?;
    while let Some(row) = rows.next()? {
        let record: Record = blobs::message(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let Some(snapshot) = snapshot_of(&record) else { continue };
        for (label, durations) in durations_of(snapshot) {
            if let Some(route) = series::route(connection, run, label)? {
                routes.entry(route).or_default().durations.merge(&durations?);
            }
        }
    }
    Ok(())
}

/// Returns the durations of the requests of a snapshot, by label. Those of pieces are in `seconds`.
pub(super) fn durations_of(
    snapshot: &pb::Snapshot,
) -> impl Iterator<Item = (&pb::Label, Result<Histogram, StoreError>)> {
    let is_whole = snapshot.piece() == pb::Piece::Whole;
    let series = snapshot.requests.iter().filter(move |_| is_whole);
    series.filter_map(|series| {
        let durations =
            series.durations.as_ref().filter(|_| !matches!(series.outcome, Some(Outcome::Interrupted(_))))?;
        Some((series.label.as_ref()?, Histogram::try_from(durations).map_err(StoreError::damaged)))
    })
}
