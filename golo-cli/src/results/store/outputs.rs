//! Single requests from `POST /push/{db}`.

use golo::Output;
use golo::cli::without_secrets;
use golo::wire::{nanoseconds, unix_nanoseconds};
use rusqlite::{Connection, params};

use super::{StoreError, columns::integer, names::check_database_name};

pub(super) fn push(connection: &Connection, database: &str, outputs: &[Output]) -> Result<u64, StoreError> {
    check_database_name(database)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO outputs (db, sequence_id, url, method, status, size_bytes, timestamp_ns, duration_ns, error, route,
             failed)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for output in outputs {
        insert.execute(params![
            database,
            output.sequence_id,
            without_secrets(&output.url),
            output.method,
            output.status,
            output.size,
            integer(unix_nanoseconds(output.timestamp)),
            integer(nanoseconds(output.duration)),
            output.error.as_deref().map(without_secrets),
            output.route.as_deref().map(without_secrets),
            output.is_failed(),
        ])?;
    }
    Ok(outputs.len() as u64)
}
