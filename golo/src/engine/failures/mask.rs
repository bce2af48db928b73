//! Masks secrets in the samples of failed requests: in headers, queries, forms, JSON, XML and plain text.
//!
//! A value counts as secret by its name. Where the end of a value is uncertain, too much is masked rather than too
//! little. Values that were masked once are masked everywhere else in the sample too, because servers repeat them.

mod markup;
mod multipart;

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;

use self::markup::{Attribute, begins_element, end_of_element};
use crate::support::secrets::{end_of_announcement, without_credentials};

/// Replaces a secret.
const MASK: &[u8] = b"***";
/// Names whose values are secret.
const NAMES: [&str; 4] = ["sig", "sid", "pin", "pass"];
/// Part of names whose values are secret in queries and in strings, such as the code of an OAuth redirect.
const CODE: &str = "code";
/// Parts of names of headers with codes that are no secrets, such as `x-error-code` and `x-decoded-length`.
const PLAIN_CODES: [&str; 17] = [
    "status", "error", "reason", "response", "result", "return", "exit", "http", "country", "region", "currency",
    "lang", "zip", "post", "encod", "decod", "codec",
];
/// Words before a secret in a header.
const SCHEMES: [&str; 9] =
    ["basic", "bearer", "digest", "dpop", "hawk", "negotiate", "ntlm", "token", "aws4-hmac-sha256"];
/// Minimum length of a secret that is masked wherever it occurs, in bytes. Shorter ones occur by chance.
const SHORTEST: usize = 6;
/// Maximum number of secrets that are masked wherever they occur.
const MOST: usize = 64;

/// Further names whose values are masked: of headers, of query parameters, and of fields of forms and JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks(Arc<[Box<str>]>);

impl Masks {
    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl<N: Into<Box<str>>> FromIterator<N> for Masks {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

/// Reason why a name's value is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secret {
    /// Any value.
    Any,
    /// A value that is text or part of a query. Numbers under such names are no secrets.
    Text,
}

/// Masks the parts of one sample.
pub(super) struct Masker<'a> {
    masks: &'a Masks,
    /// Secrets that were masked.
    found: Vec<Box<[u8]>>,
}

impl<'a> Masker<'a> {
    pub(super) fn new(masks: &'a Masks) -> Self {
        Self { masks, found: Vec::new() }
    }

    /// Returns the value of a header, masked. `is_sensitive` says that the load test marked it as a secret.
    pub(super) fn header(&mut self, name: &str, value: &[u8], is_sensitive: bool) -> Vec<u8> {
        let is_secret = match self.secret(name.as_bytes()) {
            Some(Secret::Any) => true,
            Some(Secret::Text) => {
                let name = name.to_ascii_lowercase();
                !PLAIN_CODES.iter().any(|plain| name.contains(plain))
            }
            None => false,
        };
        if !is_secret && !is_sensitive {
            return self.text(value);
        }
        if name.eq_ignore_ascii_case("set-cookie") {
            // The rest is attributes.
            let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
            self.remember(value_of_pair(pair));
        } else if name.eq_ignore_ascii_case("cookie") {
            value.split(|byte| *byte == b';').for_each(|pair| self.remember(value_of_pair(pair)));
        } else if !name.to_ascii_lowercase().ends_with("-authenticate") {
            self.remember_words(value);
        }
        MASK.to_vec()
    }

