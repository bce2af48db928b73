//! Tag sets: the tags of a trigger, a request or a value, as one number that is cheap to copy and to compare.
//!
//! A table of the process gives each set a number. Each thread remembers the sets that it used, so that a tag that was
//! set before costs a lookup, without a lock and without an allocation.

mod pairs;
mod table;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault};

use rustc_hash::FxHasher;

pub use pairs::TagPairs;
pub(crate) use table::{keep, take_beyond};

use crate::support::secrets::without_secrets;

/// Maximum number of sets that are kept separately. A value past it becomes [`OTHER`].
pub(crate) const SETS: usize = 1000;
/// Value of tags that are past the limit of sets.
pub(crate) const OTHER: &str = "other";

/// Number of changes to sets that a thread remembers. It forgets all of them when there are more.
const REMEMBERED: usize = 4096;
/// Length in bytes of a value that a thread remembers. Longer ones are cut anyway.
const LONGEST_REMEMBERED: usize = 512;
/// Separates the name of a group from that of the group that it is in.
const WITHIN: &str = "::";
/// Key of the group that a request belongs to.
pub(crate) const GROUP: &str = "group";

type Hasher = BuildHasherDefault<FxHasher>;

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// A set of tags: keys with their values, each key once. The number is valid in this process only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct TagSet(u32);

/// A change to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Change {
    /// Adds a tag, or replaces its value.
    Tag,
    /// Enters a group.
    Enter,
}

/// The sets that a thread used.
#[derive(Default)]
struct Thread {
    /// Changes by the hash of their text.
    changes: HashMap<u64, Remembered, Hasher>,
    /// Results of [`TagSet::under`].
    combined: HashMap<(TagSet, TagSet), Changed, Hasher>,
    /// Tags of each set, by its number.
    pairs: Vec<TagPairs>,
}

struct Remembered {
    change: Change,
    from: TagSet,
    key: Box<str>,
    value: Box<str>,
    to: Changed,
}

/// Result of a change.
#[derive(Debug, Clone, Copy)]
struct Changed {
    set: TagSet,
    /// True if the value of a tag was not kept.
    is_beyond: bool,
}

impl TagSet {
    /// The set without tags.
    pub(crate) const EMPTY: Self = Self(0);

    /// Returns the set of a number from [`Self::number`].
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number of the set.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// Returns true if the set has no tags.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    /// Returns the set with this tag, instead of the tag of the same key if there is one.
    ///
    /// If there are too many sets, the value becomes `other`.
    pub(crate) fn with(self, key: &str, value: &str) -> Self {
        self.changed(Change::Tag, key, value)
    }

    /// Returns the set of a group with this name within the group of this set.
    pub(crate) fn entering(self, group: &str) -> Self {
        self.changed(Change::Enter, GROUP, group)
    }

    /// Returns the set with the tags of `over`, which replace tags of the same keys.
    pub(crate) fn under(self, over: Self) -> Self {
        if over.is_empty() || self == over {
            return self;
        }
        if self.is_empty() {
            return over;
        }
        let known = THREAD.with_borrow(|thread| thread.combined.get(&(self, over)).copied());
        let combined = known.unwrap_or_else(|| self.combine(over));
        combined.counted()
    }

    #[cold]
    fn combine(self, over: Self) -> Changed {
        let mut combined = Changed { set: self, is_beyond: false };
        for (key, value) in over.pairs().iter() {
            let Changed { set, is_beyond } = table::with(combined.set, key, value);
            combined = Changed { set, is_beyond: combined.is_beyond || is_beyond };
        }
        THREAD.with_borrow_mut(|thread| {
            if thread.combined.len() >= REMEMBERED {
                thread.combined.clear();
            }
            thread.combined.insert((self, over), combined);
        });
        combined
    }

    fn changed(self, change: Change, key: &str, value: &str) -> Self {
        let hash = Hasher::default().hash_one((self, change, key, value));
        let known = THREAD.with_borrow(|thread| {
            let known = thread.changes.get(&hash)?;
            let is_same = known.from == self && known.change == change && *known.key == *key && *known.value == *value;
            is_same.then_some(known.to)
        });
        let to = known.unwrap_or_else(|| self.change(change, key, value, hash));
        to.counted()
    }

