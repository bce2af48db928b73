//! Causes of an error, as text and by kind.

use std::borrow::Cow;
use std::{error::Error as StdError, io};

use reqwest::Url;

use super::{BoxError, RequestErrorKind};
use crate::support::panic::caught_now;
use crate::support::secrets::{url_without_credentials, without_secrets};

/// The words of rustls for the certificate of a CA that a server uses as its own.
const CA_OF_SERVER: &str = "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))";

/// Returns the text of an error in words that say what to do, if those of the library do not.
#[must_use]
pub fn explained(text: &str) -> Cow<'_, str> {
    match text.contains(CA_OF_SERVER) {
        true => text
            .replace(
                CA_OF_SERVER,
                "the server's certificate is that of a CA, as `openssl req -x509` makes it, which a server cannot use as \
                 its own: make it with `-addext basicConstraints=critical,CA:FALSE`",
            )
            .into(),
        false => text.into(),
    }
}

/// Iterates over `error` and its causes, from the outermost to the innermost. Descends into the error inside an
/// [`io::Error`], because [`io::Error`]'s own `source` skips it.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held as &(dyn StdError + 'static)),
        None => error.source(),
    })
}

/// Returns `error` and its causes on one line, without repetition and without secrets in URLs.
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
    without_secrets(&explained(&text)).into_owned()
}

/// Returns the same as [`chain`] for an error that the load test returned. Formatting and dropping such an error runs
/// the load test's code. If that panics, the panic's text is returned.
pub(crate) fn reason(error: BoxError) -> String {
    let reason = caught_now(|| chain(&*error));
    // A value that panicked once may panic again when it is dropped.
    let _ = caught_now(|| drop(error));
    reason.unwrap_or_else(|panicked| without_secrets(&panicked).into_owned())
}

/// Returns the text of the last cause.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(|cause| explained(&cause.to_string()).into_owned()).unwrap_or_default()
}

/// Returns the kind of `error`. `requested` has no credentials. `responded` is true if the response's head had arrived.
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

/// Describes an error of a gRPC channel as the error of an `Output`: its kind and the innermost cause.
#[cfg(feature = "grpc")]
pub(crate) fn of_channel(error: &(dyn StdError + 'static)) -> String {
    let is_lookup = |cause: &(dyn StdError + 'static)| cause.to_string() == "dns error";
    let kind = if causes(error).any(|cause| cause.is::<tonic::TimeoutExpired>()) {
        RequestErrorKind::Timeout
    } else if causes(error).any(is_lookup) {
        RequestErrorKind::Dns
    } else if causes(error).any(|cause| cause.is::<rustls::Error>()) {
        RequestErrorKind::Tls
    } else if causes(error).any(|cause| cause.is::<tonic::ConnectError>()) {
        RequestErrorKind::Connect
    } else if causes(error).any(is_lost_connection) {
        RequestErrorKind::Reset
    } else {
        RequestErrorKind::Other
    };
    format!("{}: {}", kind.word(), without_secrets(&innermost(error)))
}

/// Returns true if an error of building a request is about the `requested` URL and not about the target of a redirect.
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
    fn chain_contains_each_cause_once() {
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
    fn reason_of_an_error_that_panics_is_the_text_of_the_panic() {
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