    /// Remembers the words of a header such as `Bearer abc` or `Digest response="abc"`.
    fn remember_words(&mut self, value: &[u8]) {
        for word in value.split(|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b',')) {
            if !SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes())) {
                self.remember(word);
                self.remember(value_of_pair(word));
            }
        }
    }

    /// Remembers a value that may have been masked together with plain text after it.
    fn remember_phrase(&mut self, value: &[u8]) {
        self.remember_whole(value.trim_ascii());
        let is_scheme = |word: &&[u8]| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()));
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty() && !is_scheme(word));
        for (number, word) in words.enumerate() {
            if number == 0 || word.iter().any(u8::is_ascii_digit) {
                self.remember(word);
            }
        }
    }

    /// Returns a URL, masked.
    pub(super) fn url(&mut self, url: &str) -> Vec<u8> {
        self.remember_credentials(url);
        let url = without_credentials(url);
        let path = &url[..url.find(['?', '#']).unwrap_or(url.len())];
        let mut masked = self.pairs(path.as_bytes(), b";/");
        masked.extend(self.pairs(url[path.len()..].as_bytes(), b"?&;#"));
        masked
    }

    /// Returns the name of a route, masked.
    pub(super) fn route(&mut self, route: &str) -> Vec<u8> {
        self.pairs(route.as_bytes(), b"?&;#/")
    }

    /// Returns a body, masked.
    pub(super) fn body(&mut self, body: &[u8]) -> Vec<u8> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let masked = match first {
            Some(b'{' | b'[' | b'"') => self.json(body),
            Some(_) if !body.iter().any(u8::is_ascii_whitespace) => self.pairs(body, b"&"),
            _ => body.to_vec(),
        };
        self.text(&masked)
    }

    /// Returns text of any kind, masked.
    pub(super) fn text(&mut self, text: &[u8]) -> Vec<u8> {
        let clean = match std::str::from_utf8(text) {
            Ok(text) => {
                self.remember_credentials(text);
                Cow::Owned(without_credentials(text).into_owned().into_bytes())
            }
            Err(_) => Cow::Borrowed(text),
        };
        let text = &*clean;
        let mut masked = Vec::with_capacity(text.len());
        let (mut at, mut copied) = (0, 0);
        while let Some(start) = text[at..].iter().position(|byte| is_word(*byte)).map(|more| at + more) {
            let end = text[start..].iter().position(|byte| !is_word(*byte)).map_or(text.len(), |more| start + more);
            at = end;
            let Some((from, to)) = self.value_of(text, start, end).filter(|(from, to)| from < to) else { continue };
            let value = &text[from..to];
            if value != MASK && is_phrase(&text[..from], value) {
                self.remember_phrase(value);
            } else if value != MASK {
                self.remember(value);
            }
            masked.extend_from_slice(&text[copied..from]);
            masked.extend_from_slice(MASK);
            (at, copied) = (to, to);
        }
        masked.extend_from_slice(&text[copied..]);
        masked
    }

    /// Masks the secrets that were found anywhere.
    pub(super) fn hide_found(&self, text: &mut Vec<u8>) {
        for secret in &self.found {
            let mut at = 0;
            while let Some(more) = memmem::find(&text[at..], secret) {
                text.splice(at + more..at + more + secret.len(), MASK.iter().copied());
                at += more + MASK.len();
            }
        }
    }

    fn secret(&self, name: &[u8]) -> Option<Secret> {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let parts = || name.split(['[', ']', '.']).chain([&*name]);
        let is_named = |known: &str| parts().any(|part| part == known);
        if end_of_announcement(&name).is_some()
            || NAMES.iter().any(|known| is_named(known))
            || self.masks.names().any(|mask| is_named(&mask.to_lowercase()))
        {
            return Some(Secret::Any);
        }
        name.contains(CODE).then_some(Secret::Text)
    }

    fn remember(&mut self, value: &[u8]) {
        // Of a JSON value, its strings.
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\{}[],".contains(byte);
        let parts = value.split(is_between).map(Cow::Borrowed);
        for value in [Cow::Borrowed(value.trim_ascii()), decoded(value)].into_iter().chain(parts) {
            self.remember_whole(&value);
        }
    }

    fn remember_whole(&mut self, value: &[u8]) {
        let is_new = !self.found.iter().any(|known| **known == *value);
        if value.len() >= SHORTEST && is_new && self.found.len() < MOST {
            self.found.push(value.into());
            // A secret may be part of another.
            self.found.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    /// Remembers the users and passwords of URLs.
    fn remember_credentials(&mut self, text: &str) {
        for after in text.split("://").skip(1) {
            let word = after.split(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).next().unwrap_or_default();
            let credentials = word.rsplit_once('@').map_or("", |(credentials, _)| credentials);
            credentials.split(':').for_each(|part| self.remember(part.as_bytes()));
        }
    }

    /// Masks the values of `key=value` between any of these separators.
    fn pairs(&mut self, text: &[u8], separators: &[u8]) -> Vec<u8> {
        let mut masked = Vec::with_capacity(text.len());
        for pair in text.split_inclusive(|byte| separators.contains(byte)) {
            let (pair, separator) = match pair.split_last() {
                Some((last, rest)) if separators.contains(last) => (rest, std::slice::from_ref(last)),
                _ => (pair, &[][..]),
            };
            match memchr::memchr(b'=', pair).map(|at| pair.split_at(at + 1)) {
                Some((key, value)) if !value.is_empty() && self.is_secret_pair(key, value) => {
                    self.remember(value);
                    masked.extend_from_slice(key);
                    masked.extend_from_slice(MASK);
                }
                _ => masked.extend_from_slice(pair),
            }
            masked.extend_from_slice(separator);
        }
        masked
    }

    /// Returns true if the value is a secret, or contains one: another URL, for example.
    fn is_secret_pair(&mut self, key: &[u8], value: &[u8]) -> bool {
        let key = decoded(&key[..key.len() - 1]);
        let value = decoded(value);
        self.secret(&key).is_some() || self.text(&value) != *value
    }

    /// Masks the values of secret fields of JSON, which may be cut off.
    fn json(&mut self, text: &[u8]) -> Vec<u8> {
        let mut masked = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            if text[at] != b'"' {
                masked.push(text[at]);
                at += 1;
                continue;
            }
            let end = end_of_string(text, at);
            masked.extend_from_slice(&text[at..end]);
            let name = serde_json::from_slice::<String>(&text[at..end]);
            at = end;
            let value = skip_spaces(text, end);
            if text.get(value) != Some(&b':') {
                continue;
            }
            let value = skip_spaces(text, value + 1);
            let name = name.unwrap_or_default();
            let is_secret = match self.secret(name.as_bytes()) {
                Some(Secret::Any) => true,
                Some(Secret::Text) => text.get(value) == Some(&b'"'),
                None => false,
            };
            if is_secret && value < text.len() {
                masked.extend_from_slice(&text[end..value]);
                at = end_of_value(text, value);
                self.remember(&text[value..at]);
                if let Ok(text) = serde_json::from_slice::<String>(&text[value..at]) {
                    self.remember(text.as_bytes());
                }
                masked.push(b'"');
                masked.extend_from_slice(MASK);
                masked.push(b'"');
            }
        }
        masked
    }

    /// Returns the place of the value that the name from `start` to `end` has in `text`, if it is a secret.
    fn value_of(&self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
        let word = &text[start..end];
        // `token%3Dabc`: `%` is part of a word.
        let encoded =
            (0..word.len()).find(|at| word[*at..].len() > 3 && word[*at..*at + 3].eq_ignore_ascii_case(b"%3d"));
        if let Some(at) = encoded
            && self.secret(&decoded(&word[..at])).is_some()
        {
            return Some((start + at + 3, end_of_bare(text, start + at + 3)));
        }
        let before = &text[..start];
        if let Some(disposition) = multipart::disposition(text, start, end) {
            // The words `name` and `filename` are syntax.
            return disposition.value.filter(|_| self.secret(disposition.name).is_some());
        }
        if let Some(place) = self.value_of_attribute(text, start, end) {
            return Some(place);
        }
        let secret = self.secret(word)?;
        let backslashes = text[end..].iter().take_while(|byte| **byte == b'\\').count();
        let mut at = end + backslashes;
        let is_quoted = matches!(text.get(at), Some(b'"' | b'\''));
        if !is_quoted && backslashes > 0 {
            return None;
        }
        at += usize::from(is_quoted);
        at = if is_quoted { skip_spaces(text, at) } else { skip_blanks(text, at) };
        let is_tag = begins_element(before);
        match text.get(at)? {
            b'>' if is_tag => Some((at + 1, end_of_element(text, at + 1, word))),
            b'=' => {
                let value = skip_blanks(text, at + 1 + usize::from(text.get(at + 1) == Some(&b'>')));
                let end = if secret == Secret::Text || is_in_url(before) { end_of_bare } else { end_of_phrase };
                Some(quoted(text, value).unwrap_or_else(|| (value, end(text, value))))
            }
            // The port of a host, as in `http://auth:8080/`, is no secret.
            b':' if secret == Secret::Any && !before.ends_with(b"//") => {
                let value = skip_spaces_if(is_quoted, text, at + 1);
                if backslashes > 0 {
                    // JSON in a string: until the end of the string.
                    return Some((value, end_of_quoted(text, value, b'"')));
                }
                if matches!(text.get(value), Some(b'{' | b'[')) {
                    return Some((value, text.len()));
                }
                Some(quoted(text, value).unwrap_or_else(|| (value, end_of_line(text, value))))
            }
            b':' if is_quoted => quoted(text, skip_spaces(text, at + 1)),
            _ if is_tag => {
                let close = at + memchr::memchr(b'>', &text[at..])?;
                Some((close + 1, end_of_element(text, close + 1, word)))
            }
            _ => None,
        }
    }

    /// Returns the place of the value of an attribute, as in `<input name="token" value="abc">`, if another attribute of
    /// the same tag has the name of a secret.
    fn value_of_attribute(&self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
        if ![&b"value"[..], b"content", b"data-value"].iter().any(|name| text[start..end].eq_ignore_ascii_case(name)) {
            return None;
        }
        let is_secret = |attribute: &Attribute| {
            let name = text[attribute.name.clone()].to_ascii_lowercase();
            let is_naming = matches!(&*name, b"name" | b"property" | b"itemprop" | b"id" | b"type");
            is_naming && self.secret(&text[attribute.value.clone()]).is_some()
        };
        markup::tags_around(text, start).find_map(|tag| {
            let own = tag.iter().find(|attribute| attribute.name == (start..end))?;
            tag.iter().any(is_secret).then_some((own.value.start, own.value.end))
        })
    }
}

