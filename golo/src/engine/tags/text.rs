//! Kept text of tag keys and values: bounded and without secrets.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{BuildHasher as _, BuildHasherDefault};

use rustc_hash::FxHasher;

use crate::engine::route;
use crate::support::cut;

/// Maximum length of a key in bytes. Longer keys are cut.
const KEY: usize = 100;

/// Length in bytes of a URL whose kept text is cached. Longer ones are rare, and would take much memory.
const LONGEST_REMEMBERED: usize = 2048;

/// Number of URLs whose kept text is cached by each thread.
const REMEMBERED: usize = 256;

/// A URL and its kept text.
type Remembered = (Box<str>, Box<str>);

thread_local! {
    static KEPT: RefCell<Vec<Option<Remembered>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `use_it` with the [`kept`] text of a value. The text of a URL is cached, since computing it costs ten times
/// the rest.
pub(super) fn with_kept<T>(value: &str, use_it: impl FnOnce(&str) -> T) -> T {
    let is_text = !value.starts_with('/') && memchr::memchr(b':', value.as_bytes()).is_none();
    if is_text || value.len() > LONGEST_REMEMBERED {
        return use_it(&kept(value));
    }
    let slot = BuildHasherDefault::<FxHasher>::default().hash_one(value) as usize % REMEMBERED;
    KEPT.with_borrow_mut(|remembered| {
        if remembered.is_empty() {
            remembered.resize_with(REMEMBERED, || None);
        }
        let known = &mut remembered[slot];
        if known.as_ref().is_none_or(|(from, _)| **from != *value) {
            *known = Some((value.into(), kept(value).into()));
        }
        use_it(known.as_ref().map_or(value, |(_, kept)| kept))
    })
}

/// Returns a key, cut to the maximum length; `…` stands for the rest.
pub(super) fn bounded(key: &str) -> Cow<'_, str> {
    cut::marked_to_bytes(key.into(), KEY)
}

/// Returns a value as it is kept, in at most some 600 bytes.
///
/// A URL, or a path that begins with `/`, is kept as a route: variable parts become `{id}`, and user, password, query
/// and fragment are removed. URLs within other text lose the same four parts. Applying this function twice changes
/// nothing more.
pub fn kept(value: &str) -> Cow<'_, str> {
    if value.starts_with('/') {
        let (_, path) = route::split(value);
        return route::template(path);
    }
    let scheme = memchr::memchr(b':', value.as_bytes());
    if scheme.is_none() || !value.contains("://") {
        return route::bounded(value);
    }
    let clean = if value.bytes().all(is_plain) { Cow::Borrowed(value) } else { Cow::Owned(without_secrets(value)) };
    let (origin, path) = route::split(&clean);
    if origin.is_empty() || clean.contains(char::is_whitespace) {
        return Cow::Owned(route::bounded(&clean).into_owned());
    }
    Cow::Owned([&*route::bounded(origin), &*route::template(path)].concat())
}

/// Returns true if a byte neither ends a URL nor begins a part that is to be removed.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"?#@\"'<>`".contains(&byte)
}

/// Returns a text whose URLs have no user, password, query and fragment.
fn without_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        let end = url.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let url = url.find(['?', '#']).map_or(url, |at| &url[..at]);
        let authority = url.find('/').unwrap_or(url.len());
        let url = url[..authority].rfind('@').map_or(url, |at| &url[at + 1..]);
        clean.push_str(before);
        clean.push_str(url);
        rest = after;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_kept_like_routes() {
        for (value, expected) in [
            ("200 OK", "200 OK"),
            ("", ""),
            ("what?", "what?"),
            ("http://127.0.0.1:8765/items/7?api_key=secret#x", "http://127.0.0.1:8765/items/{id}"),
            ("http://user:secret@h:1/a/12?q", "http://h:1/a/{id}"),
            ("http://user:secret@h", "http://h/"),
            ("/items/9?token=secret", "/items/{id}"),
            ("GET http://u:secret@h/x?k=secret failed: \"http://h/?k=secret\"", "GET http://h/x failed: \"http://h/\""),
        ] {
            assert_eq!(kept(value), expected);
        }
        assert!(kept(&"x".repeat(10_000)).len() <= 300);
        assert_eq!(bounded(&"é".repeat(80)), "é".repeat(48) + "…");
    }

    proptest! {
        #[test]
        fn kept_text_is_bounded_and_kept_unchanged(value in "[a-z0-9:/?#@ é]{0,400}|(http://|/)[a-z0-9:/?#@é]{0,400}") {
            let once = kept(&value).into_owned();
            prop_assert!(once.len() <= 700);
            prop_assert_eq!(kept(&once), once.as_str());
        }
    }
}
