//! Job files in YAML.
//!
//! serde-saphyr would need more code here: it parses numbers, which are to stay as they are written, and reports only where
//! a list or a table starts. Its parser is used instead.

use std::{ops::Range, path::Path};

use golo::cli::{Key, Kind, Mistake, Value, toml};
use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};

/// Deepest nesting of values. A job needs two levels.
const DEEPEST: usize = 16;

/// Parses a job file: as YAML if the name of the file ends in `.yaml` or `.yml`, as TOML otherwise.
///
/// # Errors
///
/// Returns an error if the text is not valid in that format.
pub fn parse(path: &Path, text: &str) -> Result<Value, Mistake> {
    let is_yaml = ["yaml", "yml"]
        .iter()
        .any(|name| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(name)));
    if is_yaml { yaml(text) } else { toml(text) }
}

/// Parses one document of YAML. Numbers stay as they are written.
///
/// # Errors
///
/// Returns an error if the text is not valid YAML, or if it has anchors, merge keys or tags, which a job does not need.
///
/// ```
/// use golo::cli::JobFile;
///
/// let value = golo_cli::cli::yaml::yaml("users: 50\nduration: 1h30m\n")?;
/// let (call, ()) = JobFile::of_value(&value)?.into_call()?;
/// assert_eq!(call.plan().to_string(), "50 users for 1h30m");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn yaml(text: &str) -> Result<Value, Mistake> {
    let mut options = Options::default();
    (options.flow_nesting_limit, options.block_nesting_limit) = (DEEPEST, DEEPEST);
    let mut reader = Reader { text, parser: Parser::new_from_str_with_options(text, options) };
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => {
                return Ok(document.unwrap_or(Value { kind: Kind::Table(Vec::new()), place: None }));
            }
            (Event::DocumentStart(..), place) if document.is_some() => {
                return Err(wrong(place, "a job file is one document, and here a second one starts"));
            }
            (event, place) if event.is_node() => document = Some(reader.value(event, place)?),
            _ => {}
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Range<usize>), Mistake> {
        let end = self.text.len();
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.byte_range().unwrap_or(end..end))),
            Some(Err(error)) => {
                let start = error.marker().byte_offset().unwrap_or(end);
                let width = self.text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                Err(wrong(start..start + width, error.info()))
            }
            None => Ok((Event::StreamEnd, end..end)),
        }
    }

    /// Reads the value that starts with `event`.
    fn value(&mut self, event: Event<'t>, mut place: Range<usize>) -> Result<Value, Mistake> {
        if event.is_alias() || event.anchor_id().is_some() {
            return Err(wrong(place, "anchors and aliases are not read here: write the value wherever it is needed"));
        }
        if event.tag().is_some() {
            return Err(wrong(place, "tags are not read here: leave out what begins with `!`"));
        }
        let kind = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
            Event::Scalar(text, ..) => Kind::Text(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut values = Vec::new();
                place.end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, end) => break end.end,
                        (event, place) => values.push(self.value(event, place)?),
                    }
                };
                Kind::List(values)
            }
            Event::MappingStart(..) => {
                let mut table = Vec::new();
                place.end = loop {
                    match self.next()? {
                        (Event::MappingEnd, end) => break end.end,
                        (event, place) => table.push(self.pair(&event, place)?),
                    }
                };
                Kind::Table(table)
            }
            _ => Kind::Other,
        };
        Ok(Value { kind, place: Some(place) })
    }

    /// Reads the value of the key `event`.
    fn pair(&mut self, event: &Event<'t>, place: Range<usize>) -> Result<(Key, Value), Mistake> {
        let name = match event.scalar().filter(|_| event.anchor_id().is_none() && event.tag().is_none()) {
            Some(("<<", ScalarStyle::Plain)) => {
                return Err(wrong(place, "merge keys are not read here: write the keys wherever they are needed"));
            }
            Some((name, _)) => name.to_owned(),
            None => return Err(wrong(place, "a key is a word, and nothing else")),
        };
        let (event, value_place) = self.next()?;
        let mut value = self.value(event, value_place)?;
        if value.place.as_ref().is_none_or(Range::is_empty) {
            // A missing value is shown by its key.
            value.place = Some(place.clone());
        }
        Ok((Key { name, place: Some(place) }, value))
    }
}

/// Interprets a scalar without quotes.
fn plain(text: &str) -> Kind {
    match text {
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        "" | "~" | "null" | "Null" | "NULL" => Kind::Other,
        // `nan` and `infinity` are words.
        _ if text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok() => {
            Kind::Number(text.to_owned())
        }
        _ => Kind::Text(text.to_owned()),
    }
}

fn wrong(place: Range<usize>, message: impl Into<String>) -> Mistake {
    Mistake { message: message.into(), place: Some(place) }
}

#[cfg(test)]
mod tests {
    use golo::cli::JobFile;

    use super::*;

    fn read(text: &str) -> Result<JobFile, String> {
        yaml(text).and_then(|value| JobFile::of_value(&value)).map_err(|mistake| mistake.shown("job.yaml", text))
    }

    fn plan(text: &str) -> String {
        read(text).unwrap().into_call().unwrap().0.plan().to_string()
    }

    fn params(text: &str) -> Vec<(String, String)> {
        read(text).unwrap().params
    }

