//! The error of a value that could not be taken from a response.

use std::{error::Error as StdError, fmt};

use crate::BoxError;
use crate::support::cut;

/// Largest number of names that a message lists.
const NAMES: usize = 8;

/// A value that could not be taken from a response.
///
/// [`Display`](fmt::Display) prints what was looked for and what was there instead. It shows at most the first 80
/// characters of a body, up to the first word that announces a secret (such as `token`), and `…` for long words with
/// digits, which may be secrets themselves.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::BoxError> {
/// # let journey = golo::new_sequence_id();
/// let response = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items/7")).await?;
/// let item = golo::extract::Document::read(response).await?;
/// let error = item.json::<u64>("/number").unwrap_err();
/// assert!(error.is_missing());
/// assert_eq!(
///     error.to_string(),
///     "no `/number` in the JSON: the document is an object with the keys `id`, `name`, `price`"
/// );
/// # Ok(()) }
/// ```
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    source: Option<BoxError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Missing,
    Mistyped,
    Format,
    Pattern,
    Read,
}

impl Error {
    fn new(kind: Kind, message: String) -> Self {
        Self { inner: Box::new(Inner { kind, message, source: None }) }
    }

    pub(super) fn missing(message: String) -> Self {
        Self::new(Kind::Missing, message)
    }

    pub(super) fn mistyped(message: String) -> Self {
        Self::new(Kind::Mistyped, message)
    }

    pub(super) fn format(message: String) -> Self {
        Self::new(Kind::Format, message)
    }

    pub(super) fn pattern(message: String) -> Self {
        Self::new(Kind::Pattern, message)
    }

    pub(super) fn not_read(source: reqwest::Error) -> Self {
        let (kind, message) = (Kind::Read, "the body of the response could not be read".to_owned());
        Self { inner: Box::new(Inner { kind, message, source: Some(source.without_url().into()) }) }
    }

    /// Returns true if the response has no such value.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.inner.kind == Kind::Missing
    }

    /// Returns true if the value is there, but is not of the type that was asked for.
    #[must_use]
    pub fn is_mistyped(&self) -> bool {
        self.inner.kind == Kind::Mistyped
    }

    /// Returns true if the body does not have the format, for example if it is not JSON.
    #[must_use]
    pub fn is_format(&self) -> bool {
        self.inner.kind == Kind::Format
    }

    /// Returns true if the pointer, selector or regular expression is invalid. This is a mistake in the load test.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.inner.kind == Kind::Pattern
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("golo::extract::Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

/// Describes the names that there are: ``there are `a`, `b` ``, or `none` if there are none.
pub(super) fn has<'a>(names: impl Iterator<Item = &'a str>, none: &str) -> String {
    match listed(names) {
        names if names.is_empty() => format!("there are {none}"),
        names => format!("there are {names}"),
    }
}

/// Lists names in backticks. Long lists and long names are cut.
pub(super) fn listed<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    /// Largest number of characters of a name.
    const LENGTH: usize = 40;
    let short = |name: &str| match cut::to_characters(name, LENGTH) {
        short if short.len() < name.len() => format!("`{short}…`"),
        name => format!("`{name}`"),
    };
    let mut list: Vec<_> = names.by_ref().take(NAMES).map(short).collect();
    if names.next().is_some() {
        list.push("…".to_owned());
    }
    list.join(", ")
}
