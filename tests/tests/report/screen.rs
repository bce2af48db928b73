//! A minimal terminal emulator.

use unicode_width::UnicodeWidthChar as _;

/// Current content of a terminal, and its history.
pub(crate) struct Screen {
    columns: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// First parts of lines that wrapped.
    pub(crate) wrapped: Vec<String>,
    /// Every line that the cursor has left or that was cleared.
    pub(crate) seen: Vec<String>,
    /// Number of colours and other styles that were set.
    pub(crate) styles: usize,
}

impl Screen {
    /// Returns the screen of a terminal with this many columns after `text` was written to it.
    pub(crate) fn after(columns: usize, text: &str) -> Self {
        let mut screen = Self {
            columns,
            lines: vec![Vec::new()],
            row: 0,
            column: 0,
            wrapped: Vec::new(),
            seen: Vec::new(),
            styles: 0,
        };
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\u{1b}' => screen.escape(&mut chars),
                '\r' => screen.column = 0,
                '\n' => screen.down(),
                c if c.is_control() => panic!("{c:?} in {text:?}"),
                c => screen.put(c),
            }
        }
        screen
    }

    /// Returns the visible lines without trailing spaces.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = |line: &Vec<char>| line.iter().filter(|c| **c != '\0').collect::<String>().trim_end().to_owned();
        let mut lines: Vec<_> = self.lines.iter().map(text).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// True if the cursor is in the first column.
    pub(crate) fn is_at_start(&self) -> bool {
        self.column == 0
    }

    fn down(&mut self) {
        self.remember();
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn remember(&mut self) {
        self.seen.push(self.lines[self.row].iter().filter(|c| **c != '\0').collect());
    }

    fn put(&mut self, c: char) {
        let width = c.width().unwrap_or_default();
        if self.column + width > self.columns {
            self.wrapped.push(self.lines[self.row].iter().collect());
            self.down();
            self.column = 0;
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + width), ' ');
        line[self.column] = c;
        // Fill the second half of a wide character.
        line[self.column + 1..self.column + width].fill('\0');
        self.column += width;
    }

    fn escape(&mut self, chars: &mut impl Iterator<Item = char>) {
        assert_eq!(chars.next(), Some('['), "nothing else is used");
        let mut number = String::new();
        let end = loop {
            match chars.next() {
                Some(c @ ('0'..='9' | ';' | '?')) => number.push(c),
                Some(c) => break c,
                None => panic!("an escape sequence has no end"),
            }
        };
        let times = number.parse().unwrap_or(1);
        match end {
            'm' => self.styles += 1,
            'A' => self.row = self.row.saturating_sub(times),
            'B' => (0..times).for_each(|_| self.down()),
            'K' => {
                self.remember();
                let from = if number == "2" { 0 } else { self.column };
                self.lines[self.row].truncate(from);
            }
            'J' => {
                self.remember();
                self.lines.truncate(self.row + 1);
                self.lines[self.row].truncate(self.column);
            }
            'h' | 'l' => {}
            end => panic!("`{number}{end}` is not known here"),
        }
    }
}
