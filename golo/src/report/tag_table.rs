//! Table of tags of `csv=`.

use std::{borrow::Cow, io};

use super::{
    document::{Spread, Tag, Tags, other_values},
    tables::harmless,
};
use crate::engine::Finished;

/// Writes a row for each value of a key, the most frequent first. For each key whose values are numbers, it also writes
/// a row with their distribution: for all triggers, for those that passed and for those that failed.
///
/// # Errors
///
/// Returns an error if writing to `to` fails.
pub(super) fn tags(finished: &Finished, to: impl io::Write) -> io::Result<()> {
    let tags = Tags::of(&finished.totals.tags);
    let mut table = csv::Writer::from_writer(to);
    let heads =
        ["key", "value", "numbers_of", "count", "failed", "avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
    table.write_record(heads)?;
    for tag in &tags.keys {
        let other = tag.other.iter().map(|other| (other_values(), other));
        for (name, value) in tag.values.iter().map(|value| (value.value.to_owned(), value)).chain(other) {
            let mut row = vec![harmless(tag.key), harmless(&name), Cow::Borrowed("")];
            row.extend([value.count(), value.failed].map(|number| Cow::Owned(number.to_string())));
            row.resize(heads.len(), Cow::Borrowed(""));
            table.write_record(row.iter().map(|cell| cell.as_bytes()))?;
        }
        for (of, failed, spread) in spreads(tag) {
            let mut row = vec![harmless(tag.key), Cow::Borrowed(""), Cow::Borrowed(of)];
            row.extend([spread.count, failed].map(|number| Cow::Owned(number.to_string())));
            row.extend(spread.figures().map(|number| Cow::Owned(format!("{number:.3}"))));
            table.write_record(row.iter().map(|cell| cell.as_bytes()))?;
        }
    }
    if tags.beyond > 0 {
        let mut row = vec!["(other keys)".to_owned(), String::new(), String::new(), tags.beyond.to_string()];
        row.resize(heads.len(), String::new());
        table.write_record(&row)?;
    }
    table.flush()
}

fn spreads(tag: &Tag<'_>) -> impl Iterator<Item = (&'static str, u64, Spread)> {
    let all = [
        ("all", tag.failed, tag.numbers),
        ("passed", 0, tag.numbers_passed),
        ("failed", tag.failed, tag.numbers_failed),
    ];
    all.into_iter().filter_map(|(of, failed, spread)| Some((of, failed, spread?)))
}
