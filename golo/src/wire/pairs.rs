//! Tags of requests and of values.

use crate::engine::room::Selected;
use crate::metrics::tag_set::TagPairs;
use crate::pb::engine as pb;

pub(super) fn write(tags: &TagPairs) -> Vec<pb::TagPair> {
    tags.iter().map(|(key, value)| pb::TagPair { key: key.to_owned(), value: value.to_owned() }).collect()
}

/// Reads tags, cut to the limits.
pub(super) fn read(written: &[pb::TagPair]) -> TagPairs {
    written.iter().map(|pb::TagPair { key, value }| (key, value)).collect()
}

/// Returns the tags that thresholds select, for a plan.
#[must_use]
pub fn selected_tags(selected: &Selected) -> Vec<pb::TagPair> {
    selected.tags().map(|(key, value)| pb::TagPair { key: key.to_owned(), value: value.to_owned() }).collect()
}

/// Returns what thresholds select, as a plan says.
pub(crate) fn selected(routes: Vec<String>, tags: Vec<pb::TagPair>) -> Selected {
    let selected: Selected = routes.into_iter().collect();
    selected.with_tags(tags.into_iter().map(|pb::TagPair { key, value }| (key, value)))
}
