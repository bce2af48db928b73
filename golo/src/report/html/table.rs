//! Tables of the page.

use askama::Template;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::report::facts::Tone;

/// A table with column heads.
#[derive(Template)]
#[template(path = "table.html")]
pub(super) struct Table {
    /// Description of the content, for screen readers.
    pub(super) caption: &'static str,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Row that stays at the bottom when the table is sorted.
    pub(super) total: Option<Vec<Cell>>,
    pub(super) is_sortable: bool,
}

/// Head of a column.
pub(super) struct Head {
    pub(super) text: &'static str,
    /// True for columns of text. Numbers are aligned to the right.
    pub(super) is_text: bool,
}

/// Text of a cell, and the value it is sorted by.
pub(super) struct Cell {
    pub(super) text: String,
    /// Value to sort by, if that is not the text.
    pub(super) value: Option<String>,
    pub(super) tone: Tone,
}

impl Table {
    pub(super) fn new(caption: &'static str, heads: Vec<Head>, rows: Vec<Vec<Cell>>) -> Self {
        Self { caption, heads, rows, total: None, is_sortable: false }
    }

    /// Returns the table, or `None` if it has no rows.
    pub(super) fn unless_empty(self) -> Option<Self> {
        (!self.rows.is_empty()).then_some(self)
    }

    /// Returns the cells of a row, each with true if its column is text.
    pub(super) fn cells<'a>(&'a self, row: &'a [Cell]) -> impl Iterator<Item = (&'a Cell, bool)> {
        row.iter().zip(self.heads.iter().map(|head| head.is_text))
    }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, tone: Tone::Plain }
    }

    /// Returns the cell of a number with its formatted text.
    pub(super) fn number(said: String, value: impl ToString) -> Self {
        Self { text: said, value: Some(value.to_string()), tone: Tone::Plain }
    }

    pub(super) fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Marks the cell as bad if `is_bad`.
    pub(super) fn bad_if(self, is_bad: bool) -> Self {
        if is_bad { self.toned(Tone::Bad) } else { self }
    }
}

/// Writes `heads`, the number of leading columns of text as `texts`, `rows`, and `total` if there is one.
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_struct("Table", 6)?;
        table.serialize_field("caption", self.caption)?;
        table.serialize_field("heads", &self.heads.iter().map(|head| head.text).collect::<Vec<_>>())?;
        table.serialize_field("texts", &self.heads.iter().take_while(|head| head.is_text).count())?;
        table.serialize_field("sortable", &self.is_sortable)?;
        table.serialize_field("rows", &self.rows)?;
        table.serialize_field("total", &self.total)?;
        table.end()
    }
}

/// Writes the text, or an array of the text and its tone.
impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.tone {
            Tone::Plain => serializer.serialize_str(&self.text),
            tone => (&self.text, tone.to_string()).serialize(serializer),
        }
    }
}

/// Returns the heads of text columns, followed by those of number columns.
pub(super) fn heads<const TEXTS: usize>(texts: [&'static str; TEXTS], numbers: &[&'static str]) -> Vec<Head> {
    let texts = texts.into_iter().map(|text| Head { text, is_text: true });
    texts.chain(numbers.iter().map(|&text| Head { text, is_text: false })).collect()
}
