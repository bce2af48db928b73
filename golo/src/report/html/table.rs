//! Tables as the page shows them.

use askama::Template;

use super::Tone;

/// A table with its heads.
#[derive(Template)]
#[template(path = "table.html")]
pub(super) struct Table {
    /// What is in it, for those who hear it.
    pub(super) caption: &'static str,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Stays below however it is sorted.
    pub(super) total: Option<Vec<Cell>>,
    pub(super) is_sortable: bool,
}

/// What a column is.
pub(super) struct Head {
    pub(super) text: &'static str,
    /// Numbers stand on the right.
    pub(super) is_text: bool,
}

/// What a cell shows, and the number that it stands for.
pub(super) struct Cell {
    pub(super) text: String,
    /// By what it is sorted, where that is not its text.
    pub(super) value: Option<String>,
    pub(super) tone: Tone,
}

impl Table {
    pub(super) fn new(caption: &'static str, heads: Vec<Head>, rows: Vec<Vec<Cell>>) -> Self {
        Self { caption, heads, rows, total: None, is_sortable: false }
    }

    /// None where it has no rows.
    pub(super) fn unless_empty(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }

    /// The cells of a row, each with whether its column is text.
    pub(super) fn cells<'a>(&'a self, row: &'a [Cell]) -> impl Iterator<Item = (&'a Cell, bool)> {
        row.iter().zip(self.heads.iter().map(|head| head.is_text))
    }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, tone: Tone::Plain }
    }

    /// A number as it is said, and itself.
    pub(super) fn number(said: String, value: impl ToString) -> Self {
        Self { text: said, value: Some(value.to_string()), tone: Tone::Plain }
    }

    pub(super) fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Bad where there is any.
    pub(super) fn bad_if(self, is_bad: bool) -> Self {
        if is_bad { self.toned(Tone::Bad) } else { self }
    }
}

/// Heads of text, then those of numbers.
pub(super) fn heads<const TEXTS: usize>(texts: [&'static str; TEXTS], numbers: &[&'static str]) -> Vec<Head> {
    let texts = texts.into_iter().map(|text| Head { text, is_text: true });
    texts.chain(numbers.iter().map(|&text| Head { text, is_text: false })).collect()
}
