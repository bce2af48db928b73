//! Reasons of errors with the variable parts replaced, so that errors with the same reason share one row. As in routes,
//! `{…}` stands for URLs, addresses, numbers, times and ids.

use std::{borrow::Cow, net::IpAddr};

use http::StatusCode;

use super::route;

/// Placeholder for a variable part.
const VARIES: &str = "{…}";
/// Maximum number of bytes between two variable parts that form one list, as in `1, 2, 3`.
const SEPARATOR: usize = 3;

/// Words followed by a number that is part of the reason.
const CODES: [&str; 10] =
    ["status", "code", "statuscode", "status_code", "http", "http/1.1", "http/1.0", "http/2", "errno", "error"];
/// First number that is too high for a code.
const NO_CODE: u16 = 10_000;
/// Words that are names although they end with digits.
const NAMES: [&str; 27] = [
    "base32", "base58", "base64", "crc32", "f32", "f64", "i16", "i32", "i64", "i128", "u16", "u32", "u64", "u128",
    "latin1", "sha224", "sha256", "sha384", "sha512", "tls10", "tls11", "tls12", "tls13", "utf16", "utf32", "x509",
    "x86",
];
/// Prefixes of protocol versions.
const PROTOCOLS: [&str; 7] = ["http/", "http", "ssl", "sslv", "tls", "tlsv", "v"];

/// Returns `text` with `{…}` in place of its variable parts. Applying it twice changes nothing more.
///
/// A status code stays if the word before it marks it as one, as in `status 503`, or if its reason phrase follows, as
/// in `503 Service Unavailable`. `os error 111`, protocol versions and positions in source files stay too.
pub(super) fn reason(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut reason = Reason { text, written: String::with_capacity(text.len()), copied: 0, before: "" };
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let between = rest.find(|c| !is_between(c)).unwrap_or(rest.len());
        let word = &rest[between..];
        let length = match url(word) {
            0 => word.find(is_between).unwrap_or(word.len()),
            url => url,
        };
        reason.word(at + between, at + between + length);
        at += between + length;
    }
    reason.finish()
}

/// Returns true if `c` separates words.
fn is_between(c: char) -> bool {
    c.is_whitespace() || "\"'`()[]{}<>,;=|&!?*".contains(c)
}

/// Returns the length of the URL at the start of a text, or 0 if there is none.
fn url(text: &str) -> usize {
    let scheme = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(0);
    if scheme == 0 || !text[scheme..].starts_with("://") {
        return 0;
    }
    let ends = |c: char| c.is_whitespace() || "\"'`<>".contains(c);
    let whole = &text[..text.find(ends).unwrap_or(text.len())];
    // Punctuation after a URL is not part of it.
    whole.trim_end_matches([')', ']', '}', ',', '.', ':', ';', '!', '?']).len()
}

/// A reason while it is built: `text` up to `copied` is in `written`, with its variable parts replaced.
struct Reason<'a> {
    text: &'a str,
    written: String,
    copied: usize,
    /// The previous word.
    before: &'a str,
}

impl<'a> Reason<'a> {
    /// Handles the word from `start` to `end`.
    fn word(&mut self, start: usize, end: usize) {
        let text = self.text;
        // A colon before a port or before a JSON value is not part of the word.
        let start = match text[start..end].trim_start_matches(':') {
            _ if is_address(&text[start..end]) => start,
            word => end - word.len(),
        };
        let whole = &text[start..end];
        // A full stop or a colon after a word is not part of it.
        let word = whole.trim_end_matches(['.', ':']);
        let at = (start, start + word.len());
        let before = std::mem::replace(&mut self.before, word.trim_start_matches(['.', ':']));
        if url(whole) > 0 {
            return self.replace(start, end);
        }
        if !word.bytes().any(|byte| byte.is_ascii_digit()) || is_code(word, before, &text[start..]) || is_fixed(word) {
            return;
        }
        if begins_with_number(word) || is_address(word) || route::is_id(word) {
            return self.replace(at.0, at.1);
        }
        self.parts(at.0, word);
    }

    /// Handles the parts of a word that is not a number, address or id as a whole: `user-17`, `localhost:8080`,
    /// `/items/7`.
    fn parts(&mut self, start: usize, word: &str) {
        let mut at = start;
        for part in word.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let name = part.trim_end_matches(|c: char| !c.is_alphanumeric());
            self.part(at, name);
            at += part.len();
        }
    }

    fn part(&mut self, start: usize, part: &str) {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let last = part.len() - letters.len();
        let end = start + part.len();
        if digits == 0 || NAMES.iter().any(|name| name.eq_ignore_ascii_case(part)) {
            return;
        }
        match (last, digits - last) {
            // The part is all digits, or a mix that is not a word.
            _ if letters.is_empty() || route::is_id(part) => self.replace(start, end),
            (_, 3..) => self.replace(start, end),
            // As in `h2` and `md5`.
            (0 | 1, _) => {}
            _ => self.replace(start + letters.len(), end),
        }
    }

    /// Writes the placeholder for the text from `start` to `end`.
    fn replace(&mut self, start: usize, end: usize) {
        let between = &self.text[self.copied..start];
        let is_list = self.written.ends_with(VARIES)
            && between.len() <= SEPARATOR
            && between.chars().all(|c| " ,;:/.-+".contains(c));
        if !is_list {
            self.written.push_str(between);
            self.written.push_str(VARIES);
        }
        self.copied = end;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        self.written.push_str(&self.text[self.copied..]);
        Cow::Owned(self.written)
    }
}

