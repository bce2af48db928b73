//! Writer of lines. Handwritten for speed, because it runs for every request.

use std::io::Write as _;

use super::{OutputRef, timestamp};
use crate::metrics::tag_set::RequestTags;

/// Appends the JSON of `output`, without a line end.
pub(super) fn write(output: &OutputRef<'_>, buffer: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    // Room for everything but the texts: keys, timestamp and numbers.
    buffer.reserve(192 + output.sequence_id.len() + output.url.len() + output.method.len());
    buffer.extend_from_slice(b"{\"sequenceID\":");
    string(&output.sequence_id, buffer);
    buffer.extend_from_slice(b",\"url\":");
    string(&output.url, buffer);
    buffer.extend_from_slice(b",\"method\":");
    string(&output.method, buffer);
    buffer.extend_from_slice(b",\"status\":");
    buffer.extend_from_slice(number.format(output.status).as_bytes());
    buffer.extend_from_slice(b",\"size\":");
    buffer.extend_from_slice(number.format(output.size).as_bytes());
    buffer.extend_from_slice(b",\"timestamp\":\"");
    timestamp::write(output.timestamp, buffer);
    buffer.extend_from_slice(b"\",\"duration\":");
    buffer.extend_from_slice(number.format(nanoseconds(output.duration)).as_bytes());
    buffer.extend_from_slice(b",\"error\":");
    match &output.error {
        None => buffer.extend_from_slice(b"null"),
        Some(error) => string(error, buffer),
    }
    if let Some(route) = &output.route {
        buffer.extend_from_slice(b",\"route\":");
        string(route, buffer);
    }
    if let Some(expected) = output.expected {
        buffer.extend_from_slice(if expected { b",\"expected\":true" } else { b",\"expected\":false" });
    }
    if output.sent > 0 {
        buffer.extend_from_slice(b",\"sent\":");
        buffer.extend_from_slice(number.format(output.sent).as_bytes());
    }
    if output.redirects > 0 {
        buffer.extend_from_slice(b",\"redirects\":");
        buffer.extend_from_slice(number.format(output.redirects).as_bytes());
    }
    if !output.tags.is_empty() {
        tags(&output.tags, buffer);
    }
    buffer.push(b'}');
}

/// Appends the key `tags` with an object.
fn tags(tags: &RequestTags, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(b",\"tags\":{");
    tags.with_pairs(|pairs| {
        for (number, (key, value)) in pairs.iter().enumerate() {
            if number > 0 {
                buffer.push(b',');
            }
            string(key, buffer);
            buffer.push(b':');
            string(value, buffer);
        }
    });
    buffer.push(b'}');
}

/// Returns a duration in nanoseconds, at most `u64::MAX` (584 years).
pub fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Appends `text` as a JSON string.
fn string(text: &str, buffer: &mut Vec<u8>) {
    buffer.push(b'"');
    if needs_no_escape(text.as_bytes()) {
        buffer.extend_from_slice(text.as_bytes());
    } else {
        escaped(text, buffer);
    }
    buffer.push(b'"');
}

/// Returns true if JSON needs no escapes in `text`. Checks eight bytes at a time.
pub(super) fn needs_no_escape(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return !text.iter().copied().any(must_be_escaped);
    };
    let mut words = text.as_chunks().0.iter().chain(std::iter::once(last));
    words.all(|&word| !any_must_be_escaped(u64::from_ne_bytes(word)))
}

/// Returns true if [`must_be_escaped`] holds for any byte of `word`. Subtracting `n` from each byte borrows into its
/// high bit if the byte was less than `n`. Bytes with the high bit set are not escaped. A borrow from a neighbouring
/// byte can only follow a byte that was found.
fn any_must_be_escaped(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    let is_quote = is_zero(word ^ (ONES * b'"' as u64));
    let is_backslash = is_zero(word ^ (ONES * b'\\' as u64));
    (is_control | is_quote | is_backslash) & (ONES * 0x80) != 0
}

fn must_be_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

#[cold]
fn escaped(text: &str, buffer: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => buffer.extend_from_slice(&[b'\\', byte]),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\r' => buffer.extend_from_slice(b"\\r"),
            b'\t' => buffer.extend_from_slice(b"\\t"),
            _ if must_be_escaped(byte) => {
                // Writing to a `Vec` cannot fail.
                let _ = write!(buffer, "\\u{byte:04x}");
            }
            _ => buffer.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn needs_no_escape_agrees_with_a_check_of_each_byte(text in proptest::collection::vec(proptest::num::u8::ANY, 0..40), plain in proptest::bool::ANY) {
            // Mostly text that needs no escape, because otherwise the answer would nearly always be the same.
            let text: Vec<u8> = if plain { text.iter().map(|byte| byte % 90 + 35).collect() } else { text };
            proptest::prop_assert_eq!(needs_no_escape(&text), !text.iter().copied().any(must_be_escaped));
        }

        #[test]
        fn needs_no_escape_checks_the_byte_at_every_position(length in 1usize..40, at in 0usize..40, byte in proptest::num::u8::ANY) {
            let mut text = vec![b'x'; length];
            text[at % length] = byte;
            proptest::prop_assert_eq!(needs_no_escape(&text), !must_be_escaped(byte));
        }
    }
}
