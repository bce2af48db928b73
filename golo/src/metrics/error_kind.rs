//! Kinds of errors.

use std::fmt;

/// Kind of a failure of a request or a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The host name could not be resolved.
    Dns,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// A time limit was exceeded.
    Timeout,
    /// The connection was lost before the response arrived.
    Reset,
    /// The body ended too early.
    Body,
    /// The status was 400 or more, or not one that the load test expects.
    Status,
    /// The load test panicked.
    Panic,
    /// The load test returned an error.
    Returned,
    /// A user could not start.
    Start,
    /// The load test dropped the request before it ended.
    Cancelled,
    /// A redirect could not be followed.
    Redirect,
    /// The load test panicked outside of a trigger.
    StrayPanic,
    /// The whole response arrived, but the load test does not accept its content.
    Content,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Kinds that the error of an output may begin with.
    const OF_OUTPUTS: [Self; 9] = [
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Body,
        Self::Redirect,
        Self::Content,
        Self::Cancelled,
    ];

    /// Returns the kind that the error of an output begins with.
    pub fn of(error: &str) -> Self {
        let word = error.split(':').next().unwrap_or_default();
        Self::OF_OUTPUTS.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Other)
    }

    /// Returns the word that an error text of this kind begins with.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Body => "body",
            Self::Status => "status",
            Self::Panic | Self::StrayPanic => "panic",
            Self::Returned => "returned",
            Self::Start => "start",
            Self::Cancelled => "cancelled",
            Self::Redirect => "redirect",
            Self::Content => "content",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_reads_the_word_before_the_colon() {
        for kind in [ErrorKind::Dns, ErrorKind::Connect, ErrorKind::Tls, ErrorKind::Timeout, ErrorKind::Reset] {
            assert_eq!(ErrorKind::of(&format!("{kind}: something: else")), kind);
        }
        assert_eq!(ErrorKind::of("cancelled"), ErrorKind::Cancelled);
        assert_eq!(ErrorKind::of("Get \"http://\": EOF"), ErrorKind::Other);
    }
}
