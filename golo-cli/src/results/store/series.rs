//! Series: request labels with their outcomes.

use std::collections::BTreeMap;

use golo::engine::series::TagPairs;
use golo_proto::engine::{self as pb, ErrorKind, series::Outcome};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{KeptRun, Store, StoreError, columns::number, metrics};

/// Prefix of [`ErrorKind`] names in the protocol.
const PREFIX: &str = "ERROR_KIND_";

/// A series of a run, with totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptSeries {
    /// Scheme, host and port; empty if the request is not HTTP.
    pub origin: String,
    /// Name from the load test, or the path with `{id}` for its variable parts.
    pub route: String,
    /// HTTP method, or `MEASURE`.
    pub method: String,
    /// `answered`, `unexpected`, `failed` or `interrupted`.
    pub outcome: String,
    /// HTTP status of the response; 0 if there is none.
    pub status: u64,
    /// Kind of error; empty if there is none. For `unexpected`, it is `content` if the load test rejected the content,
    /// and empty if it rejected the status.
    pub error: String,
    /// True if such a request counts as failed.
    pub failed: bool,
    /// Tags that the load test set.
    pub tags: BTreeMap<String, String>,
    /// Number of requests.
    pub requests: u64,
    /// Bytes of response bodies.
    pub received_bytes: u64,
    /// Bytes of request bodies that were handed to a connection.
    pub sent_bytes: u64,
}

