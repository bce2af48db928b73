//! Why a request failed: the reasons below an error, in words and by kind.

use std::{borrow::Cow, error::Error as StdError, io};

use reqwest::Url;

use super::{BoxError, RequestErrorKind};
use crate::{output, panic::caught_now, secrets::without_secrets};

/// `error` and what is below it, from the outside in. Goes into an [`io::Error`], whose own `source` passes over what
/// it holds.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held as &(dyn StdError + 'static)),
        None => error.source(),
    })
}

/// `error` and its causes in one line, each said once, without secrets in URLs.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let cause = cause.to_string();
        // Some errors print their source themselves.
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    without_secrets(&text).into_owned()
}

/// The same of an error that the load test gave: its text is the load test's code too, and so is what drops it. Where it
/// panics, the panic's text is the reason.
pub(crate) fn reason(error: BoxError) -> String {
    let reason = caught_now(|| chain(&*error));
    // What has panicked once may well panic again.
    let _ = caught_now(|| drop(error));
    reason.unwrap_or_else(|panicked| without_secrets(&panicked).into_owned())
}

/// What the last cause says.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// `requested` is free of credentials; `responded` says whether the response's head had come.
pub(super) fn kind(error: &reqwest::Error, requested: &Url, responded: bool) -> RequestErrorKind {
    if error.is_builder() && is_about(error, requested) {
        RequestErrorKind::Build
    } else if error.is_timeout() {
        RequestErrorKind::Timeout
    } else if error.is_redirect() || error.is_builder() {
        RequestErrorKind::Redirect
    } else if error.is_dns() {
        RequestErrorKind::Dns
    } else if causes(error).any(|cause| cause.is::<rustls::Error>()) {
        RequestErrorKind::Tls
    } else if error.is_connect() {
        RequestErrorKind::Connect
    } else if responded {
        RequestErrorKind::Body
    } else if causes(error).any(is_lost_connection) {
        RequestErrorKind::Reset
    } else {
        RequestErrorKind::Other
    }
}

/// Whether an error of building a request is about the one that was `requested`, rather than about where a redirect leads.
fn is_about(error: &reqwest::Error, requested: &Url) -> bool {
    error.url().is_none_or(|url| *output::without_credentials(url) == *requested)
}

fn is_lost_connection(cause: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return error.is_incomplete_message() || error.is_closed() || error.is_canceled();
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        return error.is_remote() && (error.is_reset() || error.is_go_away());
    }
    cause.downcast_ref::<io::Error>().is_some_and(|error| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
    })
}

/// `text` with the user and password of every URL in it taken out.
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

/// How long the user and password are that `url`, a URL without its scheme and whatever follows it, begins with.
fn credentials(url: &str) -> usize {
    let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')).unwrap_or(url.len());
    let url = &url[..end];
    let authority = &url[..url.find(['/', '\\', '?', '#']).unwrap_or(url.len())];
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let after_colon = authority.split_once(':').filter(|_| !authority.starts_with('['));
    let at = match authority.rfind('@') {
        Some(at) => Some(at),
        // What follows the colon is no port: a password, then, with a character in it that should have been escaped.
        None if after_colon.is_some_and(|(_, after)| !is_port(after)) => url.rfind('@'),
        None => None,
    };
    at.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_and_nothing_else() {
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

    #[test]
    fn a_cause_is_said_once() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "could not read: {}", self.0)
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        assert_eq!(chain(&Outer(io::Error::other("disk is on fire"))), "could not read: disk is on fire");
    }

    #[test]
    fn an_error_that_panics_has_the_panics_text_as_its_reason() {
        #[derive(Debug)]
        struct Trap;
        impl std::fmt::Display for Trap {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("words fail me at http://u:p@h")
            }
        }
        impl StdError for Trap {}
        impl Drop for Trap {
            fn drop(&mut self) {
                panic!("it does not go away")
            }
        }
        assert_eq!(reason(Box::new(Trap)), "panicked: words fail me at http://h");
        assert_eq!(reason("no table is free at http://u:p@h".into()), "no table is free at http://h");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_cleaned_once_and_for_all(text in "[a@:/ u?é\n]{0,40}") {
            let clean = without_credentials(&text).into_owned();
            proptest::prop_assert_eq!(without_credentials(&clean), clean.as_str());
        }
    }
}