/// Returns true if a name after this text is in a URL, as in `http://h/?name`.
fn is_in_url(before: &[u8]) -> bool {
    let word = before.iter().rposition(u8::is_ascii_whitespace).map_or(before, |space| &before[space + 1..]);
    word.contains(&b'?') || memmem::find(word, b"://").is_some()
}

/// Returns true if a value after this text is without quotes and has spaces.
fn is_phrase(before: &[u8], value: &[u8]) -> bool {
    before.trim_ascii_end().ends_with(b"=") && value.iter().any(u8::is_ascii_whitespace)
}

/// Returns the value of `name=value`, or the whole text without a name.
fn value_of_pair(pair: &[u8]) -> &[u8] {
    memchr::memchr(b'=', pair).map_or(pair, |at| &pair[at + 1..])
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'$' | b'%') || !byte.is_ascii()
}

fn skip_spaces(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| !byte.is_ascii_whitespace()).map_or(text.len(), |more| at + more)
}

fn skip_blanks(text: &[u8], at: usize) -> usize {
    let at = at.min(text.len());
    text[at..].iter().position(|byte| !matches!(byte, b' ' | b'\t')).map_or(text.len(), |more| at + more)
}

fn skip_spaces_if(is_quoted: bool, text: &[u8], at: usize) -> usize {
    if is_quoted { skip_spaces(text, at) } else { skip_blanks(text, at) }
}

