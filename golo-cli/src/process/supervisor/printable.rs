//! Text of a load test, safe for a terminal and a log.

use std::borrow::Cow;

/// Begins a sequence that commands a terminal.
const ESCAPE: char = '\u{1b}';
/// Begins a control sequence, as `ESC [` does.
const CSI: char = '\u{9b}';

/// Removes the sequences that command a terminal, for example to colour text, and escapes other control characters. Tabs
/// stay.
pub(super) fn printable(line: &str) -> Cow<'_, str> {
    if line.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ESCAPE => skip_sequence(&mut rest),
            CSI => skip_control(&mut rest),
            c => text.push(c),
        }
    }
    let parts: Vec<_> = text.split('\t').map(golo::report::clean).collect();
    Cow::Owned(parts.join("\t"))
}

/// Skips what follows an escape character.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => skip_control(rest),
        // Commands with a text, such as the title of the window, end with BEL or `ESC \`.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut before = ' ';
            _ = rest.find(|&c| c == '\u{7}' || std::mem::replace(&mut before, c) == ESCAPE && c == '\\');
        }
        // Such as `ESC ( B`.
        Some(' '..='/') => _ = rest.find(|c| !matches!(c, ' '..='/')),
        _ => {}
    }
}

/// Skips the parameters of a control sequence, and the letter that ends it.
fn skip_control(rest: &mut std::str::Chars<'_>) {
    _ = rest.find(|c| !matches!(c, ' '..='?'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_command_a_terminal() {
        for (line, expected) in [
            ("plain\ttext", "plain\ttext"),
            ("héllo 界\t!", "héllo 界\t!"),
            ("\u{1b}[1;32mINFO\u{1b}[0m ready", "INFO ready"),
            ("a\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c", "abc"),
            ("a\u{1b}(Bb\u{1b}7c\u{1b}cd", "abcd"),
            ("a\u{9b}2Jb", "ab"),
            ("10%\r20%\u{8}\u{0}", "10%\\r20%\\u{8}\\u{0}"),
            ("\u{202e}txt", "\\u{202e}txt"),
            ("unfinished\u{1b}", "unfinished"),
            ("unfinished\u{1b}[1;3", "unfinished"),
            ("\u{1b}\u{1b}[31mred", "[31mred"),
        ] {
            assert_eq!(printable(line), expected, "{line:?}");
        }
    }
}
