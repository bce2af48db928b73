//! Errors by kind, with what they say, how often and since when.

use std::{collections::BTreeMap, fmt, time::Duration};

/// Most texts of errors that are told apart; what comes later counts under its kind alone.
const TEXTS: usize = 100;
/// Most bytes of a text that are kept.
const LENGTH: usize = 300;

/// Why a request or a trigger failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The host's name could not be looked up.
    Dns,
    /// No connection could be made.
    Connect,
    /// TLS could not be agreed on.
    Tls,
    /// A time limit ran out.
    Timeout,
    /// The connection was lost before the response.
    Reset,
    /// The body was cut short.
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
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Those that the error of an output may begin with.
    const OF_OUTPUTS: [Self; 8] =
        [Self::Dns, Self::Connect, Self::Tls, Self::Timeout, Self::Reset, Self::Body, Self::Redirect, Self::Cancelled];

    /// The kind that the error of an output begins with.
    pub fn of(error: &str) -> Self {
        let word = error.split(':').next().unwrap_or_default();
        Self::OF_OUTPUTS.into_iter().find(|kind| kind.word() == word).unwrap_or(Self::Other)
    }

    fn word(self) -> &'static str {
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
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How often an error came, and when it did first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The first time, since the start of the measured part.
    pub first: Duration,
}

/// The errors of a run, by kind and text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(BTreeMap<(ErrorKind, Box<str>), Seen>);

impl Errors {
    /// Counts one.
    pub fn add(&mut self, kind: ErrorKind, text: &str, at: Duration) {
        self.merge_one(kind, text, Seen { count: 1, first: at });
    }

    /// Adds those of another worker or time.
    pub fn merge(&mut self, other: &Self) {
        for ((kind, text), seen) in &other.0 {
            self.merge_one(*kind, text, *seen);
        }
    }

    /// Counts one that came more than once.
    pub(crate) fn add_seen(&mut self, kind: ErrorKind, text: &str, seen: Seen) {
        self.merge_one(kind, text, seen);
    }

    fn merge_one(&mut self, kind: ErrorKind, text: &str, seen: Seen) {
        let key = (kind, bounded(text).into());
        let is_full = self.0.len() >= TEXTS && !self.0.contains_key(&key);
        let key = if is_full { (kind, "(other texts)".into()) } else { key };
        let known = self.0.entry(key).or_insert(Seen { count: 0, first: seen.first });
        known.count = known.count.saturating_add(seen.count);
        known.first = known.first.min(seen.first);
    }

    /// Every kind and text, with how often and since when, the most frequent first.
    pub fn by_count(&self) -> Vec<(ErrorKind, &str, Seen)> {
        let mut all: Vec<_> = self.0.iter().map(|((kind, text), seen)| (*kind, &**text, *seen)).collect();
        all.sort_by_key(|(_, _, seen)| std::cmp::Reverse(seen.count));
        all
    }

    /// How many there are of one kind.
    #[must_use]
    pub fn count(&self, kind: ErrorKind) -> u64 {
        self.0.iter().filter(|((known, _), _)| *known == kind).map(|(_, seen)| seen.count).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(LENGTH);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_time_is_the_earliest_however_they_are_merged() {
        let (mut early, mut late) = (Errors::default(), Errors::default());
        early.add(ErrorKind::Dns, "no such host", SECOND);
        late.add(ErrorKind::Dns, "no such host", SECOND * 5);
        late.add(ErrorKind::Panic, "panicked: no", SECOND * 3);
        late.merge(&early);
        let first = Seen { count: 2, first: SECOND };
        let second = Seen { count: 1, first: SECOND * 3 };
        assert_eq!(
            late.by_count(),
            [(ErrorKind::Dns, "no such host", first), (ErrorKind::Panic, "panicked: no", second)]
        );
        assert_eq!((late.count(ErrorKind::Dns), late.count(ErrorKind::Tls)), (2, 0));
    }

    #[test]
    fn texts_are_bounded_in_number_and_length_and_none_is_lost() {
        let mut errors = Errors::default();
        for n in 0..1000 {
            errors.add(ErrorKind::Other, &format!("{n}{}", "é".repeat(500)), SECOND);
        }
        assert_eq!(errors.count(ErrorKind::Other), 1000);
        assert!(errors.by_count().iter().all(|(_, text, _)| text.len() <= LENGTH));
        assert_eq!(errors.by_count().len(), TEXTS + 1);
    }

    #[test]
    fn the_kind_is_the_word_before_the_colon() {
        for kind in [ErrorKind::Dns, ErrorKind::Connect, ErrorKind::Tls, ErrorKind::Timeout, ErrorKind::Reset] {
            assert_eq!(ErrorKind::of(&format!("{kind}: something: else")), kind);
        }
        assert_eq!(ErrorKind::of("cancelled"), ErrorKind::Cancelled);
        assert_eq!(ErrorKind::of("Get \"http://\": EOF"), ErrorKind::Other);
    }
}
