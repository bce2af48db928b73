//! Secrets in URLs. Queries contain keys and tokens, so reports, stores and error messages leave them out. Only lines
//! of [`Output`](crate::Output) have them.

use std::borrow::Cow;

/// Parts of names whose values are secret, in lower case.
const WORDS: [&str; 16] = [
    "token",
    "key",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "session",
    "auth",
    "signature",
    "credential",
    "cookie",
    "jwt",
    "bearer",
    "csrf",
    "xsrf",
];
/// Placeholder for a query.
const HIDDEN: &str = "…";

/// Returns the end of the first part of a name or text, in lower case, that announces a secret.
pub(crate) fn end_of_announcement(text: &str) -> Option<usize> {
    let is_author = |at: usize| text[at..].starts_with("author") && !text[at..].starts_with("authori");
    let ends = WORDS.iter().filter_map(|word| {
        // An author is no secret.
        let mut places = text.match_indices(word).map(|(at, _)| at);
        places.find(|at| *word != "auth" || !is_author(*at)).map(|at| at + word.len())
    });
    ends.min()
}

/// Returns `text` without the user, password, query and fragment of any URL in it.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    match without_credentials(text) {
        Cow::Borrowed(text) => without_queries(text),
        Cow::Owned(text) => Cow::Owned(without_queries(&text).into_owned()),
    }
}

/// Returns `text` with `…` for the query and the fragment of each URL in it: `http://host/search?…`. Also applies to
/// the query of a path without a host, as in `/search?key=value`.
pub(crate) fn without_queries(text: &str) -> Cow<'_, str> {
    // A quick check first, because most texts have no query.
    if memchr::memchr2(b'?', b'#', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let start = rest.find(|c| !ends_url(c)).unwrap_or(rest.len());
        let (between, from) = rest.split_at(start);
        hidden.push_str(between);
        let (word, after) = from.split_at(from.find(ends_url).unwrap_or(from.len()));
        rest = after;
        hide(word, &mut hidden);
    }
    if hidden == text { Cow::Borrowed(text) } else { Cow::Owned(hidden) }
}

/// Returns true if this character ends a URL in a text.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>')
}

/// Appends a word of a text, without its query if it is a URL or a path.
fn hide(word: &str, to: &mut String) {
    let start = match word.find("://") {
        Some(authority) => word[authority..].find(['?', '#']).map(|at| authority + at),
        None => word.find('?').filter(|at| *at > 0 && word[*at..].contains('=')),
    };
    let Some(start) = start else { return to.push_str(word) };
    // Punctuation after a URL does not belong to it.
    let query = word[start + 1..].trim_end_matches([')', ']', '}', ',', '.', ':', ';', '!', '?']);
    let end = start + 1 + query.len();
    to.push_str(&word[..=start]);
    if !query.is_empty() {
        to.push_str(HIDDEN);
    }
    to.push_str(&word[end..]);
}

/// Returns the name of a route with `{…}` for each query value in it. Placeholders stay, as in `/search?q={words}`.
pub(crate) fn without_query_values(name: &str) -> Cow<'_, str> {
    let Some((path, query)) = name.split_once('?') else { return Cow::Borrowed(name) };
    if query.is_empty() || query.contains(char::is_whitespace) {
        // A question in plain words, not a query.
        return Cow::Borrowed(name);
    }
    let is_placeholder = |value: &str| value.is_empty() || value.starts_with('{') && value.ends_with('}');
    let hide = |parameter: &str| match parameter.split_once('=') {
        Some((_, value)) if is_placeholder(value) => parameter.to_owned(),
        Some((key, _)) => format!("{key}={{…}}"),
        None if is_placeholder(parameter) => parameter.to_owned(),
        None => "{…}".to_owned(),
    };
    let query = query.split('&').map(hide).collect::<Vec<_>>().join("&");
    let hidden = format!("{path}?{query}");
    if hidden == name { Cow::Borrowed(name) } else { Cow::Owned(hidden) }
}

/// Returns `text` without the user and password of any URL in it.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let before;
        (before, rest) = rest.split_at(start + 3);
        clean.push_str(before);
        while let length @ 1.. = credentials(rest) {
            rest = &rest[length..];
        }
    }
    if clean.len() + rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// Returns the length of the user and password at the start of `url`, which is a URL without its scheme, followed by