impl Store {
    /// Returns the series of a run, ordered by route.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails.
    pub fn series(&self, run: &KeptRun) -> Result<Vec<KeptSeries>, StoreError> {
        // `sum` fails on integer overflow; `total` is exact up to 2^53.
        let mut select = self.connection.prepare_cached(
            "SELECT origin, routes.route, method, outcome, status, error, series.failed,
                 CAST(total(requests) AS INTEGER), CAST(total(received_bytes) AS INTEGER),
                 CAST(total(sent_bytes) AS INTEGER), series.tags
             FROM parts JOIN seconds ON seconds.part = parts.id JOIN series ON series.id = seconds.series
             JOIN routes ON routes.id = series.route
             WHERE parts.run = ? GROUP BY series.id ORDER BY origin, routes.route, method, outcome, status, error,
                 series.tags",
        )?;
        let rows = select.query_map([run.id], |row| {
            Ok(KeptSeries {
                origin: row.get(0)?,
                route: row.get(1)?,
                method: row.get(2)?,
                outcome: row.get(3)?,
                status: number(row, 4)?,
                error: row.get(5)?,
                failed: row.get(6)?,
                tags: serde_json::from_str(row.get_ref(10)?.as_str()?).unwrap_or_default(),
                requests: number(row, 7)?,
                received_bytes: number(row, 8)?,
                sent_bytes: number(row, 9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Returns the ID of a series, and whether it counts as failed.
pub(super) fn find_or_add(connection: &Connection, run: i64, written: &pb::Series) -> Result<(i64, bool), StoreError> {
    let pb::Label { origin, route, method, priority, tags } =
        written.label.as_ref().ok_or_else(|| StoreError::refused("a series without a label"))?;
    let (outcome, status, error, is_failed) = columns_of(written.outcome, written.is_content)?;
    let tags: TagPairs = tags.iter().map(|pb::TagPair { key, value }| (key, value)).collect();
    let tags = metrics::json(&tags);
    let known = connection
        .prepare_cached("SELECT id, priority FROM routes WHERE run = ? AND origin = ? AND route = ? AND method = ?")?
        .query_row(params![run, origin, route, method], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let route: i64 = match known {
        Some((route, known)) => {
            let both = priority_of_both(known, *priority, method.is_empty());
            if both != known {
                let update = "UPDATE routes SET priority = ? WHERE id = ?";
                connection.prepare_cached(update)?.execute(params![both, route])?;
            }
            route
        }
        None => {
            let insert = "INSERT INTO routes (run, origin, route, method, priority) VALUES (?, ?, ?, ?, ?)";
            connection.prepare_cached(insert)?.insert(params![run, origin, route, method, priority])?
        }
    };
    let known = connection
        .prepare_cached(
            "SELECT id FROM series WHERE route = ? AND outcome = ? AND status = ? AND error = ? AND tags = ?",
        )?
        .query_row(params![route, outcome, status, error, tags], |row| row.get(0))
        .optional()?;
    let series = match known {
        Some(series) => series,
        None => {
            let insert = "INSERT INTO series (route, outcome, status, error, failed, tags) VALUES (?, ?, ?, ?, ?, ?)";
            connection.prepare_cached(insert)?.insert(params![route, outcome, status, error, is_failed, tags])?
        }
    };
    Ok((series, is_failed))
}

/// Returns the ID of the route of a label, if it is stored.
pub(super) fn route(connection: &Connection, run: i64, label: &pb::Label) -> Result<Option<i64>, StoreError> {
    let pb::Label { origin, route, method, .. } = label;
    let mut select =
        connection.prepare_cached("SELECT id FROM routes WHERE run = ? AND origin = ? AND route = ? AND method = ?")?;
    Ok(select.query_row(params![run, origin, route, method], |row| row.get(0)).optional()?)
}

/// Returns the priority of a route that two senders report. For the route that stands for all others, unknown wins.
fn priority_of_both(one: i32, other: i32, is_other: bool) -> i32 {
    let unknown = i32::from(pb::Priority::Unknown);
    if is_other && (one == unknown || other == unknown) { unknown } else { one.max(other) }
}

/// Returns the columns of an outcome: its name, status and error, and whether it counts as failed.
fn columns_of(outcome: Option<Outcome>, is_content: bool) -> Result<(&'static str, u16, String, bool), StoreError> {
    let status = |status: u32| {
        u16::try_from(status).map_err(|_| StoreError::refused(format!("a series with the status {status}")))
    };
    Ok(match outcome.ok_or_else(|| StoreError::refused("a series without an outcome"))? {
        Outcome::Answered(answered) => ("answered", status(answered)?, String::new(), false),
        Outcome::Unexpected(unexpected) => {
            let error = if is_content { error(ErrorKind::Content.into()) } else { String::new() };
            ("unexpected", status(unexpected)?, error, true)
        }
        Outcome::Failed(kind) => ("failed", 0, error(kind), true),
        Outcome::Interrupted(_) => ("interrupted", 0, String::new(), false),
    })
}

/// Returns the name of an error, for example `dns`, or the number of an error from a later version.
fn error(kind: i32) -> String {
    ErrorKind::try_from(kind)
        .map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().trim_start_matches(PREFIX).to_ascii_lowercase())
}

/// Reads the label, the outcome and whether it was caused by the content, from the columns that begin at `at`: origin,
/// route, method, priority, outcome, status, error, tags.
pub(super) fn read(row: &Row<'_>, at: usize) -> Result<(pb::Label, Outcome, bool), StoreError> {
    let text = |at: usize| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str()?);
    let tags = metrics::tags(text(at + 7)?).map_err(StoreError::damaged)?;
    let pair = |(key, value): (&str, &str)| pb::TagPair { key: key.to_owned(), value: value.to_owned() };
    let label = pb::Label {
        origin: row.get(at)?,
        route: row.get(at + 1)?,
        method: row.get(at + 2)?,
        priority: row.get(at + 3)?,
        tags: tags.iter().map(pair).collect(),
    };
    let outcome = match text(at + 4)? {
        "answered" => Outcome::Answered(row.get(at + 5)?),
        "unexpected" => Outcome::Unexpected(row.get(at + 5)?),
        "interrupted" => Outcome::Interrupted(true),
        _ => {
            let error: String = row.get(at + 6)?;
            let kind = ErrorKind::from_str_name(&format!("{PREFIX}{}", error.to_ascii_uppercase()));
            Outcome::Failed(kind.map_or_else(|| error.parse().unwrap_or_default(), i32::from))
        }
    };
    let is_content = matches!(outcome, Outcome::Unexpected(_)) && !text(at + 6)?.is_empty();
    Ok((label, outcome, is_content))
}
