//! The page that a summary is printed on: how wide it is, and whether it has colours.

use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};

use super::text::{align, left, width, wrap};

/// Columns of a page that is no terminal.
pub(super) const WIDTH: usize = 80;
/// Nobody reads longer lines.
const WIDEST: usize = 140;
/// Narrower ones are taken for this wide.
const NARROWEST: usize = 30;
/// Stands for a space at which no line is broken.
const TOGETHER: char = '\u{f8ff}';
/// Columns of what a line of a section is about.
const LABEL: usize = 12;

/// What a summary is printed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub(super) width: usize,
    has_colours: bool,
}

impl Default for Page {
    /// A file of 80 columns.
    fn default() -> Self {
        Self { width: WIDTH, has_colours: false }
    }
}

impl Page {
    /// Of so many columns.
    #[must_use]
    pub fn new(width: usize, has_colours: bool) -> Self {
        Self { width: width.clamp(NARROWEST, WIDEST), has_colours }
    }

    /// What stdout is: a terminal as wide as it is, coloured unless `NO_COLOR` says otherwise; or a file.
    #[must_use]
    pub fn stdout() -> Self {
        Self::of(std::io::stdout().is_terminal(), &console::Term::stdout())
    }

    /// What stderr is.
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

    /// How many columns it has.
    #[must_use]
    pub fn width(self) -> usize {
        self.width
    }

    /// `text` in this style, where the page has any.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if self.has_colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// One line of a section, or more where there is more to say: what it is about, then what there is to say.
    pub(super) fn said(self, label: &str, text: &str) -> Vec<String> {
        self.wrap(&format!("  {}  ", left(label, LABEL - 1)), LABEL + 3, text)
    }

    /// `text` in lines that fit, the first of which begins with `first`, and the others with so many spaces.
    #[must_use]
    pub fn wrap(self, first: &str, indent: usize, text: &str) -> Vec<String> {
        let lines = wrap(self.width, first, indent, text).into_iter();
        lines.map(|line| line.replace(TOGETHER, " ").trim_end().to_owned()).collect()
    }

    /// Rows of cells, the heads first, with their columns aligned to the right but for those of `texts`; where they do not
    /// fit, each row as a list of what its cells are.
    #[must_use]
    pub fn table(self, rows: &[Vec<String>], texts: &[usize]) -> Vec<String> {
        let lines = align(rows, texts, self.width);
        if lines.iter().all(|line| width(line) <= self.width) { lines } else { self.list(rows) }
    }

    /// A table that is too wide: the first cell of each row, then the others with their heads.
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

/// `text` as one that no line breaks.
pub(super) fn together(text: &str) -> String {
    text.replace(' ', &TOGETHER.to_string())
}

/// The title of a section.
pub(super) const TITLE: Style = Style::new().bold();
/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is to be looked at.
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
    fn a_table_that_does_not_fit_is_a_list() {
        let wide = Page::new(80, false).table(&rows(), &[0]);
        assert_eq!(wide, ["Requests           count   p99.9", "  GET /items/{id}  1,000  12.3ms"]);
        let narrow = Page::new(30, false).table(&rows(), &[]);
        assert_eq!(narrow, ["Requests", "  GET /items/{id}", "    count 1,000 p99.9 12.3ms"]);
    }

    #[test]
    fn only_a_page_with_colours_has_them() {
        assert_eq!(Page::default().paint(BAD, "no"), "no");
        assert_eq!(Page::new(80, true).paint(GOOD, "yes"), "\u{1b}[32myes\u{1b}[0m");
    }
}
