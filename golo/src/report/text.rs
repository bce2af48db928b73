//! Makes text safe for a terminal: it cannot move the cursor, and it fits into the width.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Replaces the part that was cut out.
const CUT: &str = "…";

/// Escapes all characters in `text` that would move the cursor, colour the terminal or reverse the direction of text.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_format(c) { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    clean
}

/// Returns true for invisible characters and those that set the direction of text.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the number of columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Shortens `text` to at most `most` columns. If it is longer, the middle is cut out, since routes and errors differ at
/// their ends.
pub fn shorten(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let Some(room) = most.checked_sub(width(CUT)) else { return String::new() };
    let head = fitting(text.chars(), room - room / 2);
    let tail = fitting(text.chars().rev(), room / 2);
    let head: String = text.chars().take(head).collect();
    let mut tail: Vec<char> = text.chars().rev().take(tail).collect();
    tail.reverse();
    head + CUT + &tail.into_iter().collect::<String>()
}

/// Returns the number of characters that fit into `most` columns.
fn fitting(text: impl Iterator<Item = char>, most: usize) -> usize {
    let mut used = 0;
    text.take_while(|c| {
        used += c.width().unwrap_or_default();
        used <= most
    })
    .count()
}

/// Wraps `text` between words into lines that fit. The first line begins with `first`, the others with `indent` spaces.
pub(super) fn wrap(most: usize, first: &str, indent: usize, text: &str) -> Vec<String> {
    let indent = " ".repeat(indent.min(most / 2));
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut is_fresh = true;
    for mut word in text.split_whitespace() {
        let space = usize::from(!is_fresh);
        if width(&line) + space + width(word) > most && !is_fresh {
            lines.push(std::mem::replace(&mut line, indent.clone()));
            is_fresh = true;
        }
        while width(&line) + width(word) > most && is_fresh {
            let fits = fitting(word.chars(), most.saturating_sub(width(&line))).max(1);
            let (start, rest) = word.split_at(word.char_indices().nth(fits).map_or(word.len(), |(at, _)| at));
            line.push_str(start);
            lines.push(std::mem::replace(&mut line, indent.clone()));
            word = rest;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = word.is_empty();
    }
    if !is_fresh || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Aligns the columns of `rows` in at most `room` columns. Cells are aligned to the right, except in the columns of
/// `texts`. The last of these is shortened if a row does not fit.
pub(super) fn align(rows: &[Vec<String>], texts: &[usize], room: usize) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (known, cell) in widths.iter_mut().zip(row) {
            *known = width(cell).max(*known);
        }
    }
    let whole = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    if let Some(known) = texts.last().and_then(|&last| widths.get_mut(last)) {
        *known = known.saturating_sub(whole.saturating_sub(room));
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if texts.contains(&column) { left(&shorten(cell, width), width) } else { right(cell, width) }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Returns `text` padded with spaces on the right to `columns` columns.
pub(super) fn left(text: &str, columns: usize) -> String {
    text.to_owned() + &" ".repeat(columns.saturating_sub(width(text)))
}

/// Returns `text` padded with spaces on the left to `columns` columns.
pub(super) fn right(text: &str, columns: usize) -> String {
    " ".repeat(columns.saturating_sub(width(text))) + text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_move_the_cursor_are_escaped() {
        assert_eq!(clean("a\nb\r\t\u{1b}[31m\u{9b}é界"), r"a\nb\r\t\u{1b}[31m\u{9b}é界");
        assert_eq!(clean("\u{202e}txt\u{200b}"), r"\u{202e}txt\u{200b}");
    }

    #[test]
    fn shorten_cuts_out_the_middle() {
        assert_eq!(shorten("/items/{id}", 11), "/items/{id}");
        assert_eq!(shorten("/items/{id}", 8), "/ite…id}");
        assert_eq!(shorten("界界界界", 6), "界…界");
        assert_eq!([shorten("abc", 1), shorten("abc", 0)], ["…", ""]);
    }

    #[test]
    fn lines_break_between_words_and_long_words_break_anywhere() {
        assert_eq!(wrap(80, "  a  ", 2, ""), ["  a  "]);
        let words = "word ".repeat(20);
        assert_eq!(
            wrap(80, "> ", 2, &words),
            [format!("> {}", ["word"; 15].join(" ")), format!("  {}", ["word"; 5].join(" "))]
        );
        let long = "x".repeat(100);
        assert_eq!(wrap(80, "> ", 2, &long), [format!("> {}", "x".repeat(78)), format!("  {}", "x".repeat(22))]);
    }

    #[test]
    fn columns_are_aligned_and_last_text_column_is_shortened() {
        let rows = [["name", "1", "text"], ["界", "1,000", "a longer text"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(align(&rows, &[0, 2], 80), ["name      1  text", "界    1,000  a longer text"]);
        assert_eq!(align(&rows, &[0, 2], 20), ["name      1  text", "界    1,000  a l…ext"]);
    }

    proptest! {
        #[test]
        fn shortened_and_wrapped_text_never_exceeds_width(text in "[a-z 界\u{301}é\u{1b}\n]{0,300}", most in 0_usize..100) {
            let text = clean(&text);
            prop_assert!(width(&shorten(&text, most)) <= most);
            let lines = wrap(80, "first  ", 7, &text);
            prop_assert!(lines.iter().all(|line| width(line) <= 80), "{:?}", lines);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&format!("first{text}")));
        }
    }
}
