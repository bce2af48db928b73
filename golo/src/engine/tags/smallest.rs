//! A map of the keys that come first, when ordered by length, then by bytes.

use std::cmp::Ordering;

use super::Known;

/// At most `MOST` keys, in order, and what belongs to each.
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
        // Of too many the rest is most often beyond the last.
        if self.0.len() >= MOST && self.0.last().is_some_and(|(last, _)| order(last, key) == Ordering::Less) {
            return Err(MOST);
        }
        self.0.binary_search_by(|(known, _)| order(known, key))
    }

    /// What belongs to a key that is there.
    pub(super) fn known(&mut self, key: &str) -> Option<&mut T> {
        let place = self.place(key).ok()?;
        Some(&mut self.0[place].1)
    }

    /// What belongs to a key, which is added if it is one of the first; the last one is handed to `gone` if it has to give
    /// way.
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

    /// What is known of a key; `has_others` says whether some keys are not told apart.
    pub(super) fn get(&self, key: &str, has_others: bool) -> Known<&T> {
        match self.place(key) {
            Ok(place) => Known::Came(&self.0[place].1),
            // It would have been kept.
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