/// Returns the value in quotes at `at`, if there is one.
fn quoted(text: &[u8], at: usize) -> Option<(usize, usize)> {
    match text.get(at)? {
        quote @ (b'"' | b'\'') => Some((at + 1, end_of_quoted(text, at + 1, *quote))),
        b'\\' => Some((at, end_of_quoted(text, at, b'"'))),
        _ => None,
    }
}

/// Returns the next quote without a backslash before it.
fn end_of_quoted(text: &[u8], from: usize, quote: u8) -> usize {
    let is_end = |at: &usize| text[*at] == quote && (*at == 0 || text[*at - 1] != b'\\');
    (from..text.len()).find(is_end).unwrap_or(text.len())
}

/// Returns the end of a value without quotes after `=`.
fn end_of_bare(text: &[u8], from: usize) -> usize {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'&' | b'"' | b'\'' | b'<' | b'>' | b'`');
    text[from..].iter().position(is_end).map_or(text.len(), |more| from + more)
}

/// Returns the end of a value without quotes after `=` that may have spaces, as in plain text.
fn end_of_phrase(text: &[u8], from: usize) -> usize {
    let is_end = |at: &usize| match text[*at] {
        b'&' | b'\n' | b'\r' | b'"' => true,
        // The next tag.
        b'<' => text.get(at + 1).is_none_or(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!')),
        _ => false,
    };
    (from..text.len()).find(is_end).unwrap_or(text.len())
}

/// Returns the end of a value without quotes after `:`.
fn end_of_line(text: &[u8], from: usize) -> usize {
    memchr::memchr3(b'\n', b'\r', b'"', &text[from..]).map_or(text.len(), |more| from + more)
}

/// Returns the end of the JSON string that begins at `at`.
fn end_of_string(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = text.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    text.len()
}

/// Returns the end of the JSON value that begins at `at`.
fn end_of_value(text: &[u8], at: usize) -> usize {
    match text[at] {
        b'"' => end_of_string(text, at),
        b'{' | b'[' => {
            let (mut depth, mut end) = (0_usize, at);
            while let Some(byte) = text.get(end) {
                match byte {
                    b'"' => {
                        end = end_of_string(text, end);
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                end += 1;
                if depth == 0 {
                    return end;
                }
            }
            text.len()
        }
        _ => text[at..].iter().position(|byte| matches!(byte, b',' | b'}' | b']')).map_or(text.len(), |more| at + more),
    }
}

/// Returns the text without its percent encoding.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let pair = digit(at + 1).zip(digit(at + 2)).filter(|_| *byte == b'%');
        match pair {
            Some((high, low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            None => {
                plain.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests;
