//! The beginning of a body, for messages. It shows no secrets.

use std::borrow::Cow;

use crate::support::secrets::without_secrets;

/// Largest number of characters of a body in a message.
const LENGTH: usize = 80;
/// Length from which a word with a digit may be a key or a token.
const SECRET: usize = 16;
/// Parts of words after which a secret may come.
const ANNOUNCES: [&str; 9] =
    ["authorization", "bearer", "cookie", "credential", "csrf", "key", "passw", "secret", "token"];

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
    let (text, is_whole) = match text.char_indices().nth(LENGTH) {
        Some((end, _)) => (&text[..end], false),
        None => (&*text, is_whole),
    };
    let (text, is_whole) = without_announced(text, is_whole);
    let text = without_long_words(&without_secrets(text));
    if is_whole || text.ends_with('…') { text } else { text + "…" }
}

/// Cuts a text after the first word that announces a secret.
fn without_announced(text: &str, is_whole: bool) -> (&str, bool) {
    let lower = text.to_ascii_lowercase();
    let end = ANNOUNCES.iter().filter_map(|word| lower.find(word).map(|at| at + word.len())).min();
    match end {
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
            (r#"{"user":"ada","Password": "s3cret"}"#, r#"{"user":"ada","Passw…"#),
            ("id 0d3b7c00-1b2c-4f6a-9f3e-2c3f4a5b6c7d end", "id … end"),
            ("see http://ada:s3cret@h/x?a=s3cret now", "see http://h/x?… now"),
            ("plain words stay as they are", "plain words stay as they are"),
            ("a-word-without-any-digit", "a-word-without-any-digit"),
        ] {
            let shown = format!("it begins with `{shown}`");
            assert_eq!(begins(body.as_bytes()), shown);
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
