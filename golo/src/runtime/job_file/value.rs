//! What a job file says, whatever it is written in.

use std::{fmt, fmt::Write as _, ops::Range};

/// A value of a job file in TOML, YAML or JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it stands in its file's text, in bytes, if it comes from one.
    pub place: Option<Range<usize>>,
}

/// What a [`Value`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text(String),
    /// A number, as it would be written on a command line.
    Number(String),
    /// True or false.
    Bool(bool),
    /// Values in a row.
    List(Vec<Value>),
    /// Values with names; a name that comes twice is for [`JobFile::of_value`](super::JobFile::of_value) to refuse.
    Table(Vec<(Key, Value)>),
    /// What no key takes: a date, a null.
    Other,
}

/// The name of a value in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// As it is written, without quotes.
    pub name: String,
    /// Where it stands, as with a [`Value`].
    pub place: Option<Range<usize>>,
}

impl Value {
    /// A string or a number as it would be written on a command line.
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

    /// What is wrong with it.
    pub(super) fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), place: self.place.clone() }
    }
}

/// Of a name that comes twice JSON has kept the last.
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

/// A mistake in a job file. [`Display`](fmt::Display) says what is wrong, and [`shown`](Self::shown) also where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where, in bytes of the file's text.
    pub place: Option<Range<usize>>,
}

impl Mistake {
    /// One that has no place.
    pub(super) fn anywhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None }
    }

    /// In words, with the line it is in: that of `text`, which the file `name` has.
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

/// Nothing in a file moves the cursor or colours the terminal.
fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}
