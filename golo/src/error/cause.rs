//! Why a request failed: the reasons below an error, in words and by kind.

use std::{error::Error as StdError, io};

use reqwest::Url;

use super::{BoxError, RequestErrorKind};
use crate::support::{
    panic::caught_now,
    secrets::{url_without_credentials, without_secrets},
};

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
    error.url().is_none_or(|url| *url_without_credentials(url) == *requested)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
