//! Contents of a job file, independent of its format.

use std::{fmt, fmt::Write as _, ops::Range};

/// A value of a job file in TOML, YAML or JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Type and contents.
    pub kind: Kind,
    /// Position in the file's text, in bytes, if the value comes from a file.
    pub place: Option<Range<usize>>,
}

/// Type and contents of a [`Value`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text(String),
    /// A number, as it would be written on a command line.
    Number(String),
    /// True or false.
    Bool(bool),
    /// A list of values.
    List(Vec<Value>),
    /// Named values. [`JobFile::of_value`](super::JobFile::of_value) rejects duplicate names.
    Table(Vec<(Key, Value)>),
    /// A value that no key accepts, such as a date or a null.
    Other,
}

/// Name of a value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The name as written, without quotes.
    pub name: String,
    /// Position in the file's text, in bytes, if the name comes from a file.
    pub place: Option<Range<usize>>,
}

impl Value {
    /// Returns a string or a number as it would be written on a command line.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[(Key, Self)]> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Returns a mistake at this value.
    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), place: self.place.clone() }
    }
}

/// If a name is used twice, `serde_json` has kept the last value.
impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let kind = match value {
            Json::Null => Kind::Other,
            Json::Bool(is) => Kind::Bool(*is),
            Json::Number(number) => Kind::Number(number.to_string()),
            Json::String(text) => Kind::Text(text.clone()),
            Json::Array(values) => Kind::List(values.iter().map(Self::from).collect()),
            Json::Object(table) => {
                let pair = |(name, value): (&String, _)| (Key { name: name.clone(), place: None }, Self::from(value));
                Kind::Table(table.iter().map(pair).collect())
            }
        };
        Self { kind, place: None }
    }
}

/// A mistake in a job file. [`Display`](fmt::Display) prints the message, and [`shown`](Self::shown) also the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The mistake, and what was expected.
    pub message: String,
    /// Position in the file's text, in bytes.
    pub place: Option<Range<usize>>,
}

impl Mistake {
    /// Creates a mistake without a position.
    pub(super) fn anywhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None }
    }

    /// Returns the message with the line of the mistake. `text` is the contents of the file `name`.
    #[must_use]
    pub fn shown(&self, name: &str, text: &str) -> String {
        let message = &self.message;
        let Some(Range { start, end }) = self.place.clone() else { return harmless(&format!("`{name}`: {message}")) };
        let before = text.get(..start).unwrap_or(text);
        let number = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        let line = text.lines().nth(number - 1).unwrap_or_default();
        let rest = line.chars().count().saturating_sub(column);
        let length = text.get(start..end).map_or(1, |wrong| wrong.chars().count()).clamp(1, rest.max(1));
        let mut shown = format!("`{name}`, line {number}: {message}");
        if start < end {
            let margin = " ".repeat(number.to_string().len());
            let _ = write!(shown, "\n  {number} | {line}\n  {margin} | {}{}", " ".repeat(column), "^".repeat(length));
        }
        harmless(&shown)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&self.message))
    }
}

impl std::error::Error for Mistake {}

/// Replaces control characters, so that a file cannot move the cursor or colour the terminal.
fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}
