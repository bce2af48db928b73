//! Tags of triggers' responses: the count of each value, and distributions of numbers, by the outcome of the trigger.
//!
//! Everything here is bounded and merges exactly: the result does not depend on how tags are split over workers, agents
//! and seconds, or on the order of merging. If there are too many keys or values, those that come first by length, then
//! by bytes, are kept separately. A key that is among the first of the whole is also among the first of each part that
//! contains it, so no part drops it.

mod numbers;
mod requests;
mod smallest;
mod text;

pub use numbers::Numbers;
pub use requests::TagRequests;
pub(crate) use requests::status;
use smallest::Smallest;
pub use text::kept;

use crate::ResponseTag;

/// Maximum number of keys kept separately.
pub const KEYS: usize = 50;
/// Maximum number of values of a key kept separately.
pub const VALUES: usize = 100;
/// A key that has only numbers, and more different ones than this, is shown as a distribution.
pub const REPEATING: usize = 10;

/// Number of triggers' tags, by the outcome of the trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tags of triggers that passed.
    pub passed: u64,
    /// Tags of triggers that failed.
    pub failed: u64,
}

impl Counts {
    /// Returns the sum of both.
    #[must_use]
    pub fn all(self) -> u64 {
        self.passed.saturating_add(self.failed)
    }

    /// Returns the count for one outcome, or for both if `failed` is `None`.
    #[must_use]
    pub fn of(self, failed: Option<bool>) -> u64 {
        match failed {
            None => self.all(),
            Some(true) => self.failed,
            Some(false) => self.passed,
        }
    }

    fn add(&mut self, failed: bool) {
        let count = if failed { &mut self.failed } else { &mut self.passed };
        *count = count.saturating_add(1);
    }

    fn merge(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

/// The tags of triggers, by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tags {
    keys: Smallest<Tag, KEYS>,
    beyond: u64,
}

/// The tags of triggers under one key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tag {
    values: Smallest<Counts, VALUES>,
    other: Counts,
    texts: Counts,
    passed: Numbers,
    failed: Numbers,
}

/// Returns true if a value is a number.
#[must_use]
pub fn is_number(value: &str) -> bool {
    numbers::thousandths(value).is_some()
}

/// Result of looking up a key or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<T> {
    /// It occurred, with this data.
    Came(T),
    /// It never occurred.
    Never,
    /// It is not kept separately. It may have occurred and been counted with others.
    Unknown,
}

impl Tags {
    /// Records the tags of a trigger.
    pub fn record(&mut self, tags: &[ResponseTag], failed: bool) {
        for ResponseTag { key, value } in tags {
            match self.tag(key) {
                Some(tag) => tag.add(value, failed),
                None => self.beyond = self.beyond.saturating_add(1),
            }
        }
    }

    /// Adds the tags of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.add_beyond(other.beyond);
        for (key, tag) in other.iter() {
            self.merge_key(key, tag);
        }
    }

    /// Adds the tags of one key.
    pub(crate) fn merge_key(&mut self, key: &str, other: &Tag) {
        match self.tag(key) {
            Some(tag) => tag.merge(other),
            None => self.add_beyond(other.count(None)),
        }
    }

    /// Adds tags of keys that are not kept separately.
    pub(crate) fn add_beyond(&mut self, more: u64) {
        self.beyond = self.beyond.saturating_add(more);
    }

    fn tag(&mut self, key: &str) -> Option<&mut Tag> {
        let Self { keys, beyond } = self;
        keys.entry(&text::bounded(key), |gone: Tag| *beyond = beyond.saturating_add(gone.count(None)))
    }

    /// Returns each key with its tags, ordered by the key's length, then by bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tag)> {
        self.keys.iter()
    }

    /// Returns the tags of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Known<&Tag> {
        self.keys.get(&text::bounded(key), self.beyond > 0)
    }

    /// Returns the number of tags under keys that are not kept separately.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Returns true if there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.beyond == 0
    }

    /// Returns the heap memory of the histograms, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(_, tag)| tag.passed.bytes() + tag.failed.bytes()).sum()
    }
}

impl Tag {
    /// Restores a stored tag without its values.
    pub(crate) fn restored(other: Counts, texts: Counts, [passed, failed]: [Numbers; 2]) -> Self {
        Self { values: Smallest::default(), other, texts, passed, failed }
    }

    fn add(&mut self, value: &str, failed: bool) {
        match numbers::thousandths(value) {
            Some(number) if failed => self.failed.record(number),
            Some(number) => self.passed.record(number),
            None => self.texts.add(failed),
        }
        // Most values occurred before in the same form.
        if let Some(known) = self.values.known(value) {
            return known.add(failed);
        }
        let mut one = Counts::default();
        one.add(failed);
        text::with_kept(value, |kept| self.add_value(kept, one));
    }

    /// Adds occurrences of a value that is [`kept`].
    pub(crate) fn add_value(&mut self, value: &str, more: Counts) {
        let Self { values, other, .. } = self;
        match values.entry(value, |gone: Counts| other.merge(gone)) {
            Some(known) => known.merge(more),
            None => other.merge(more),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.other.merge(other.other);
        self.texts.merge(other.texts);
        self.passed.merge(&other.passed);
        self.failed.merge(&other.failed);
        for (value, counts) in other.values() {
            self.add_value(value, *counts);
        }
    }

    /// Returns the number of tags for one outcome, or for both if `failed` is `None`.
    #[must_use]
    pub fn count(&self, failed: Option<bool>) -> u64 {
        let numbers = Counts { passed: self.passed.count(), failed: self.failed.count() };
        self.texts.of(failed).saturating_add(numbers.of(failed))
    }

    /// Returns the values kept separately with their counts, shorter ones first.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Counts)> {
        self.values.iter()
    }

    /// Returns the values kept separately with their counts, most frequent first.
    #[must_use]
    pub fn by_count(&self) -> Vec<(&str, Counts)> {
        let mut values: Vec<_> = self.values().map(|(value, counts)| (value, *counts)).collect();
        values.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.all()));
        values
    }

    /// Returns the count of a value that is [`kept`].
    #[must_use]
    pub fn value(&self, value: &str) -> Known<Counts> {
        match self.values.get(value, self.other.all() > 0) {
            Known::Came(counts) => Known::Came(*counts),
            Known::Never => Known::Never,
            Known::Unknown => Known::Unknown,
        }
    }

    /// Returns the count of values that are not kept separately.
    #[must_use]
    pub fn other(&self) -> Counts {
        self.other
    }

    /// Returns the count of values that are not numbers.
    #[must_use]
    pub fn texts(&self) -> Counts {
        self.texts
    }

    /// Returns the values that are numbers, of triggers that passed and of triggers that failed.
    #[must_use]
    pub fn by_outcome(&self) -> [&Numbers; 2] {
        [&self.passed, &self.failed]
    }

    /// Returns the values that are numbers, for one outcome, or for both if `failed` is `None`.
    #[must_use]
    pub fn numbers(&self, failed: Option<bool>) -> Numbers {
        match failed {
            Some(true) => self.failed.clone(),
            Some(false) => self.passed.clone(),
            None => {
                let mut all = self.passed.clone();
                all.merge(&self.failed);
                all
            }
        }
    }

    /// Returns true if the tag is shown as a distribution: all its values are numbers, and more than [`REPEATING`]
    /// different ones.
    #[must_use]
    pub fn is_distribution(&self) -> bool {
        self.texts.all() == 0 && (self.values.len() > REPEATING || self.other.all() > 0)
    }
}

#[cfg(test)]
mod tests;
