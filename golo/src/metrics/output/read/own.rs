//! Fast reader of lines exactly as golo writes them: keys in order, nothing escaped. Nearly every line is like that.

use std::{borrow::Cow, time::Duration};

use crate::OutputRef;
use crate::metrics::output::line::needs_no_escape;
use crate::metrics::output::timestamp;
use crate::metrics::tag_set::TagPairs;

/// Beginning of the tags of a request.
const TAGS: &str = ",\"tags\":{\"";

/// Reads the output, or returns `None` if the line differs from that form in any way.
pub(super) fn line(line: &str) -> Option<OutputRef<'_>> {
    let mut rest = Rest(line.strip_suffix('\n').unwrap_or(line));
    let sequence_id = rest.text("{\"sequenceID\":\"")?;
    let url = rest.text("\",\"url\":\"")?;
    let method = rest.text("\",\"method\":\"")?;
    let status = rest.number("\",\"status\":")?.try_into().ok()?;
    let size = rest.number(",\"size\":")?.try_into().ok()?;
    let timestamp = timestamp::read_own(rest.text(",\"timestamp\":\"")?.as_bytes())?;
    let duration = Duration::from_nanos(rest.number("\",\"duration\":")?);
    let error = if rest.is_next(",\"error\":null") { None } else { Some(rest.text(",\"error\":\"")?) };
    rest.is_next_or_absent("\"", error.is_some())?;
    let route = if rest.0.starts_with(",\"route\":\"") { Some(rest.text(",\"route\":\"")?) } else { None };
    rest.is_next_or_absent("\"", route.is_some())?;
    let expected = if rest.is_next(",\"expected\":true") {
        Some(true)
    } else if rest.is_next(",\"expected\":false") {
        Some(false)
    } else {
        None
    };
    let sent = rest.number_or_zero(",\"sent\":")?;
    let redirects = rest.number_or_zero(",\"redirects\":")?.try_into().ok()?;
    let tags = if rest.0.starts_with(TAGS) { rest.tags()? } else { TagPairs::default() };
    (rest.0 == "}").then(|| OutputRef {
        sequence_id: Cow::Borrowed(sequence_id),
        url: Cow::Borrowed(url),
        method: Cow::Borrowed(method),
        status,
        size,
        timestamp,
        duration,
        error: error.map(Cow::Borrowed),
        route: route.map(Cow::Borrowed),
        expected,
        waiting: None,
        phases: None,
        sent,
        redirects,
        redirects_are_hidden: false,
        tags: tags.into(),
        ended: None,
        trace: None,
        evidence: None,
    })
}

/// The unread part of the line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn is_next(&mut self, expected: &str) -> bool {
        match self.0.strip_prefix(expected) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn is_next_or_absent(&mut self, expected: &str, must_be: bool) -> Option<()> {
        (!must_be || self.is_next(expected)).then_some(())
    }

    /// Reads the text after `key` up to the quote that ends it. The quote stays unread.
    fn text(&mut self, key: &str) -> Option<&'a str> {
        let rest = self.0.strip_prefix(key)?;
        let end = memchr::memchr(b'"', rest.as_bytes())?;
        let (text, rest) = rest.split_at(end);
        self.0 = rest;
        needs_no_escape(text.as_bytes()).then_some(text)
    }

    /// Reads the tags, up to the brace that ends them.
    fn tags(&mut self) -> Option<TagPairs> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut before = TAGS;
        loop {
            let key = self.text(before)?;
            let value = self.text("\":\"")?;
            pairs.push((key, value));
            if self.is_next("\"}") {
                return Some(pairs.into_iter().collect());
            }
            before = "\",\"";
        }
    }

    /// Reads the number after `key`. Returns 0 if the key is missing.
    fn number_or_zero(&mut self, key: &str) -> Option<u64> {
        if self.0.starts_with(key) { self.number(key) } else { Some(0) }
    }

    /// Reads the number after `key`: no sign, fraction or leading zero, and at most 19 digits, because more may
    /// overflow.
    fn number(&mut self, key: &str) -> Option<u64> {
        let rest = self.0.strip_prefix(key)?;
        let (mut number, mut digits) = (0, 0);
        for byte in rest.bytes() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            if digits == 19 || (digits == 1 && number == 0) {
                return None;
            }
            number = number * 10 + u64::from(digit);
            digits += 1;
        }
        self.0 = &rest[digits..];
        (digits > 0).then_some(number)
    }
}
