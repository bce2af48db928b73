//! Tags of triggers' responses: how often each value came, and numbers as distributions, by the outcome of the trigger.
//!
//! Everything here is bounded, and merges exactly: in whatever parts and order tags are recorded and merged, over workers,
//! agents and seconds, the result is the same. Of keys and values that are too many those are told apart that come first
//! when ordered by length, then by bytes: one that is among the first of all is among the first of every part of them.

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

/// Most keys that are told apart.
pub const KEYS: usize = 50;
/// Most values of a key that are told apart.
pub const VALUES: usize = 100;
/// A key that has only numbers, and more different ones than this, is shown as a distribution.
pub const REPEATING: usize = 10;

/// A number of triggers' tags, by the outcome of the trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those of triggers that passed.
    pub passed: u64,
    /// Those of triggers that failed.
    pub failed: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn all(self) -> u64 {
        self.passed.saturating_add(self.failed)
    }

    /// Those of one outcome, or all.
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

/// Whether a value is a number.
#[must_use]
pub fn is_number(value: &str) -> bool {
    numbers::thousandths(value).is_some()
}

/// Whether something is told apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<T> {
    /// It came, and this is what is known of it.
    Came(T),
    /// It never came.
    Never,
    /// It is not told apart: it may have come, and counts as one of too many.
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

    /// Adds what another has.
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

    /// Adds tags of keys that are not told apart.
    pub(crate) fn add_beyond(&mut self, more: u64) {
        self.beyond = self.beyond.saturating_add(more);
    }

    fn tag(&mut self, key: &str) -> Option<&mut Tag> {
        let Self { keys, beyond } = self;
        keys.entry(text::bounded(key), |gone: Tag| *beyond = beyond.saturating_add(gone.count(None)))
    }

    /// Each key with its tags: the shorter keys first, those of a length by bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tag)> {
        self.keys.iter()
    }

    /// The tags of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Known<&Tag> {
        self.keys.get(text::bounded(key), self.beyond > 0)
    }

    /// Tags under keys that are not told apart.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.beyond == 0
    }

    /// Bytes of memory that its histograms hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(_, tag)| tag.passed.bytes() + tag.failed.bytes()).sum()
    }
}

impl Tag {
    /// One that was written down, without its values.
    pub(crate) fn restored(other: Counts, texts: Counts, [passed, failed]: [Numbers; 2]) -> Self {
        Self { values: Smallest::default(), other, texts, passed, failed }
    }

    fn add(&mut self, value: &str, failed: bool) {
        match numbers::thousandths(value) {
            Some(number) if failed => self.failed.record(number),
            Some(number) => self.passed.record(number),
            None => self.texts.add(failed),
        }
        // Most values came before, as they are.
        if let Some(known) = self.values.known(value) {
            return known.add(failed);
        }
        let mut one = Counts::default();
        one.add(failed);
        text::with_kept(value, |kept| self.add_value(kept, one));
    }

    /// Adds how often a value came that is [`kept`].
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

    /// How many tags there are, of one outcome or of all.
    #[must_use]
    pub fn count(&self, failed: Option<bool>) -> u64 {
        let numbers = Counts { passed: self.passed.count(), failed: self.failed.count() };
        self.texts.of(failed).saturating_add(numbers.of(failed))
    }

    /// The values that are told apart, the shorter ones first, and how often each came.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Counts)> {
        self.values.iter()
    }

    /// The same, the most frequent first.
    #[must_use]
    pub fn by_count(&self) -> Vec<(&str, Counts)> {
        let mut values: Vec<_> = self.values().map(|(value, counts)| (value, *counts)).collect();
        values.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.all()));
        values
    }

    /// How often a value that is [`kept`] came.
    #[must_use]
    pub fn value(&self, value: &str) -> Known<Counts> {
        match self.values.get(value, self.other.all() > 0) {
            Known::Came(counts) => Known::Came(*counts),
            Known::Never => Known::Never,
            Known::Unknown => Known::Unknown,
        }
    }

    /// How often values came that are not told apart.
    #[must_use]
    pub fn other(&self) -> Counts {
        self.other
    }

    /// How many values are no numbers.
    #[must_use]
    pub fn texts(&self) -> Counts {
        self.texts
    }

    /// The values that are numbers, of triggers that passed and of those that failed.
    #[must_use]
    pub fn by_outcome(&self) -> [&Numbers; 2] {
        [&self.passed, &self.failed]
    }

    /// The values that are numbers, of one outcome or of all.
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

    /// Whether it is shown as a distribution: all its values are numbers, and more than [`REPEATING`] different ones.
    #[must_use]
    pub fn is_distribution(&self) -> bool {
        self.texts.all() == 0 && (self.values.len() > REPEATING || self.other.all() > 0)
    }
}

#[cfg(test)]
mod tests;
