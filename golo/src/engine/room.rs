//! Limits on the number of series that are kept separately, by priority.
//!
//! Memory is bounded, so there are limits. Without priorities, many unimportant paths could use them up, and the
//! failures of the one route that matters would be hidden in `other`.

use std::{collections::HashSet, hash::BuildHasherDefault, sync::Arc};

use rustc_hash::FxHasher;

use super::series::{Label, TagPairs};

/// Maximum number of series of routes that are neither named nor selected.
pub const SERIES: usize = 1000;
/// Maximum number of routes (with origin and method) that a load test may name.
pub const NAMED_ROUTES: usize = 1000;
/// Maximum number of series of named routes.
pub const NAMED_SERIES: usize = 4000;
/// Maximum number of series of routes that thresholds select.
pub const SELECTED_SERIES: usize = 1000;

/// Maximum number of series, of routes of any priority, that count requests whose tags are past these limits.
pub const UNTAGGED_SERIES: usize = 1000;

/// Priority of a series when there are too many to keep them all. Each priority has its own limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The load test did not name the route, and no threshold selects it. At most [`SERIES`].
    #[default]
    Ordinary,
    /// The load test named the route. At most [`NAMED_ROUTES`] with [`NAMED_SERIES`].
    Named,
    /// A threshold selects the route, or a tag of the request. At most [`SELECTED_SERIES`].
    Selected,
}

/// Routes and tags that thresholds select.
#[derive(Debug, Clone, Default)]
pub struct Selected {
    routes: Arc<[Box<str>]>,
    tags: Arc<[(Box<str>, Box<str>)]>,
}

impl Selected {
    /// Returns true if a threshold selects this route.
    pub(super) fn has(&self, route: &str) -> bool {
        self.routes.iter().any(|selected| **selected == *route)
    }

    /// Returns true if a threshold selects one of these tags.
    pub(super) fn has_tag_of(&self, tags: &TagPairs) -> bool {
        !tags.is_empty() && self.tags.iter().any(|(key, value)| tags.get(key) == Some(&**value))
    }

    /// Returns the same routes with these tags.
    #[must_use]
    pub fn with_tags<T: Into<Box<str>>>(self, tags: impl IntoIterator<Item = (T, T)>) -> Self {
        let tags = tags.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self { tags, ..self }
    }

    /// Returns the tags.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Returns the routes.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(|route| &**route)
    }
}

impl<R: Into<Box<str>>> FromIterator<R> for Selected {
    fn from_iter<I: IntoIterator<Item = R>>(routes: I) -> Self {
        Self { routes: routes.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// Counts the series of each priority to tell if there is room for more.
#[derive(Debug, Default)]
pub(super) struct Room {
    ordinary: usize,
    named: usize,
    /// Labels without tags.
    named_routes: HashSet<Arc<Label>, BuildHasherDefault<FxHasher>>,
    selected: usize,
    untagged: usize,
}

impl Room {
    /// Creates the counts for existing series with these labels.
    pub(super) fn beside<'a>(labels: impl Iterator<Item = &'a Arc<Label>>) -> Self {
        let mut room = Self::default();
        labels.for_each(|label| room.count(label, 1));
        room
    }

    /// Returns true if there is room for another series of this label.
    pub(super) fn has_room(&self, label: &Label) -> bool {
        match label.priority {
            _ if label.is_other() => true,
            _ if label.is_untagged() => self.untagged < UNTAGGED_SERIES,
            Priority::Ordinary => self.ordinary < SERIES,
            Priority::Named => {
                self.named < NAMED_SERIES && (self.named_routes.len() < NAMED_ROUTES || self.has_named(label))
            }
            Priority::Selected => self.selected < SELECTED_SERIES,
        }
    }

    /// Takes room for a series of this label. Returns false if there is none.
    pub(super) fn take(&mut self, label: &Arc<Label>) -> bool {
        let has_room = self.has_room(label);
        if has_room {
            self.count(label, 1);
        }
        has_room
    }

    /// Updates the counts after a label with `series` series was raised from the priority `before` to a higher one.
    pub(super) fn raise(&mut self, label: &Arc<Label>, before: Priority, series: usize) {
        if label.is_other() || label.is_untagged() {
            return;
        }
        let taken = match before {
            Priority::Ordinary => &mut self.ordinary,
            Priority::Named => &mut self.named,
            Priority::Selected => &mut self.selected,
        };
        *taken = taken.saturating_sub(series);
        self.count(label, series);
    }

    /// Returns true if the route of this label is counted as named. Its tags do not matter.
    fn has_named(&self, label: &Label) -> bool {
        match label.tags.is_empty() {
            true => self.named_routes.contains(label),
            false => self.named_routes.contains(&target(label)),
        }
    }

    fn count(&mut self, label: &Arc<Label>, series: usize) {
        match label.priority {
            _ if label.is_other() => {}
            _ if label.is_untagged() => self.untagged += series,
            Priority::Ordinary => self.ordinary += series,
            Priority::Named => {
                self.named += series;
                if !self.has_named(label) {
                    self.named_routes.insert(match label.tags.is_empty() {
                        true => Arc::clone(label),
                        false => Arc::new(target(label)),
                    });
                }
            }
            Priority::Selected => self.selected += series,
        }
    }
}

/// Returns the label without its tags.
fn target(label: &Label) -> Label {
    label.clone().with_tags(TagPairs::default())
}
