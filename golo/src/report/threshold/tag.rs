//! Tags that select series of a metric.

use std::{borrow::Cow, fmt};

use crate::engine::errors::ErrorKind;
use crate::engine::route;
use crate::engine::series::{Outcome, Series, TagPairs};
use crate::metrics::tag_set;
use crate::request::measure;
use crate::support::nearest::{instead, one_of};

/// Kinds of error that a request may have.
const ERRORS: [ErrorKind; 11] = [
    ErrorKind::Dns,
    ErrorKind::Connect,
    ErrorKind::Tls,
    ErrorKind::Timeout,
    ErrorKind::Reset,
    ErrorKind::Body,
    ErrorKind::Status,
    ErrorKind::Content,
    ErrorKind::Cancelled,
    ErrorKind::Redirect,
    ErrorKind::Other,
];
const OUTCOMES: [&str; 2] = ["passed", "failed"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A tag of the load test.
    Trigger,
    Scenario,
    Route,
    Method,
    Status,
    Origin,
    Step,
    Error,
    Outcome,
    Check,
    /// A tag that the load test sets.
    Own,
}

impl Key {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trigger | Self::Own => "tag",
            Self::Scenario => "scenario",
            Self::Route => "route",
            Self::Method => "method",
            Self::Status => "status",
            Self::Origin => "origin",
            Self::Error => "error",
            Self::Outcome => "outcome",
            Self::Check => "check",
            Self::Step => "step",
        }
    }
}

/// A key, and the value that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    /// A tag of triggers, and its value if one is selected.
    Trigger {
        key: Box<str>,
        value: Option<Box<str>>,
    },
    /// A name: that of a scenario, a route, a method, an origin, a step or a check.
    Name(Key, Box<str>),
    Status(u16),
    Error(ErrorKind),
    Outcome {
        failed: bool,
    },
    /// A tag that the load test sets for requests, groups and values.
    Own {
        key: Box<str>,
        value: Box<str>,
    },
}

impl Tag {
    /// Returns the tag, or a description of valid values. A value that no series can have is an error.
    pub(super) fn new(key: Key, value: &str) -> Result<Self, String> {
        let name: Box<str> = match key {
            Key::Route => route::name(value).into(),
            Key::Origin | Key::Step => route::bounded(value).into(),
            Key::Method | Key::Check | Key::Scenario => value.into(),
            Key::Own => return Err("expected a key and a value".to_owned()),
            Key::Trigger => return Ok(Self::Trigger { key: value.into(), value: None }),
            Key::Status => {
                return status(value).map(Self::Status).ok_or("expected a status from 100 to 999".to_owned());
            }
            Key::Error => return error(value).map(Self::Error),
            Key::Outcome => {
                let known = OUTCOMES.iter().position(|known| *known == value);
                let failed = known.ok_or_else(|| format!("expected {}", one_of(&OUTCOMES)))? == 1;
                return Ok(Self::Outcome { failed });
            }
        };
        Ok(Self::Name(key, name))
    }

    /// Returns a tag that the load test sets.
    pub(super) fn own(key: &str, value: &str) -> Self {
        let (key, value) = tag_set::kept(key, value);
        Self::Own { key, value }
    }

    /// Returns the name of the key.
    pub(super) fn name(&self) -> &str {
        if let Self::Own { key, .. } = self { key } else { self.key().name() }
    }

    pub(super) fn key(&self) -> Key {
        match self {
            Self::Trigger { .. } => Key::Trigger,
            Self::Name(key, _) => *key,
            Self::Status(_) => Key::Status,
            Self::Error(_) => Key::Error,
            Self::Outcome { .. } => Key::Outcome,
            Self::Own { .. } => Key::Own,
        }
    }