    #[cold]
    fn change(self, change: Change, key: &str, value: &str, hash: u64) -> Changed {
        let to = match change {
            Change::Tag => table::with(self, &pairs::key(key), &pairs::value(&without_secrets(value))),
            Change::Enter => {
                let name = without_secrets(value);
                let path = match self.pairs().get(GROUP) {
                    Some(outer) => Cow::Owned([outer, WITHIN, &*name].concat()),
                    None => name,
                };
                table::with(self, GROUP, &pairs::value(&path))
            }
        };
        if key.len().max(value.len()) <= LONGEST_REMEMBERED {
            THREAD.with_borrow_mut(|thread| {
                if thread.changes.len() >= REMEMBERED {
                    thread.changes.clear();
                }
                let remembered = Remembered { change, from: self, key: key.into(), value: value.into(), to };
                thread.changes.insert(hash, remembered);
            });
        }
        to
    }

    /// Returns the tags of the set.
    pub(crate) fn pairs(self) -> TagPairs {
        self.with_pairs(TagPairs::clone)
    }

    /// Calls `use_it` with the tags of the set.
    pub(crate) fn with_pairs<T>(self, use_it: impl FnOnce(&TagPairs) -> T) -> T {
        let number = self.0 as usize;
        let pairs = THREAD.with_borrow_mut(|thread| {
            if number >= thread.pairs.len() {
                table::add_to(&mut thread.pairs);
            }
            thread.pairs.get(number).cloned().unwrap_or_default()
        });
        use_it(&pairs)
    }
}

/// Returns a tag as it is kept: cut to the limits, and without secrets.
pub(crate) fn kept(key: &str, value: &str) -> (Box<str>, Box<str>) {
    (pairs::key(key).into(), pairs::value(&without_secrets(value)).into())
}

impl Changed {
    /// Counts the tag if it was not kept, and returns the set.
    fn counted(self) -> TagSet {
        if self.is_beyond {
            table::count_beyond();
        }
        self.set
    }
}

/// Tags of a request: keys with their values, in the order of the keys.
///
/// ```
/// let line = r#"{"sequenceID":"0d3b","url":"http://127.0.0.1:8765/","method":"GET","status":200,"size":12,
///     "timestamp":"2026-11-22T10:05:13.123456789Z","duration":412345,"error":null,"tags":{"tenant":"blue"}}"#;
/// let output: golo::Output = line.parse()?;
/// assert_eq!(output.tags.get("tenant").as_deref(), Some("blue"));
/// # Ok::<(), golo::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct RequestTags(Held);

/// Tags of a request of this process, or read from a line.
#[derive(Clone)]
enum Held {
    Set(TagSet),
    Pairs(TagPairs),
}

impl Default for Held {
    fn default() -> Self {
        Self::Set(TagSet::EMPTY)
    }
}

impl RequestTags {
    /// Returns true if there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Held::Set(set) => set.is_empty(),
            Held::Pairs(pairs) => pairs.is_empty(),
        }
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        self.with_pairs(|pairs| pairs.get(key).map(str::to_owned))
    }

    /// Returns the keys with their values, in the order of the keys.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(String, String)> {
        self.with_pairs(|pairs| pairs.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// Returns a number that is the same for the same tags, if they were set in this process. 0 for tags of a line.
    pub(crate) fn number(&self) -> u32 {
        if let Held::Set(set) = &self.0 { set.number() } else { 0 }
    }

    /// Calls `use_it` with the tags.
    pub(crate) fn with_pairs<T>(&self, use_it: impl FnOnce(&TagPairs) -> T) -> T {
        match &self.0 {
            Held::Set(set) => set.with_pairs(use_it),
            Held::Pairs(pairs) => use_it(pairs),
        }
    }

    /// Returns true if both are the same, as far as it can be told without looking up the text of a set.
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Held::Set(one), Held::Set(other)) => one == other,
            (Held::Pairs(one), Held::Pairs(other)) => one == other,
            _ => self.is_empty() && other.is_empty(),
        }
    }
}

impl From<TagSet> for RequestTags {
    fn from(set: TagSet) -> Self {
        Self(Held::Set(set))
    }
}

impl From<TagPairs> for RequestTags {
    fn from(pairs: TagPairs) -> Self {
        Self(if pairs.is_empty() { Held::default() } else { Held::Pairs(pairs) })
    }
}

/// Collects tags. Keys and values are cut to 64 and 128 bytes, and the last value of a key counts. At most 32 tags are
/// kept.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for RequestTags {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(tags: I) -> Self {
        tags.into_iter().collect::<TagPairs>().into()
    }
}

impl PartialEq for RequestTags {
    fn eq(&self, other: &Self) -> bool {
        self.is_identical(other) || self.with_pairs(|one| other.with_pairs(|other| one == other))
    }
}

impl Eq for RequestTags {}

impl std::fmt::Debug for RequestTags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with_pairs(|pairs| f.debug_map().entries(pairs.iter()).finish())
    }
}

#[cfg(test)]
mod tests;
