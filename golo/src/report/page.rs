//! The page that a summary is printed on: its width and its colours.

use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};

use super::text::{align, left, width, wrap};

/// Width of a page that is not a terminal, in columns.
pub(super) const WIDTH: usize = 80;
/// Maximum width. Longer lines are hard to read.
const WIDEST: usize = 140;
/// Minimum width. Narrower terminals are treated as this wide.
const NARROWEST: usize = 30;
/// Stands for a space at which a line must not break.
const TOGETHER: char = '\u{f8ff}';
/// Width of the label of a line, in columns.
const LABEL: usize = 12;

/// Properties of the page that a summary is printed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub(super) width: usize,
    has_colours: bool,
}

impl Default for Page {
    /// Returns the page of a file: 80 columns, no colours.
    fn default() -> Self {
        Self { width: WIDTH, has_colours: false }
    }
}

impl Page {
    /// Returns a page of `width` columns, limited to 30 to 140.
    #[must_use]
    pub fn new(width: usize, has_colours: bool) -> Self {
        Self { width: width.clamp(NARROWEST, WIDEST), has_colours }
    }

    /// Returns the page of stdout. If it is a terminal, the page has its width, and colours unless `NO_COLOR` is set.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(std::io::stdout().is_terminal(), &console::Term::stdout())
    }

    /// Returns the page of stderr.
    #[must_use]
    pub fn stderr() -> Self {
        Self::of(std::io::stderr().is_terminal(), &console::Term::stderr())
    }

    fn of(is_terminal: bool, terminal: &console::Term) -> Self {
        if !is_terminal {
            return Self::default();
        }
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let width = terminal.size_checked().map_or(WIDTH, |(_, columns)| columns.into());
        Self::new(width, !is_set("NO_COLOR") && !is_dumb)
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn width(self) -> usize {
        self.width
    }

    /// Returns `text` in this style, or unchanged if the page has no colours.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if self.has_colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Returns a line of a section: the label, then the text, which is wrapped if necessary.
    pub(super) fn said(self, label: &str, text: &str) -> Vec<String> {
        self.wrap(&format!("  {}  ", left(label, LABEL - 1)), LABEL + 3, text)
    }

    /// Wraps `text` into lines that fit. The first line begins with `first`, the others with `indent` spaces.
    #[must_use]
    pub fn wrap(self, first: &str, indent: usize, text: &str) -> Vec<String> {
        let lines = wrap(self.width, first, indent, text).into_iter();
        lines.map(|line| line.replace(TOGETHER, " ").trim_end().to_owned()).collect()
    }

    /// Returns the lines of a table. The first row contains the heads. Columns are aligned to the right, except those
    /// listed in `texts`. If the table is too wide, each row becomes a list of heads and cells.
    #[must_use]
    pub fn table(self, rows: &[Vec<String>], texts: &[usize]) -> Vec<String> {
        let lines = align(rows, texts, self.width);
        if lines.iter().all(|line| width(line) <= self.width) { lines } else { self.list(rows) }
    }

    /// Returns a table that is too wide as lists: the first cell of each row, then the other cells with their heads.
    pub(super) fn list(self, rows: &[Vec<String>]) -> Vec<String> {
        let [heads, rows @ ..] = rows else { return Vec::new() };
        let mut lines: Vec<String> = heads.first().into_iter().filter(|head| !head.is_empty()).cloned().collect();
        for row in rows {
            let cells = heads.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()).map(|(head, cell)| {
                // A figure stays with its head.
                together(format!("{head} {cell}").trim())
            });
            let cells: Vec<_> = cells.filter(|cell| !cell.is_empty()).collect();
            lines.extend(self.wrap("  ", 4, row.first().map_or("", |cell| cell.trim_start())));
            lines.extend(self.wrap("    ", 4, &cells.join(" ")));
        }
        lines
    }
}

/// Returns `text` with spaces at which no line breaks.
pub(super) fn together(text: &str) -> String {
    text.replace(' ', &TOGETHER.to_string())
}

/// Style of the title of a section.
pub(super) const TITLE: Style = Style::new().bold();
/// Style of good results.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Style of bad results.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Style of warnings.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [["Requests", "count", "p99.9"], ["  GET /items/{id}", "1,000", "12.3ms"]]
            .map(|row| row.map(str::to_owned).into())
            .into()
    }

    #[test]
    fn table_that_does_not_fit_becomes_a_list() {
        let wide = Page::new(80, false).table(&rows(), &[0]);
        assert_eq!(wide, ["Requests           count   p99.9", "  GET /items/{id}  1,000  12.3ms"]);
        let narrow = Page::new(30, false).table(&rows(), &[]);
        assert_eq!(narrow, ["Requests", "  GET /items/{id}", "    count 1,000 p99.9 12.3ms"]);
    }

    #[test]
    fn only_page_with_colours_writes_them() {
        assert_eq!(Page::default().paint(BAD, "no"), "no");
        assert_eq!(Page::new(80, true).paint(GOOD, "yes"), "\u{1b}[32myes\u{1b}[0m");
    }
}
