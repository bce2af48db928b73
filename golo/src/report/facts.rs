//! Facts about a run: each a label, a text and a tone. The summary and the page show the same facts.

mod generator;
mod load;

use std::fmt;

pub(super) use generator::{generator, transport, warning};
pub(super) use load::{failed_triggers, load, took};

use super::units::count;

/// A label and its text.
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) text: String,
    #[cfg_attr(not(feature = "html"), allow(dead_code, reason = "only the page shows it"))]
    pub(super) tone: Tone,
}

/// Tone of a text. [`Display`](fmt::Display) writes the CSS class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        })
    }
}

impl Fact {
    pub(super) fn new(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, text: text.into(), tone: Tone::Plain }
    }

    pub(super) fn bad(label: &'static str, text: impl Into<String>) -> Self {
        Self::new(label, text).bad_if(true)
    }

    /// Returns the fact that something happened `number` times, if it did.
    fn number(label: &'static str, number: u64, what: &str) -> Option<Self> {
        (number > 0).then(|| Self::new(label, format!("{} {what}", count(number))))
    }

    /// Marks the fact as bad if `is_bad`.
    pub(super) fn bad_if(mut self, is_bad: bool) -> Self {
        if is_bad {
            self.tone = Tone::Bad;
        }
        self
    }
}
