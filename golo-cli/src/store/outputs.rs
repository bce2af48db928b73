//! Requests one by one, as `POST /push/{db}` brings them.

use std::borrow::Cow;

use golo::{
    Output,
    wire::{nanoseconds, unix_nanoseconds},
};
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
            without_credentials(&output.url),
            output.method,
            output.status,
            output.size,
            integer(unix_nanoseconds(output.timestamp)),
            integer(nanoseconds(output.duration)),
            output.error.as_deref().map(without_credentials),
            output.route.as_deref().map(without_credentials),
            output.is_failed(),
        ])?;
    }
    Ok(outputs.len() as u64)
}

/// A text without the user and password of any URL in it.
#[must_use]
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    if !(text.contains("://") && text.contains('@')) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(authority) = rest.find("://").map(|at| at + "://".len()) {
        let (before, from) = rest.split_at(authority);
        kept.push_str(before);
        let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') || c.is_whitespace();
        let end = from.find(ends).unwrap_or(from.len());
        rest = &from[from[..end].rfind('@').map_or(0, |at| at + 1)..];
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn user_and_password_are_taken_out_wherever_they_stand() {
        for (text, expected) in [
            ("http://h/a@b", "http://h/a@b"),
            ("http://user:secret@h:80/a", "http://h:80/a"),
            ("http://user@h?q=a@b", "http://h?q=a@b"),
            ("http://u:p@ss@h", "http://h"),
            ("Get \"https://u:p@h/x\": EOF (mail a@b)", "Get \"https://h/x\": EOF (mail a@b)"),
            ("http://a:b@h/ then ftp://c:d@i/", "http://h/ then ftp://i/"),
            ("a@b", "a@b"),
            ("://", "://"),
            ("@://@", "@://"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }
}
