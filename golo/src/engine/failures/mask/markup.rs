//! Elements and attributes of HTML and XML.

use std::ops::Range;

use memchr::memmem;

use super::is_word;

/// Maximum number of bytes before an attribute in which its tag begins.
const WINDOW: usize = 1024;
/// Maximum number of places that are tried as the beginning of a tag. A `<` may be part of an attribute.
const BEGINNINGS: usize = 8;

/// Places of the name and the value of an attribute. The value is without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Returns the attributes of each tag that may be the one around `at`.
pub(super) fn tags_around(text: &[u8], at: usize) -> impl Iterator<Item = Vec<Attribute>> {
    let from = at.saturating_sub(WINDOW);
    memchr::memrchr_iter(b'<', &text[from..at]).take(BEGINNINGS).map(move |begins| attributes(text, from + begins))
}

/// Returns the attributes of the tag that begins at `begins` and may be cut off.
fn attributes(text: &[u8], begins: usize) -> Vec<Attribute> {
    let ends_name = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'/');
    let mut found = Vec::new();
    let mut at = skip(text, begins + 1, |byte| !ends_name(byte));
    loop {
        at = skip(text, at, |byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'='));
        if at >= text.len() || text[at] == b'>' {
            return found;
        }
        let name = at..skip(text, at, |byte| !ends_name(byte));
        at = skip(text, name.end, |byte| byte.is_ascii_whitespace());
        if text.get(at) != Some(&b'=') {
            continue;
        }
        at = skip(text, at + 1, |byte| byte.is_ascii_whitespace());
        let value = value(text, at);
        at = value.end;
        if matches!(text.get(at), Some(b'"' | b'\'' | b'\\')) {
            at += 1;
        }
        found.push(Attribute { name, value });
    }
}

/// Returns the value at `at`. Its quotes have a backslash each if the tag is in a string of JSON.
fn value(text: &[u8], at: usize) -> Range<usize> {
    match (text.get(at), text.get(at + 1)) {
        (Some(quote @ (b'"' | b'\'')), _) => at + 1..skip(text, at + 1, |byte| byte != *quote),
        (Some(b'\\'), Some(b'"')) => {
            let end = memmem::find(&text[at + 2..], b"\\\"").map_or(text.len(), |more| at + 2 + more);
            at + 2..end
        }
        _ => at..skip(text, at, |byte| !byte.is_ascii_whitespace() && byte != b'>'),
    }
}

fn skip(text: &[u8], from: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let from = from.min(text.len());
    text[from..].iter().position(|byte| !is_part(*byte)).map_or(text.len(), |more| from + more)
}

/// Returns true if a name after this text is that of an XML element which begins.
pub(super) fn begins_element(before: &[u8]) -> bool {
    let Some(at) = memchr::memrchr(b'<', before) else { return false };
    let prefix = &before[at + 1..];
    prefix.is_empty() || (prefix.ends_with(b":") && prefix[..prefix.len() - 1].iter().all(|byte| is_word(*byte)))
}

/// Returns the end of the text of an XML element.
pub(super) fn end_of_element(text: &[u8], from: usize, name: &[u8]) -> usize {
    let mut at = from;
    while let Some(more) = memmem::find(&text[at..], b"</") {
        let tag = &text[at + more + 2..];
        let tag = &tag[..memchr::memchr(b'>', tag).unwrap_or(tag.len())];
        if tag.trim_ascii_end().ends_with(name) {
            return at + more;
        }
        at += more + 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_found_with_any_quotes() {
        let text = br#"<p><input disabled a="1>2" b = 'x y' c=3 d=\"4 5\"/>f=6"#;
        let at = text.len() - 8;
        let tags: Vec<_> = tags_around(text, at).collect();
        let shown = |part: &Range<usize>| String::from_utf8_lossy(&text[part.clone()]).into_owned();
        let pairs: Vec<_> = tags[0].iter().map(|Attribute { name, value }| (shown(name), shown(value))).collect();
        let expected = [("a", "1>2"), ("b", "x y"), ("c", "3"), ("d", "4 5")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(tags[1], [], "of the element before");
    }

    proptest! {
        #[test]
        fn any_text_has_tags(text in r#"([<>=/ \\"'a-c]|value){0,40}"#, at in 0..60_usize) {
            let text = text.as_bytes();
            for Attribute { name, value } in tags_around(text, at.min(text.len())).flatten() {
                prop_assert!(name.start <= name.end && name.end <= value.start && value.end <= text.len());
            }
        }
    }
}
