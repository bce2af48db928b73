//! Readers of rows from files. Errors never quote a row, because it may contain secrets.

use std::{fmt, fs, path::Path};

use csv::{DeserializeErrorKind, ErrorKind, Position, ReaderBuilder, StringRecord};
use serde::de::DeserializeOwned;

use crate::Error;

/// An error in a file's text, and the byte at which it is.
struct Mistake {
    at: usize,
    reason: Reason,
}

impl Mistake {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: Reason(reason.into()) }
    }
}

/// Reason why a row is invalid, without its contents.
#[derive(Debug)]
struct Reason(String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

/// Reads the rows of the file. Returns at least one.
pub(super) fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    let shown = path.display();
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let parse: fn(&str) -> Result<Vec<T>, Mistake> = match &*extension {
        "csv" => |text| separated(text, b','),
        "tsv" => |text| separated(text, b'\t'),
        "json" => array,
        "jsonl" | "ndjson" => lines,
        _ => {
            let known = Reason("expected the extension .csv, .tsv, .json, .jsonl or .ndjson".to_owned());
            return Err(Error::feed(format!("unknown format of `{shown}`"), Some(known.into())));
        }
    };
    let bytes = fs::read(path).map_err(|error| Error::feed(format!("could not read `{shown}`"), Some(error.into())))?;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let rows = match str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => Err(Mistake::new(error.valid_up_to(), "not UTF-8 text")),
    };
    match rows {
        Ok(rows) if rows.is_empty() => Err(Error::feed(format!("`{shown}` has no rows"), None)),
        Ok(rows) => Ok(rows),
        Err(Mistake { at, reason }) => {
            let line = 1 + newlines(&bytes[..at]);
            Err(Error::feed(format!("could not read line {line} of `{shown}`"), Some(reason.into())))
        }
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// Reads the rows of CSV, or of the same format with another delimiter.
fn separated<T: DeserializeOwned>(text: &str, delimiter: u8) -> Result<Vec<T>, Mistake> {
    let start = blank_lines_before(text);
    let table = &text[start..];
    let table = &table[..table.len() - blank_lines_after(table)];
    let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(table.as_bytes());

    let place = |position: Option<&Position>| start + position.map_or(0, |position| record_start(table, position));
    let mistake = |error: csv::Error| Mistake::new(place(error.position()), reason_of_csv(error.kind()));
    // The reader accepts the end of the text as a closing quote. So a stray quote makes one value of all that follows.
    let closed = table.trim_end().ends_with('"');
    let check = |record: &StringRecord, end: &Position| {
        let takes_the_rest = end.byte() >= table.len() as u64 && record.iter().next_back()?.contains('\n');
        (takes_the_rest && !closed)
            .then(|| Mistake::new(place(record.position()), "a quoted value has no closing quote"))
    };

    let header = reader.headers().map_err(mistake)?.clone();
    if let Some(mistake) = check(&header, reader.position()) {
        return Err(mistake);
    }
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(mistake)? {
        if let Some(mistake) = check(&record, reader.position()) {
            return Err(mistake);
        }
        if record.len() != header.len() {
            let reason = format!("{} values, but the header has {} fields", record.len(), header.len());
            return Err(Mistake::new(place(record.position()), reason));
        }
        rows.push(record.deserialize(Some(&header)).map_err(mistake)?);
    }
    Ok(rows)
}

/// Characters of lines that look empty. Tabs separate values.
const BLANK: [char; 3] = [' ', '\r', '\n'];

fn blank_lines_before(text: &str) -> usize {
    let blank = text.len() - text.trim_start_matches(BLANK).len();
    text[..blank].rfind('\n').map_or(0, |newline| newline + 1)
}

fn blank_lines_after(text: &str) -> usize {
    let blank = &text[text.trim_end_matches(BLANK).len()..];
    blank.find('\n').map_or(0, |newline| blank.len() - newline)
}

/// Returns the byte at which a record begins. csv's position is before the line ends and blank lines that it skips.
fn record_start(text: &str, position: &Position) -> usize {
    let before = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(text.len());
    text.len() - text[before..].trim_start_matches(['\r', '\n']).len()
}

fn reason_of_csv(kind: &ErrorKind) -> String {
    let ErrorKind::Deserialize { err, .. } = kind else {
        return "not CSV".to_owned();
    };
    let expected = match err.kind() {
        DeserializeErrorKind::Message(message) => return without_values(message),
        DeserializeErrorKind::Unsupported(_) => return "a row cannot contain a value of its type".to_owned(),
        DeserializeErrorKind::UnexpectedEndOfRow => return "fewer values than its type has fields".to_owned(),
        DeserializeErrorKind::InvalidUtf8(_) => "UTF-8 text",
        DeserializeErrorKind::ParseBool(_) => "`true` or `false`",
        DeserializeErrorKind::ParseInt(error) => match error.kind() {
            std::num::IntErrorKind::PosOverflow => "a smaller integer",
            std::num::IntErrorKind::NegOverflow => "a larger integer",
            _ => "an integer",
        },
        DeserializeErrorKind::ParseFloat(_) => "a number",
    };
    match err.field() {
        Some(field) => format!("value {}: expected {expected}", field + 1),
        None => format!("expected {expected}"),
    }
}

/// Reads the rows of a JSON array one by one, so that the line of each is known.
fn array<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, Mistake> {
    let mut rows = Vec::new();
    let mut at = skip_space(text, 0);
    if at == text.len() {
        return Ok(rows);
    }
    if !text[at..].starts_with('[') {
        return Err(Mistake::new(at, "expected an array of rows"));
    }
    at = skip_space(text, at + 1);
    let mut ended = text[at..].starts_with(']');
    while !ended {
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter();
        match values.next() {
            Some(Ok(row)) => rows.push(row),
            Some(Err(error)) => return Err(mistake_of_json(text, at, &error)),
            None => return Err(Mistake::new(text.len(), "the array is not closed")),
        }
        at = skip_space(text, at + values.byte_offset());
        match text.as_bytes().get(at) {
            Some(b',') => at = skip_space(text, at + 1),
            Some(b']') => ended = true,
            Some(_) => return Err(Mistake::new(at, "expected `,` or `]`")),
            None => return Err(Mistake::new(at, "the array is not closed")),
        }
    }
    match skip_space(text, at + 1) {
        end if end == text.len() => Ok(rows),
        rest => Err(Mistake::new(rest, "expected nothing after the array")),
    }
}

/// Reads the rows of JSON Lines.
fn lines<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, Mistake> {
    let mut rows = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if skip_space(line, 0) < line.len() {
            rows.push(serde_json::from_str(line.trim_end()).map_err(|error| mistake_of_json(text, at, &error))?);
        }
        at += line.len();
    }
    Ok(rows)
}

