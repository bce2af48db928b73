//! The table of the process that numbers tag sets. It only grows, up to a limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, PoisonError, RwLock};

use super::{Changed, Hasher, OTHER, SETS, TagPairs, TagSet};

/// Room for sets in which the value past the limit is `other`.
const OTHERS: usize = SETS + 1000;
/// Room for sets with a tag that a threshold selects.
const SELECTED: usize = OTHERS + 2000;
/// Maximum number of tags that thresholds may select.
const MOST_SELECTED: usize = 1000;
/// Room for sets of selected tags alone.
const ALONE: usize = SELECTED + 1000;
/// Room for sets of one selected tag, for each of them.
const SINGLE: usize = ALONE + MOST_SELECTED;

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(|| RwLock::new(Table::new()));
static BEYOND: AtomicU64 = AtomicU64::new(0);

struct Table {
    sets: Vec<TagPairs>,
    numbers: HashMap<TagPairs, TagSet, Hasher>,
    /// Tags that thresholds select.
    selected: Vec<(Box<str>, Box<str>)>,
}

impl Table {
    fn new() -> Self {
        let empty = TagPairs::default();
        Self { sets: vec![empty.clone()], numbers: HashMap::from_iter([(empty, TagSet::EMPTY)]), selected: Vec::new() }
    }

    fn set(&self, number: TagSet) -> TagPairs {
        self.sets.get(number.0 as usize).cloned().unwrap_or_default()
    }

    /// Returns the number of a set, adding it if there are fewer than `room` sets.
    fn number(&mut self, pairs: TagPairs, room: usize) -> Option<TagSet> {
        if let Some(known) = self.numbers.get(&pairs) {
            return Some(*known);
        }
        // The empty set does not count.
        if self.sets.len() > room {
            return None;
        }
        let number = TagSet(u32::try_from(self.sets.len()).ok()?);
        self.sets.push(pairs.clone());
        self.numbers.insert(pairs, number);
        Some(number)
    }

    fn is_selected(&self, key: &str, value: &str) -> bool {
        self.selected.iter().any(|(known, wanted)| **known == *key && **wanted == *value)
    }

    fn with(&mut self, set: TagSet, key: &str, value: &str) -> Changed {
        let from = self.set(set);
        let is_selected = self.is_selected(key, value);
        let room = if is_selected { SELECTED } else { SETS };
        if let Some(set) = from.with(key, value).and_then(|pairs| self.number(pairs, room)) {
            return Changed { set, is_beyond: false };
        }
        if is_selected {
            // A threshold must not miss the selected tag, so the others give way.
            let kept = from.iter().filter(|(known, value)| *known != key && self.is_selected(known, value));
            let alone: TagPairs = kept.chain([(key, value)]).collect();
            let single: TagPairs = [(key, value)].into_iter().collect();
            let with_it = self.number(alone, ALONE).or_else(|| self.number(single, SINGLE));
            return Changed { set: with_it.unwrap_or(set), is_beyond: true };
        }
        let other = from.with(key, OTHER).and_then(|pairs| self.number(pairs, OTHERS));
        Changed { set: other.unwrap_or(set), is_beyond: true }
    }
}

/// Returns the set with this tag, whose text is within the limits.
pub(super) fn with(set: TagSet, key: &str, value: &str) -> Changed {
    let known = {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = table.set(set).with(key, value);
        pairs.and_then(|pairs| table.numbers.get(&pairs).copied())
    };
    match known {
        Some(set) => Changed { set, is_beyond: false },
        None => TABLE.write().unwrap_or_else(PoisonError::into_inner).with(set, key, value),
    }
}

/// Appends the sets that `known` lacks.
pub(super) fn add_to(known: &mut Vec<TagPairs>) {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    known.extend(table.sets.iter().skip(known.len()).cloned());
}

/// Keeps room for tags that thresholds select.
pub(crate) fn keep<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    for (key, value) in tags {
        let is_new = !table.selected.iter().any(|(known, kept)| **known == *key && **kept == *value);
        if is_new && table.selected.len() < MOST_SELECTED {
            table.selected.push((key.into(), value.into()));
        }
    }
}

/// Counts a tag whose value was not kept.
#[cold]
pub(super) fn count_beyond() {
    BEYOND.fetch_add(1, Relaxed);
}

/// Returns the number of tags whose value was not kept since the last call.
pub(crate) fn take_beyond() -> u64 {
    BEYOND.swap(0, Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_tag_is_kept_however_many_sets_there_are() {
        let mut table = Table::new();
        table.selected = vec![("tenant".into(), "blue".into()), ("shop".into(), "north".into())];
        let text = |table: &Table, changed: Changed| (table.set(changed.set).to_string(), changed.is_beyond);
        let mut last = None;
        for user in 0..2 * SINGLE {
            // The users have room as part of sets with a selected tag, so that they use it up.
            let of_user = TagPairs::default().with("user", &user.to_string()).unwrap();
            table.number(of_user.clone(), SELECTED);
            let user = table.numbers.get(&of_user).copied().unwrap_or_default();
            last = Some((user, table.with(user, "tenant", "blue")));
        }
        let (_, blue) = last.unwrap();
        assert_eq!(text(&table, blue).0, "tenant:blue");
        let known = TagSet(1);
        let changed = table.with(known, "tenant", "blue");
        let changed = table.with(changed.set, "shop", "north");
        assert_eq!(text(&table, changed), ("shop:north,tenant:blue".to_owned(), true));
        let more = table.with(changed.set, "path", "new");
        assert_eq!(text(&table, more), ("shop:north,tenant:blue".to_owned(), true), "others give way");
        assert!(table.sets.len() <= SINGLE + 1);
    }

    #[test]
    fn selected_tag_replaces_the_others_of_a_full_set() {
        let mut table = Table::new();
        table.selected = vec![("tenant".into(), "blue".into())];
        let full: TagPairs = (0..32).map(|n| (format!("{n:02}"), "x")).collect();
        let full = table.number(full, SETS).unwrap();
        let changed = table.with(full, "tenant", "blue");
        assert_eq!((table.set(changed.set).to_string(), changed.is_beyond), ("tenant:blue".to_owned(), true));
    }
}