    #[test]
    fn keys_are_the_flags_of_run() {
        assert_eq!(
            plan("rate: 500/s\nduration: 1h30m\ngraceful_stop: 1m\nquiet: true\n"),
            plan("{rate: 500/s, duration: 5400, graceful-stop: '60'}")
        );
        assert_eq!(plan("stage:\n  - 30s:10\n  - 1m:0\n"), plan("stage: ['30s:10', \"1m:0\"]"));
        assert_eq!(plan(""), plan("users: 25"));
        assert_eq!(plan("---\nusers: 3 # three\n...\n"), plan("users: 3"));
    }

    #[test]
    fn scalars_stay_as_they_are_written() {
        let text = "env:\n  HEX: 0x10\n  LONG: 1.50\n  LATE: 08:30\n  ON: yes\n  IS: true\n  QUOTED: 'true'\n  URL: http://h/#a\n  LINES: |\n    a\n    b\n";
        let expected = [
            ("HEX", "0x10"),
            ("LONG", "1.50"),
            ("LATE", "08:30"),
            ("ON", "yes"),
            ("IS", "true"),
            ("QUOTED", "true"),
            ("URL", "http://h/#a"),
            ("LINES", "a\nb\n"),
        ];
        assert_eq!(params(text), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_job_of_go_lo_is_read_as_it_is() {
        let text = "version: job:latest\njob:\n  name: simple_job_runner\n  users: 10\n  duration: 30\n";
        assert_eq!(plan(text), plan("users: 10\nduration: 30s"));
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        for (text, expected) in [
            (
                "users: 5\nduratoin: 30s\n",
                "line 2: `duratoin` is not the name of a flag of `run`; did you mean `duration`?\n  2 | duratoin: 30s\n    | ^^^^^^^^",
            ),
            (
                "# é\nusers: many # é\n",
                "line 2: `users`: invalid digit found in string\n  2 | users: many # é\n    |        ^^^^",
            ),
            ("users: 0x10", "line 1: `users`: invalid digit found in string\n  1 | users: 0x10\n    |        ^^^^"),
            ("quiet: yes", "line 1: `quiet`: expected true or false\n  1 | quiet: yes\n    |        ^^^"),
            ("users:\nrate: 5/s", "line 1: `users`: expected a string or a number\n  1 | users:\n    | ^^^^^"),
            ("a: 1\nusers: [1, 2]", "line 1: `a` is not the name of a flag of `run`\n  1 | a: 1\n    | ^"),
            (
                "users: [1, 2]",
                "line 1: `users`: expected a string or a number\n  1 | users: [1, 2]\n    |        ^^^^^^",
            ),
            ("users: 1\nusers: 2", "line 2: `users` is given twice\n  2 | users: 2\n    | ^^^^^"),
            ("env:\n  A: 1\n  A: 1", "line 3: `A` is given twice\n  3 |   A: 1\n    |   ^"),
            (
                "env:\n  A: {B: 1}",
                "line 2: `A`: expected a string, a number, true or false\n  2 |   A: {B: 1}\n    |      ^^^^^^",
            ),
            ("env: 5", "line 1: `env`: expected a table of parameters\n  1 | env: 5\n    |      ^"),
            ("- users", "line 1: expected keys with values\n  1 | - users\n    | ^^^^^^^"),
            (
                "binary: 7",
                "line 1: `binary`: expected a string with the path of a load test or its crate\n  1 | binary: 7\n    |         ^",
            ),
            (
                "version: job:v2\njob: {}",
                "line 1: expected `version: job:latest`\n  1 | version: job:v2\n    |          ^^^^^^",
            ),
            (
                "job:\n  user: 1",
                "line 2: `user` is not a key of a go-lo job; did you mean `users`?\n  2 |   user: 1\n    |   ^^^^",
            ),
            ("job: 5", "line 1: `job`: expected a table\n  1 | job: 5\n    |      ^"),
        ] {
            assert_eq!(read(text).unwrap_err(), format!("`job.yaml`, {expected}"));
        }
    }

    #[test]
    fn what_a_job_needs_none_of_is_refused() {
        for (text, expected) in [
            ("users: &few 5\n", "line 1: anchors and aliases are not read here"),
            ("env: &a {A: 1}\nname: *a\n", "line 1: anchors and aliases"),
            ("env:\n  <<: {A: 1}\n", "line 2: merge keys are not read here"),
            ("name: !!str 5\n", "line 1: tags are not read here"),
            ("users: 1\n---\nusers: 2\n", "line 2: a job file is one document"),
            ("? [a]\n: 1\n", "line 1: a key is a word"),
            ("users: [1\n", "line "),
            ("users: 'a\n", "line "),
            ("users: 1\n bad: 2\n", "line 2: "),
            (&format!("env: {}1", "[".repeat(10_000)), "line 1: "),
            (&format!("env:\n{}", "- ".repeat(10_000)), "line 2: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("`job.yaml`, {expected}")), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_file_says_what_it_is_in() {
        for (name, text) in [
            ("a.yaml", "users: 1"),
            ("a.YML", "users: 1"),
            ("a.yml", "users: 1"),
            ("a.toml", "users = 1"),
            ("a", "users = 1"),
        ] {
            assert!(parse(Path::new(name), text).is_ok(), "{name}");
        }
        assert!(parse(Path::new("a.toml"), "users: 1").is_err());
    }
}
