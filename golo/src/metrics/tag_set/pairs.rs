//! Tags as text: pairs of a key and a value, ordered by key, bounded.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use crate::support::cut;

/// Maximum length of a key in bytes.
const KEY: usize = 64;
/// Maximum length of a value in bytes.
const VALUE: usize = 128;
/// Maximum number of tags of one set.
pub(super) const TAGS: usize = 32;

/// Tags as text: keys with their values, each key once, ordered by key. Cheap to clone.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagPairs(Option<Arc<[Pair]>>);

type Pair = (Box<str>, Box<str>);

impl TagPairs {
    /// Returns true if there are no tags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn all(&self) -> &[Pair] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns the keys with their values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.all().iter().map(|(key, value)| (&**key, &**value))
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let all = self.all();
        let place = all.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        Some(&all[place].1)
    }

    /// Returns the tags with this one, instead of the one of the same key if there is one. Returns `None` if there are
    /// too many.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Option<Self> {
        let mut all = self.all().to_vec();
        match all.binary_search_by(|(known, _)| (**known).cmp(key)) {
            Ok(place) => all[place].1 = value.into(),
            Err(_) if all.len() >= TAGS => return None,
            Err(place) => all.insert(place, (key.into(), value.into())),
        }
        Some(Self(Some(all.into())))
    }

    /// Returns the tags without this key.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        self.iter().filter(|(known, _)| *known != key).collect()
    }
}

/// Collects tags, cut to the limits. The last value of a key counts. If there are too many keys, the first ones in
/// their order are kept.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for TagPairs {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(tags: I) -> Self {
        let mut all: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
        for (key, value) in tags {
            all.insert(self::key(key.as_ref()).into(), self::value(value.as_ref()).into());
            if all.len() > TAGS {
                all.pop_last();
            }
        }
        Self((!all.is_empty()).then(|| all.into_iter().collect()))
    }
}

/// Writes the tags as in a threshold: `key:value,…`.
impl fmt::Display for TagPairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, value)) in self.iter().enumerate() {
            write!(f, "{}{key}:{value}", if number > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for TagPairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Returns a key, cut to the limit.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    cut::marked_to_bytes(text.into(), KEY)
}

/// Returns a value, cut to the limit.
pub(super) fn value(text: &str) -> Cow<'_, str> {
    cut::marked_to_bytes(text.into(), VALUE)
}
