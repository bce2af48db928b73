//! The beginning of a body, for messages. It shows no secrets.

use std::borrow::Cow;

use crate::support::cut;
use crate::support::secrets::{end_of_announcement, without_secrets};

/// Largest number of characters of a body in a message.
const LENGTH: usize = 80;
/// Length from which a word with a digit may be a key or a token.
const SECRET: usize = 16;

/// Describes the beginning of a body.
pub(super) fn begins(body: &[u8]) -> String {
    if body.is_empty() {
        return "the body is empty".to_owned();
    }
    match excerpt(body) {
        text if text.is_empty() => "it has no text".to_owned(),
        text => format!("it begins with `{text}`"),
    }
}

/// Returns the beginning of a body on one line, without secrets. A cut is marked by `…`.
fn excerpt(body: &[u8]) -> String {
    // Enough for the characters of the excerpt and some white space. The last character may be cut in two.
    let (head, is_whole) = match body.get(..4 * LENGTH * 4) {
        Some(head) => (head, false),
        None => (body, true),
    };
    let text = String::from_utf8_lossy(head).replace(|c: char| c.is_control() || c == '`', " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Its last word may be the beginning of a secret.
    let text = match text.rsplit_once(' ') {
        Some((before, _)) if !is_whole && text.chars().count() <= LENGTH + SECRET => before,
        _ => &text,
    };
    let (text, is_whole) = without_announced(text, is_whole);
    let text = without_long_words(&without_secrets(text));
    match cut::to_characters(&text, LENGTH) {
        short if short.len() < text.len() => short.trim_end_matches('…').to_owned() + "…",
        _ if is_whole || text.ends_with('…') => text,
        _ => text + "…",
    }
}

/// Cuts a text after the first word that announces a secret.
fn without_announced(text: &str, is_whole: bool) -> (&str, bool) {
    match end_of_announcement(&text.to_ascii_lowercase()) {
        Some(end) if end < text.len() => (&text[..end], false),
        _ => (text, is_whole),
    }
}

/// Replaces long words with digits by `…`.
fn without_long_words(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (between, from) = rest.split_at(rest.find(is_part).unwrap_or(rest.len()));
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        clean.push_str(between);
        let is_secret = word.len() >= SECRET && word.bytes().any(|byte| byte.is_ascii_digit());
        clean.push_str(&if is_secret { Cow::Borrowed("…") } else { Cow::Borrowed(word) });
        rest = after;
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_shows_the_first_80_characters_on_one_line() {
        assert_eq!(begins(b""), "the body is empty");
        assert_eq!(begins(b" \n\t"), "it has no text");
        assert_eq!(begins(b"<html>\n  <h1>No\tpage</h1>"), "it begins with `<html> <h1>No page</h1>`");
        let long = "äb ".repeat(5_000);
        let shown = begins(long.as_bytes());
        assert!(shown.starts_with("it begins with `äb äb ") && shown.ends_with("…`"), "{shown}");
        assert_eq!(shown.chars().count(), "it begins with ``".len() + LENGTH + 1);
        assert_eq!(begins(b"\xff\0`x`"), "it begins with `\u{fffd} x`");
    }

    #[test]
    fn begins_shows_no_secrets() {
        for (body, shown) in [
            (r#"{"token":"s3cret"}"#, r#"{"token…"#),
            (r#"{"user":"ada","Password": "s3cret"}"#, r#"{"user":"ada","Password…"#),
            ("session 4711", "session…"),
            ("by the author 4711", "by the author 4711"),
            ("id 0d3b7c00-1b2c-4f6a-9f3e-2c3f4a5b6c7d end", "id … end"),
            ("see http://ada:s3cret@h/x?a=s3cret now", "see http://h/x?… now"),
            ("plain words stay as they are", "plain words stay as they are"),
            ("a-word-without-any-digit", "a-word-without-any-digit"),
        ] {
            let shown = format!("it begins with `{shown}`");
            assert_eq!(begins(body.as_bytes()), shown);
        }
    }

    #[test]
    fn begins_hides_secrets_before_the_cut() {
        let secret = "s3cr3t-t0ken-0123456789";
        for filling in 50..LENGTH + 2 {
            for body in [
                format!("{} {secret} and more", "x".repeat(filling)),
                format!("{} http://ada:{secret}@h/ and more", "x".repeat(filling)),
                format!("{}{} {secret}", " ".repeat(4 * LENGTH * 4 - filling), "x".repeat(filling - 10)),
            ] {
                let shown = begins(body.as_bytes());
                assert!(!shown.contains("s3"), "{shown}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn begins_accepts_any_body(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000)) {
            let shown = begins(&body);
            proptest::prop_assert!(!shown.contains('\n') && shown.chars().count() <= LENGTH + 20, "{shown}");
        }
    }
}
