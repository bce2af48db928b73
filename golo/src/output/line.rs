//! Writing a line: by hand, since it is written for every request.

use std::io::Write as _;

use super::{OutputRef, timestamp};

/// Appends the JSON of `output`, without a line end.
pub(super) fn write(output: &OutputRef<'_>, buffer: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    // What a line is beside its text: keys, timestamp, numbers.
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
    buffer.push(b'}');
}

/// A duration as the line has it; what does not fit (584 years) is the longest that does.
pub(super) fn nanoseconds(duration: std::time::Duration) -> u64 {
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

/// Looks at every byte rather than stopping at the first, and counts in bytes: so the compiler makes it a vector's work.
pub(super) fn needs_no_escape(text: &[u8]) -> bool {
    text.chunks(64).all(|chunk| chunk.iter().fold(0, |count, &byte| count + u8::from(must_be_escaped(byte))) == 0)
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
                // Writing to a `Vec` does not fail.
                let _ = write!(buffer, "\\u{byte:04x}");
            }
            _ => buffer.push(byte),
        }
    }
}
