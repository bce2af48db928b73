//! Tags of triggers per second, as rows for SQL.

use golo::engine::tags::{Tag, Tags};
use rusqlite::{Connection, params};

use super::{StoreError, columns::integer};

/// Stores the tags of a second of a part.
pub(super) fn add(connection: &Connection, part: i64, second: u64, tags: &Tags) -> Result<(), StoreError> {
    if tags.is_empty() {
        return Ok(());
    }
    let second = integer(second);
    let mut insert = connection.prepare_cached(
        "INSERT INTO tags (part, second, key, value, passed, failed, number_avg, number_min, number_p50, number_p95,
             number_p99, number_max)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    for (key, tag) in tags.iter() {
        let [passed, failed] = [false, true].map(|failed| integer(tag.count(Some(failed))));
        let [avg, min, p50, p95, p99, max] = figures(tag);
        insert.execute(params![part, second, key, None::<&str>, passed, failed, avg, min, p50, p95, p99, max])?;
        if tag.is_distribution() {
            continue;
        }
        let none = None::<f64>;
        for (value, counts) in tag.values() {
            let (passed, failed) = (integer(counts.passed), integer(counts.failed));
            let row = params![part, second, key, value, passed, failed, none, none, none, none, none, none];
            if insert.execute(row)? == 0 {
                return Err(StoreError::refused("a tag occurs in two pieces of a snapshot"));
            }
        }
    }
    Ok(())
}

fn figures(tag: &Tag) -> [Option<f64>; 6] {
    if tag.texts().all() > 0 {
        return [None; 6];
    }
    let numbers = tag.numbers(None);
    let quantile = |quantile| numbers.quantile(quantile);
    [numbers.mean(), numbers.min(), quantile(0.5), quantile(0.95), quantile(0.99), numbers.max()]
}