/// Returns the first byte from `at` on that is not JSON whitespace.
fn skip_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches([' ', '\t', '\r', '\n']).len()
}

/// Locates a JSON error. Its line and column count from the byte `from` of `text`.
fn mistake_of_json(text: &str, from: usize, error: &serde_json::Error) -> Mistake {
    let lines_before = error.line().saturating_sub(1);
    let line = from + text[from..].split_inclusive('\n').take(lines_before).map(str::len).sum::<usize>();
    let at = (line + error.column().saturating_sub(1)).min(text.len());
    let column = 1 + at - text[..line].rfind('\n').map_or(0, |newline| newline + 1);

    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&place).unwrap_or(&message);
    // Syntax errors have fixed texts. Errors about a value quote it.
    let reason = if error.is_data() { without_values(message) } else { message.to_owned() };
    Mistake::new(line, format!("column {column}: {reason}"))
}

/// Returns a message of serde without the value that it quotes. The names and expectations in it belong to the type.
///
/// Any other message comes from a `Deserialize` of the user or a library, and may quote anything.
fn without_values(message: &str) -> String {
    let names = ["missing field `", "duplicate field `"];
    if let Some(name) = names.iter().find_map(|start| message.strip_prefix(start)?.strip_suffix('`'))
        && !name.contains('`')
    {
        return message.to_owned();
    }
    let quotes = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];
    let found = quotes.iter().find(|start| message.starts_with(**start)).zip(message.rsplit_once(", expected "));
    match found {
        Some((start, (_, expected))) => format!("{start}, expected {expected}"),
        None => "its type rejects a value (the reason is left out because it may quote the value)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::user::feed;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Login {
        user: String,
        password: String,
    }

    fn login(user: &str, password: &str) -> Login {
        Login { user: user.to_owned(), password: password.to_owned() }
    }

    /// Reads a file of this name and contents. Returns its rows and its path.
    fn read_at<T: DeserializeOwned>(name: &str, contents: impl AsRef<[u8]>) -> (Result<Vec<T>, Error>, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, contents).unwrap();
        (rows(&path), path.display().to_string())
    }

    fn read<T: DeserializeOwned>(name: &str, contents: impl AsRef<[u8]>) -> Result<Vec<T>, Error> {
        read_at(name, contents).0
    }

    /// Returns message and reason, with the file's name instead of its path.
    fn error<T: DeserializeOwned>(name: &str, contents: impl AsRef<[u8]>) -> String {
        let (rows, path) = read_at::<T>(name, contents);
        let error = rows.err().unwrap();
        assert!(error.is_feed());
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        let reason = error.source().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{error}{reason}").replace(&path, name)
    }

    #[test]
    fn rows_reads_every_format() {
        let rows = [login("ada", "one"), login("bob", "two, three")];
        for (name, contents) in [
            ("a.csv", "user,password\nada,one\nbob,\"two, three\"\n"),
            ("a.CSV", "password,ignored,user\none,1,ada\n\"two, three\",2,bob"),
            ("a.tsv", "user\tpassword\nada\tone\nbob\ttwo, three\n"),
            (
                "a.json",
                "\n [ {\"user\":\"ada\",\"password\":\"one\"} ,\n{\"user\":\"bob\",\"password\":\"two, three\"}\n]\n",
            ),
            (
                "a.jsonl",
                "\n{\"user\":\"ada\",\"password\":\"one\"}\n\n \t\r\n{\"user\":\"bob\",\"password\":\"two, three\"}",
            ),
            (
                "a.ndjson",
                "{\"user\":\"ada\",\"password\":\"one\"}\r\n{\"user\":\"bob\",\"password\":\"two, three\"}\r\n",
            ),
        ] {
            assert_eq!(read::<Login>(name, contents).unwrap(), rows, "{name}");
            assert_eq!(read::<Login>(name, format!("\u{feff}{contents}")).unwrap(), rows, "{name} with a BOM");
            assert_eq!(read::<Login>(name, contents.replace('\n', "\r\n")).unwrap(), rows, "{name} with CRLF");
            assert_eq!(read::<Login>(name, format!("\n\n  \n{contents}\n \n\n")).unwrap(), rows, "{name} among blanks");
        }
    }

    #[test]
    fn feed_deals_the_rows_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users.csv");
        fs::write(&path, "user,password\nada,one\n").unwrap();
        let users = feed::feed::<Login>(&path).unwrap().unique();
        assert_eq!((users.next(), users.next()), (Some(&login("ada", "one")), None));
    }

    #[test]
    fn quoted_values_may_contain_anything() {
        let contents = "user,password\n\"a \"\"b\"\"\",\"one\ntwo\r\n\"\n\n\"\",  spaces  \n\n";
        let rows = [login("a \"b\"", "one\ntwo\r\n"), login("", "  spaces  ")];
        assert_eq!(read::<Login>("a.csv", contents).unwrap(), rows);
        assert_eq!(read::<Login>("a.csv", "user,password\na,\"b\nc\" \n").unwrap(), [login("a", "b\nc ")]);
    }

    #[test]
    fn rows_reads_other_types() {
        assert_eq!(read::<(String, u16)>("a.csv", "host,port\nlocalhost,80\n").unwrap(), [("localhost".into(), 80)]);
        assert_eq!(read::<String>("a.csv", "url\n/a\n/b\n").unwrap(), ["/a", "/b"]);
        assert_eq!(read::<u8>("a.json", "[1,2 , 3]").unwrap(), [1, 2, 3]);
        assert_eq!(read::<Option<u8>>("a.json", "[null,1]").unwrap(), [None, Some(1)]);
        assert_eq!(read::<String>("a.jsonl", "\"/a\"\n\"/b\"").unwrap(), ["/a", "/b"]);
    }

    #[test]
    fn rows_rejects_unknown_extensions_and_empty_files() {
        assert_eq!(
            error::<Login>("users.txt", ""),
            "unknown format of `users.txt`: \
             expected the extension .csv, .tsv, .json, .jsonl or .ndjson"
        );
        assert!(error::<Login>("users", "").starts_with("unknown format of `users`"));
        for (name, contents) in [
            ("a.csv", ""),
            ("a.csv", "\n  \n"),
            ("a.csv", "user,password"),
            ("a.csv", "\u{feff}user,password\r\n\r\n"),
            ("a.tsv", "user\tpassword\n"),
            ("a.json", ""),
            ("a.json", " [ ] "),
            ("a.jsonl", "\n \n"),
        ] {
            assert_eq!(error::<Login>(name, contents), format!("`{name}` has no rows"));
        }
    }

    #[test]
    fn rows_reports_a_missing_file() {
        let error = feed::feed::<Login>("no/such/users.csv").unwrap_err();
        assert!(error.is_feed());
        assert_eq!(error.to_string(), "could not read `no/such/users.csv`");
        assert!(error.source().unwrap().to_string().to_lowercase().contains("no such file") || cfg!(windows));
    }

    #[test]
    fn rows_rejects_text_that_is_not_utf_8() {
        assert_eq!(
            error::<Login>("a.csv", b"\xEF\xBB\xBFuser,password\nhunter2,\xFF\n"),
            "could not read line 2 of `a.csv`: not UTF-8 text"
        );
        assert_eq!(error::<Login>("a.json", b"\xFF\xFE[\0"), "could not read line 1 of `a.json`: not UTF-8 text");
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Account {
        name: String,
        kind: Kind,
        age: u8,
        active: bool,
        score: f32,
        address: Option<std::net::IpAddr>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Basic,
        Admin,
    }

    #[test]
    fn rows_reports_bad_csv_rows() {
        let header = "name,kind,age,active,score,address";
        for (row, reason) in [
            ("a,Basic,hunter2,true,1,", "value 3: expected an integer"),
            ("a,Basic,256,true,1,", "value 3: expected a smaller integer"),
            ("a,Basic,3,hunter2,1,", "value 4: expected `true` or `false`"),
            ("a,Basic,3,true,hunter2,", "value 5: expected a number"),
            ("a,hunter2,3,true,1,", "unknown variant, expected `Basic` or `Admin`"),
            ("a,\"hunter2, expected hunter2\",3,true,1,", "unknown variant, expected `Basic` or `Admin`"),
            (
                "a,Admin,3,true,1,hunter2",
                "its type rejects a value (the reason is left out because it may quote the value)",
            ),
            ("a,hunter2", "2 values, but the header has 6 fields"),
            ("a,b,c,d,e,f,hunter2", "7 values, but the header has 6 fields"),
            ("a,Basic,3,true,1,\"hunter2\n\n", "a quoted value has no closing quote"),
        ] {
            for (before, line) in [("", 3), ("\n\n", 5), ("b,Basic,1,true,1,\n\n\n", 6)] {
                let contents = format!("{header}\n{before}\n{row}\nb,Basic,1,true,1");
                let expected = format!("could not read line {line} of `a.csv`: {reason}");
                assert_eq!(error::<Account>("a.csv", &contents), expected);
                assert_eq!(error::<Account>("a.csv", contents.replace('\n', "\r\n")), expected);
                assert_eq!(error::<Account>("a.tsv", contents.replace(',', "\t")).replace(".tsv", ".csv"), {
                    if row.contains(", expected") { expected.clone() } else { expected }
                });
            }
        }
    }

    #[test]
    fn rows_reports_a_header_that_does_not_fit() {
        let place = "could not read line 2 of `a.csv`";
        assert_eq!(error::<Login>("a.csv", "user,pass\nada,hunter2\n"), format!("{place}: missing field `password`"));
        assert_eq!(error::<Login>("a.csv", "user,user\nada,hunter2\n"), format!("{place}: duplicate field `user`"));
        assert_eq!(
            error::<Account>("a.csv", "hunter2,password\nada,hunter2\n"),
            format!("{place}: unknown field, expected one of `name`, `kind`, `age`, `active`, `score`, `address`"),
            "a file without a header has values there"
        );
        assert_eq!(
            error::<Login>("a.csv", "user,\"password\nada,hunter2\n"),
            "could not read line 1 of `a.csv`: a quoted value has no closing quote"
        );
        assert_eq!(
            error::<(String, String, u8)>("a.csv", "a,b\nc,hunter2"),
            format!("{place}: invalid length, expected a tuple of size 3")
        );
    }

    #[test]
    fn rows_reports_bad_json_rows() {
        for (row, reason) in [
            (r#"{"user":"a","password":1}"#, "column 24: invalid type, expected a string"),
            (r#"{"user":"hunter2"}"#, "column 18: missing field `password`"),
            (r#""hunter2""#, "column 9: invalid type, expected struct Login"),
            (r#"{"user":"hunter2" "password""#, "column 19: expected `,` or `}`"),
            (r#"hunter2"#, "column 1: expected value"),
        ] {
            assert_eq!(
                error::<Login>("a.jsonl", format!("{{\"user\":\"\",\"password\":\"\"}}\n\n{row}\n")),
                format!("could not read line 3 of `a.jsonl`: {reason}"),
            );
            assert_eq!(
                error::<Login>("a.json", format!("[{{\"user\":\"\",\"password\":\"\"}},\n\n{row}\n]")),
                format!("could not read line 3 of `a.json`: {reason}"),
            );
        }
        assert_eq!(
            error::<Login>("a.json", "[\n  {\"user\":\"\",\n  \"password\": true}]"),
            "could not read line 3 of `a.json`: column 18: invalid type, expected a string",
        );
        assert_eq!(
            error::<std::net::IpAddr>("a.json", "[ \"::1\", \"hunter2\"]"),
            "could not read line 1 of `a.json`: \
             column 18: its type rejects a value (the reason is left out because it may quote the value)"
        );
    }

    #[test]
    fn rows_rejects_json_that_is_not_an_array() {
        for (contents, line, reason) in [
            (r#"{"user":"hunter2"}"#, 1, "expected an array of rows"),
            ("\n\n\"hunter2\"", 3, "expected an array of rows"),
            ("[\n1\n2]", 3, "expected `,` or `]`"),
            ("[1\n", 2, "the array is not closed"),
            ("[1,\n", 2, "the array is not closed"),
            ("[\n", 2, "the array is not closed"),
            ("[1,\n]", 2, "column 1: expected value"),
            ("[1\n]\n2", 3, "expected nothing after the array"),
            ("[1]]", 1, "expected nothing after the array"),
        ] {
            assert_eq!(error::<u8>("a.json", contents), format!("could not read line {line} of `a.json`: {reason}"));
        }
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Row {
        text: String,
        number: i64,
        flag: bool,
        other: String,
    }

    fn row() -> impl Strategy<Value = Row> {
        let text = || prop_oneof![any::<String>(), "[a\",\t\r\n é]{0,6}"];
        (text(), any::<i64>(), any::<bool>(), text()).prop_map(|(text, number, flag, other)| Row {
            text,
            number,
            flag,
            other,
        })
    }

    proptest! {
        #[test]
        fn written_rows_are_read_back(rows in prop::collection::vec(row(), 1..6), crlf: bool, tabs: bool) {
            let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::default() };
            let delimiter = if tabs { b'\t' } else { b',' };
            let mut writer =
                csv::WriterBuilder::new().terminator(terminator).delimiter(delimiter).from_writer(Vec::new());
            for row in &rows {
                writer.serialize(row).unwrap();
            }
            let name = if tabs { "a.tsv" } else { "a.csv" };
            prop_assert_eq!(&read::<Row>(name, writer.into_inner().unwrap()).unwrap(), &rows);
            prop_assert_eq!(&read::<Row>("a.json", serde_json::to_string_pretty(&rows).unwrap()).unwrap(), &rows);
            let lines = Vec::from_iter(rows.iter().map(|row| serde_json::to_string(row).unwrap())).join("\n");
            prop_assert_eq!(&read::<Row>("a.jsonl", lines).unwrap(), &rows);
        }

        #[test]
        fn reading_any_text_does_not_panic(contents: String, name in "a\\.(csv|tsv|json|jsonl)") {
            let _ = read::<Row>(&name, contents);
        }

        #[test]
        fn reading_malformed_tables_does_not_panic(
            contents in "[a1,\\[\\]{}:\"\t\r\n é]{0,40}",
            name in "a\\.(csv|tsv|json|jsonl)",
        ) {
            let _ = read::<std::collections::BTreeMap<String, u8>>(&name, contents);
        }
    }
}
