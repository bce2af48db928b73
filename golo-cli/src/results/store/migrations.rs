//! Versions of the database schema. Each is a numbered SQL file that upgrades the version before.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// SQL that upgrades version `n` to version `n + 1`.
const MIGRATIONS: [&str; 6] = [
    include_str!("migrations/0001_runs.sql"),
    include_str!("migrations/0002_tags.sql"),
    include_str!("migrations/0003_route_priorities.sql"),
    include_str!("migrations/0004_rates.sql"),
    include_str!("migrations/0005_metrics.sql"),
    include_str!("migrations/0006_small_records.sql"),
];

/// Application ID `golo`, which marks a database of any version; the `file` command shows it.
const APPLICATION: i32 = i32::from_be_bytes(*b"golo");

/// Rejects databases of other programs and of newer versions of golo.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = || -> rusqlite::Result<(i32, usize, bool)> {
        let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let is_empty = connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))?;
        Ok((application, version(connection)?, is_empty))
    };
    let (application, version, is_empty) = read().map_err(|error| StoreError::open(path, error))?;
    if application != APPLICATION && !(is_empty && version == 0 && application == 0) {
        return Err(StoreError::Unusable(format!("{} is a database of another program", path.display())));
    }
    if version > MIGRATIONS.len() {
        return Err(StoreError::Unusable(format!(
            "{} was written by a newer golo: its version is {version}, and this golo supports versions up to {}",
            path.display(),
            MIGRATIONS.len()
        )));
    }
    Ok(())
}

/// Upgrades the database to the latest version.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let mut migrate = || -> rusqlite::Result<()> {
        if version(connection)? >= MIGRATIONS.len() {
            return Ok(());
        }
        // A migration may replace a table that others refer to. SQLite ignores this setting within a transaction.
        let checks: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
        connection.pragma_update(None, "foreign_keys", false)?;
        let migrated = upgrade(connection);
        connection.pragma_update(None, "foreign_keys", checks)?;
        migrated
    };
    migrate().map_err(|error| StoreError::open(path, error))
}

fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have upgraded it in the meantime.
    for migration in MIGRATIONS.iter().skip(version(&transaction)?) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}