/// Returns true if a word is a code that belongs to the reason. `rest` is the text from this word on.
fn is_code(word: &str, before: &str, rest: &str) -> bool {
    let Some(number) = word.parse::<u16>().ok().filter(|number| *number < NO_CODE) else { return false };
    if CODES.iter().any(|code| code.eq_ignore_ascii_case(before)) {
        return true;
    }
    let reason = StatusCode::from_u16(number).ok().and_then(|status| status.canonical_reason());
    let said = rest[word.len()..].trim_start();
    reason.is_some_and(|reason| said.get(..reason.len()).is_some_and(|said| said.eq_ignore_ascii_case(reason)))
}

/// Returns true if the digits of a word belong to it: a protocol version, or a position in a source file.
fn is_fixed(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let is_version = |rest: &str| {
        rest.len() <= 3 && rest.split('.').all(|number| number.len() == 1 && number.as_bytes()[0].is_ascii_digit())
    };
    let is_protocol = PROTOCOLS.iter().any(|name| lower.strip_prefix(name).is_some_and(is_version));
    is_protocol || lower.contains(".rs:")
}

/// Returns true for words such as `12ms`, `3.5%`, `-1`, `#17`, `2026-11-25T10:00:00Z` and `127.0.0.1:80`.
fn begins_with_number(word: &str) -> bool {
    word.trim_start_matches(['-', '+', '#', '.', '~', '$', '€', '@']).starts_with(|c: char| c.is_ascii_digit())
}

/// Returns true for an IPv6 address without its `[` and `]`.
fn is_address(word: &str) -> bool {
    word.contains(':') && word.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_parts_are_replaced() {
        for (text, expected) in [
            ("GET http://127.0.0.1:8765/abc?… timed out", "GET {…} timed out"),
            ("Get \"http://h/x\": EOF", "Get \"{…}\": EOF"),
            ("error sending request for url (https://h/a): refused", "error sending request for url ({…}): refused"),
            ("no user 17", "no user {…}"),
            ("order #4711: sold out", "order {…}: sold out"),
            ("user-17, user_4711 and user42", "user-{…}, user_{…} and user{…}"),
            ("127.0.0.1:43210 hung up after 12ms", "{…} hung up after {…}"),
            ("[::1]:80 and fe80::1%eth0", "[{…}]:{…} and {…}"),
            ("localhost:5432 is down", "localhost:{…} is down"),
            ("took 1.5s of 250µs at 2026-11-25T10:00:00.123Z", "took {…} of {…} at {…}"),
            ("job 0d3b8a52-6f3c-4d5e-9a1b-2c3d4e5f6a7b is gone", "job {…} is gone"),
            ("sum deadbeefcafe1234 differs", "sum {…} differs"),
            ("no page /items/7/parts", "no page /items/{…}/parts"),
            ("one of [1, 2, 3] or {\"id\":7}", "one of [{…}] or {\"id\":{…}}"),
            ("missing field `id` at line 1 column 37", "missing field `id` at line {…} column {…}"),
            ("id=42", "id={…}"),
        ] {
            assert_eq!(reason(text), expected);
        }
    }

    #[test]
    fn codes_versions_and_positions_stay() {
        for text in [
            "Connection refused (os error 111)",
            "status 503",
            "status: 503",
            "HTTP/1.1 503 Service Unavailable",
            "HTTP status server error (503 Service Unavailable)",
            "got 404 Not Found",
            "TLSv1.3, HTTP/2 and h2",
            "not valid utf8, base64 or sha256",
            "assertion failed at src/main.rs:12:5",
            "invalid u64",
            "operation timed out",
            "",
            "{…} and {…}",
        ] {
            assert!(matches!(reason(text), Cow::Borrowed(same) if same == text), "{text}: {}", reason(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn reason_of_a_reason_is_unchanged(text in "([a-f0-9:/.{}… -]|http://|status |[0-9]{3} |é|\\.rs:){0,30}") {
            let once = reason(&text).into_owned();
            proptest::prop_assert_eq!(reason(&once), &*once);
        }
    }
}
