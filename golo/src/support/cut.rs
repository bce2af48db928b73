//! Beginnings of texts, cut between two characters.

use std::borrow::Cow;

/// End of a text that was cut.
const CUT: &str = "…";

/// Returns the beginning of `text` in at most `most` bytes.
pub(crate) fn to_bytes(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Returns `text` if it has at most `most` bytes, and otherwise its beginning and `…` in so many.
pub(crate) fn marked_to_bytes(text: Cow<'_, str>, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text;
    }
    Cow::Owned([to_bytes(&text, most - CUT.len()), CUT].concat())
}

/// Returns the beginning of `text` in at most `most` characters.
pub(crate) fn to_characters(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}