/// any text.
fn credentials(url: &str) -> usize {
    let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')).unwrap_or(url.len());
    let url = &url[..end];
    let authority = &url[..url.find(['/', '\\', '?', '#']).unwrap_or(url.len())];
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let after_colon = authority.split_once(':').filter(|_| !authority.starts_with('['));
    let at = match authority.rfind('@') {
        Some(at) => Some(at),
        // The text after the colon is not a port, so it is a password with a character that should have been escaped.
        None if after_colon.is_some_and(|(_, after)| !is_port(after)) => url.rfind('@'),
        None => None,
    };
    at.map_or(0, |at| at + 1)
}

/// Returns `url` without its user and password.
pub(crate) fn url_without_credentials(url: &reqwest::Url) -> Cow<'_, reqwest::Url> {
    // A quick check first: without an `@` there are none.
    let has_sign = memchr::memchr(b'@', url.as_str().as_bytes()).is_some();
    if !has_sign || (url.username().is_empty() && url.password().is_none()) {
        return Cow::Borrowed(url);
    }
    let mut url = url.clone();
    // Both fail for a URL that cannot have credentials and therefore has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Cow::Owned(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_announcement_is_that_of_the_first_word() {
        for (text, end) in [
            ("api_key and token", Some(7)),
            ("an author with authority", Some(19)),
            ("x-xsrf-cookie", Some(6)),
            ("author", None),
            ("", None),
        ] {
            assert_eq!(end_of_announcement(text), end, "{text}");
        }
    }

    #[test]
    fn without_secrets_hides_queries_of_urls_and_paths() {
        for (text, expected) in [
            ("GET http://h/x?api_key=s3cret timed out", "GET http://h/x?… timed out"),
            ("for url (http://h/x?a=(1)&b=s3cret): refused", "for url (http://h/x?…): refused"),
            ("Get \"https://h/?s3cret\": EOF", "Get \"https://h/?…\": EOF"),
            ("at http://h/cb#access_token=s3cret.", "at http://h/cb#…."),
            ("http://u:p@h/x?token=s3cret", "http://h/x?…"),
            ("no page /x?token=s3cret here", "no page /x?… here"),
            ("http://h?a http://h?b", "http://h?… http://h?…"),
            ("is that all? yes: a=b", "is that all? yes: a=b"),
            ("really?", "really?"),
            ("issue #17", "issue #17"),
            ("http://h/x?", "http://h/x?"),
            ("?", "?"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text), expected);
            assert_eq!(without_secrets(expected), expected);
        }
    }

    #[test]
    fn without_query_values_hides_values_and_keeps_placeholders() {
        for (name, expected) in [
            ("/x?token=s3cret", "/x?token={…}"),
            ("/x?a=1&b={b}&s3cret&{c}", "/x?a={…}&b={b}&{…}&{c}"),
            ("/x?a=&b", "/x?a=&{…}"),
            ("/x", "/x"),
            ("/x?", "/x?"),
            ("is it there? or not", "is it there? or not"),
        ] {
            assert_eq!(without_query_values(name), expected);
            assert_eq!(without_query_values(expected), expected);
        }
    }

    #[test]
    fn without_credentials_removes_only_credentials() {
        for (text, clean) in [
            ("no url", "no url"),
            ("at http://u:p@h:1/x?y=a@b now", "at http://h:1/x?y=a@b now"),
            ("http://u@h, https://a:b@c@d/e", "http://h, https://d/e"),
            ("http://h/@x and mail@host", "http://h/@x and mail@host"),
            ("(redis://:secret@127.0.0.1)", "(redis://127.0.0.1)"),
            ("postgres://ann:se/cret@h/x and redis://:p#ss@h", "postgres://h/x and redis://h"),
            (
                "http://h:1/x?y=a@b http://[::1]:80/@ http://[::1]/@",
                "http://h:1/x?y=a@b http://[::1]:80/@ http://[::1]/@",
            ),
            ("://", "://"),
        ] {
            assert_eq!(without_credentials(text), clean);
        }
    }

    proptest::proptest! {
        #[test]
        fn without_credentials_is_idempotent(text in "[a@:/ u?é\n]{0,40}") {
            let clean = without_credentials(&text).into_owned();
            proptest::prop_assert_eq!(without_credentials(&clean), clean.as_str());
        }
    }
}