    /// Returns the value as text.
    pub(super) fn value(&self) -> Cow<'_, str> {
        match self {
            Self::Name(_, name) | Self::Own { value: name, .. } => Cow::Borrowed(name),
            Self::Trigger { value, .. } => Cow::Borrowed(value.as_deref().unwrap_or_default()),
            Self::Status(status) => Cow::Owned(status.to_string()),
            Self::Error(kind) => Cow::Owned(kind.to_string()),
            Self::Outcome { failed } => Cow::Borrowed(OUTCOMES[usize::from(*failed)]),
        }
    }

    /// Returns true if the series of a request has this value.
    pub(super) fn is_of(&self, series: &Series) -> bool {
        let label = &series.label;
        match self {
            Self::Name(Key::Route, route) => label.route == *route,
            Self::Name(Key::Method, method) => label.method.eq_ignore_ascii_case(method),
            Self::Name(Key::Origin, origin) => label.origin == *origin,
            Self::Name(Key::Step, name) => label.is_step() && label.route == *name,
            Self::Status(wanted) => series.outcome.status() == Some(*wanted),
            Self::Error(kind) => error_of(series.outcome) == Some(*kind),
            Self::Outcome { failed: true } => series.outcome.is_failed(),
            Self::Outcome { failed: false } => !series.outcome.is_failed() && series.outcome != Outcome::Interrupted,
            Self::Own { .. } => self.is_in(&label.tags),
            Self::Name(..) | Self::Trigger { .. } => false,
        }
    }

    /// Returns true if the tag is one that the load test sets, and among `tags`.
    pub(super) fn is_in(&self, tags: &TagPairs) -> bool {
        matches!(self, Self::Own { key, value } if tags.get(key) == Some(&**value))
    }

    /// Returns true if the tag selects outcomes.
    pub(super) fn is_of_outcomes(&self) -> bool {
        matches!(self.key(), Key::Status | Key::Error | Key::Outcome)
    }

    /// Returns true if only failed requests have it, unless the load test expects their status.
    pub(super) fn is_of_failures(&self) -> bool {
        match self {
            Self::Outcome { failed } => *failed,
            Self::Error(_) => true,
            Self::Status(status) => *status >= 400,
            _ => false,
        }
    }

    /// Returns true if the tag selects measured steps.
    pub(super) fn is_of_steps(&self) -> bool {
        matches!(self, Self::Name(Key::Method, method) if method.eq_ignore_ascii_case(measure::METHOD))
    }
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (100..1000).contains(status))
}

fn error(word: &str) -> Result<ErrorKind, String> {
    let words = ERRORS.map(|kind| kind.to_string());
    let known = ERRORS.into_iter().zip(&words).find(|(_, known)| *known == word);
    known.map(|(kind, _)| kind).ok_or_else(|| instead(word, &words.each_ref().map(String::as_str)))
}

fn error_of(outcome: Outcome) -> Option<ErrorKind> {
    match outcome {
        Outcome::Failed(kind) => Some(kind),
        Outcome::Content { .. } => Some(ErrorKind::Content),
        Outcome::Answered { failed: true, .. } => Some(ErrorKind::Status),
        _ => None,
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { key, value } => write!(f, "{}:{}", written_key(key), written(value)),
            Self::Trigger { key, value } => {
                f.write_str(&written_key(key))?;
                value.as_ref().map_or(Ok(()), |value| write!(f, ":{}", written(value)))
            }
            _ => write!(f, "{}:{}", self.key().name(), written(&self.value())),
        }
    }
}

/// Returns true if a character may be part of an unquoted key of a load test's tag.
pub(super) fn is_key_part(c: char) -> bool {
    c.is_alphanumeric() || "_-./".contains(c)
}

/// Returns a key as written in a threshold, in quotes if necessary.
fn written_key(key: &str) -> Cow<'_, str> {
    let is_plain = !key.is_empty() && key.chars().all(is_key_part);
    if is_plain { Cow::Borrowed(key) } else { Cow::Owned(quoted(key)) }
}

/// Returns a value as written in a threshold, in quotes if necessary.
fn written(value: &str) -> Cow<'_, str> {
    if is_plain(value) { Cow::Borrowed(value) } else { Cow::Owned(quoted(value)) }
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns true if the value needs no quotes.
fn is_plain(value: &str) -> bool {
    let mut depth = 0_u32;
    let is_balanced = value.chars().all(|c| match c {
        '{' => {
            depth += 1;
            true
        }
        '}' => {
            let is_open = depth > 0;
            depth = depth.saturating_sub(1);
            is_open
        }
        c => c != ',',
    });
    is_balanced && depth == 0 && !value.is_empty() && !value.starts_with('"') && value.trim() == value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_refused() {
        for (key, value, hint) in [
            (Key::Status, "2xx", "expected a status from 100 to 999"),
            (Key::Status, "0", "expected a status from 100 to 999"),
            (Key::Error, "timout", "did you mean `timeout`?"),
            (Key::Outcome, "ok", "expected `passed` or `failed`"),
        ] {
            assert_eq!(Tag::new(key, value), Err(hint.to_owned()));
        }
        assert!(Tag::new(Key::Error, "disk").unwrap_err().starts_with("expected `dns`, `connect`, "));
    }

    #[test]
    fn values_are_quoted_if_necessary() {
        let said = |value| Tag::new(Key::Route, value).unwrap().to_string();
        assert_eq!(said("/items/{id}"), "route:/items/{id}");
        assert_eq!(said("a,b"), r#"route:"a,b""#);
        assert_eq!(said(r#"a\"{"#), r#"route:"a\\\"{""#);
        assert_eq!([said(""), said(" a"), said("}{")], [r#"route:"""#, r#"route:" a""#, r#"route:"}{""#]);
    }
}
