//! A bounded map that keeps the first keys, ordered by length, then by bytes.

use std::cmp::Ordering;

use super::Known;

/// At most `MOST` keys in order, with their values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Smallest<T, const MOST: usize>(Vec<(Box<str>, T)>);

impl<T, const MOST: usize> Default for Smallest<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default, const MOST: usize> Smallest<T, MOST> {
    #[inline]
    fn place(&self, key: &str) -> Result<usize, usize> {
        // If there are too many keys, most further ones come after the last.
        if self.0.len() >= MOST && self.0.last().is_some_and(|(last, _)| order(last, key) == Ordering::Less) {
            return Err(MOST);
        }
        self.0.binary_search_by(|(known, _)| order(known, key))
    }

    /// Returns the value of a key that is in the map.
    pub(super) fn known(&mut self, key: &str) -> Option<&mut T> {
        let place = self.place(key).ok()?;
        Some(&mut self.0[place].1)
    }

    /// Returns the value of a key, adding the key if it is among the first. If the last key has to make room, its value
    /// is passed to `gone`.
    #[inline]
    pub(super) fn entry(&mut self, key: &str, gone: impl FnOnce(T)) -> Option<&mut T> {
        let place = match self.place(key) {
            Ok(place) => place,
            Err(place) if place >= MOST => return None,
            Err(place) => {
                if self.0.len() >= MOST
                    && let Some((_, last)) = self.0.pop()
                {
                    gone(last);
                }
                self.0.insert(place, (key.into(), T::default()));
                place
            }
        };
        Some(&mut self.0[place].1)
    }

    /// Looks up a key. `has_others` is true if some keys are not kept separately.
    pub(super) fn get(&self, key: &str, has_others: bool) -> Known<&T> {
        match self.place(key) {
            Ok(place) => Known::Came(&self.0[place].1),
            // The key would have been kept.
            Err(place) if place < self.0.len() || !has_others => Known::Never,
            Err(_) => Known::Unknown,
        }
    }
}

impl<T, const MOST: usize> Smallest<T, MOST> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(key, of)| (&**key, of))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn order(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}
