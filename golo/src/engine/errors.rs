//! Errors by kind and reason, with their number and the time of the first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::reason::reason;
pub use crate::metrics::error_kind::ErrorKind;
use crate::support::cut;
use crate::support::secrets::without_secrets;

/// Maximum number of reasons kept separately. Further errors are counted under their kind alone.
const TEXTS: usize = 100;
/// Maximum length of a kept reason, in bytes.
const LENGTH: usize = 300;
/// Maximum number of bytes of a text that its reason is made of. The cause is in the first bytes.
const READ: usize = 2048;
/// Placeholder for further reasons.
const OTHERS: &str = "(other reasons)";

/// Number of occurrences of an error, and the time of the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Number of occurrences.
    pub count: u64,
    /// Time of the first occurrence, since the start of the measured part.
    pub first: Duration,
}

/// The errors of a run by kind and reason, which is the error's text with its variable parts replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(BTreeMap<(ErrorKind, Box<str>), Known>);

/// Errors of one kind and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    /// Text of the errors if all have the same, else their reason.
    text: Box<str>,
    seen: Seen,
}

impl Errors {
    /// Counts one error.
    pub fn add(&mut self, kind: ErrorKind, text: &str, at: Duration) {
        self.add_seen(kind, text, Seen { count: 1, first: at });
    }

    /// Adds the errors of another worker or period.
    pub fn merge(&mut self, other: &Self) {
        for ((kind, reason), Known { text, seen }) in &other.0 {
            self.merge_one(*kind, reason, text, *seen);
        }
    }

    /// Counts an error that occurred `seen.count` times.
    pub(crate) fn add_seen(&mut self, kind: ErrorKind, text: &str, seen: Seen) {
        let text = without_secrets(cut::to_bytes(text, READ));
        let text = cut::to_bytes(&text, LENGTH);
        // A status text is written by golo, and the number is the reason.
        let reason = if kind == ErrorKind::Status { text.into() } else { reason(text) };
        self.merge_one(kind, cut::to_bytes(&reason, LENGTH), text, seen);
    }

    fn merge_one(&mut self, kind: ErrorKind, reason: &str, text: &str, seen: Seen) {
        let key = (kind, reason.into());
        let is_full = self.0.len() >= TEXTS && !self.0.contains_key(&key);
        let (key, text) = if is_full { ((kind, OTHERS.into()), OTHERS) } else { (key, text) };
        match self.0.entry(key) {
            Entry::Vacant(new) => _ = new.insert(Known { text: text.into(), seen }),
            Entry::Occupied(mut known) => {
                if *known.get().text != *text {
                    let reason = known.key().1.clone();
                    known.get_mut().text = reason;
                }
                let known = &mut known.get_mut().seen;
                known.count = known.count.saturating_add(seen.count);
                known.first = known.first.min(seen.first);
            }
        }
    }

    /// Returns every kind and reason with its number and first time, most frequent first. If all errors of a reason
    /// have the same text, that text is returned in place of the reason.
    pub fn by_count(&self) -> Vec<(ErrorKind, &str, Seen)> {
        let mut all: Vec<_> = self.0.iter().map(|((kind, _), known)| (*kind, &*known.text, known.seen)).collect();
        all.sort_by_key(|(_, _, seen)| std::cmp::Reverse(seen.count));
        all
    }

    /// Returns the number of errors of one kind.
    #[must_use]
    pub fn count(&self, kind: ErrorKind) -> u64 {
        self.0.iter().filter(|((known, _), _)| *known == kind).map(|(_, known)| known.seen.count).sum()
    }

    /// Returns true if there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn first_time_is_the_earliest_in_any_merge_order() {
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
    fn texts_are_bounded_in_number_and_length_without_losing_counts() {
        let mut errors = Errors::default();
        for n in 0..1000 {
            let name: String = n.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect();
            errors.add(ErrorKind::Other, &format!("{name} {}", "é".repeat(500)), SECOND);
        }
        assert_eq!(errors.count(ErrorKind::Other), 1000);
        assert!(errors.by_count().iter().all(|(_, text, _)| text.len() <= LENGTH));
        assert_eq!(errors.by_count().len(), TEXTS + 1);
    }

    #[test]
    fn errors_with_one_reason_share_a_row() {
        let mut errors = Errors::default();
        errors.add(ErrorKind::Returned, "no user 17 at http://h/users/anna?key=s3cret", SECOND);
        let only = Seen { count: 1, first: SECOND };
        let text = "no user 17 at http://h/users/anna?…";
        assert_eq!(errors.by_count(), [(ErrorKind::Returned, text, only)], "as long as it does not vary");
        let mut others = Errors::default();
        for n in 0..1000 {
            others.add(ErrorKind::Returned, &format!("no user {n} at http://h/users/bob?key=s3cret{n}"), SECOND * 2);
        }
        others.add(ErrorKind::Status, "status 503", SECOND);
        others.add(ErrorKind::Status, "status 500", SECOND);
        for (one, other) in [(&errors, &others), (&others, &errors)] {
            let mut both = one.clone();
            both.merge(other);
            let (kind, text, seen) = both.by_count()[0];
            assert_eq!((kind, text), (ErrorKind::Returned, "no user {…} at {…}"));
            assert_eq!((seen.count, seen.first, both.by_count().len()), (1001, SECOND, 3));
        }
    }
}
