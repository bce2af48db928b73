//! Metrics of a load test's own, and durations of groups, by name and tags. Everything here is bounded and merges
//! exactly.

mod recorded;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub(super) use recorded::{Recorded, histograms};
pub(crate) use value::PARTS;
pub use value::{Durations, Level, Share, Sum, Value};

use super::series::TagPairs;
pub use crate::metrics::custom::{MetricKind, Refusal};
use crate::metrics::custom::{OTHERS, is_built_in, valid};

/// Maximum number of series of all metrics together. Further tags of a metric are counted in one series of it.
pub const SERIES: usize = 1000;
/// Maximum number of metrics. Further ones are counted as one of each kind.
pub const NAMES: usize = 1100;
/// Maximum number of names with refused values.
const REFUSED: usize = 100;
/// Name of the durations of groups.
pub const GROUP_DURATION: &str = "group_duration";
const OTHER: &str = "other";

/// Metrics by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    by_name: BTreeMap<Box<str>, Metric>,
    /// Number of series of all metrics.
    series: usize,
    refused: BTreeMap<(Box<str>, Refusal), u64>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    kind: MetricKind,
    unit: Option<Box<str>>,
    series: BTreeMap<TagPairs, Value>,
    /// Values with tags that are past the limit of series.
    other: Option<Value>,
}

impl Metrics {
    /// Returns true if nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.refused.is_empty()
    }

    /// Returns the metrics in the order of their names, with the durations of groups.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Metric)> {
        self.by_name.iter().map(|(name, metric)| (&**name, metric))
    }

    /// Returns the metrics of the load test in the order of their names, without the durations of groups.
    pub fn own(&self) -> impl Iterator<Item = (&str, &Metric)> {
        self.iter().filter(|(_, metric)| metric.kind != MetricKind::Group)
    }

    /// Returns the metric with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.by_name.get(name)
    }

    /// Returns the number of refused values by name and reason.
    pub fn refused(&self) -> impl Iterator<Item = (&str, Refusal, u64)> {
        self.refused.iter().map(|((name, refusal), count)| (&**name, *refusal, *count))
    }

    /// Counts refused values.
    pub fn refuse(&mut self, name: &str, refusal: Refusal, count: u64) {
        if count == 0 {
            return;
        }
        let name = valid(name);
        let key = (name.into(), refusal);
        let key =
            if self.refused.len() < REFUSED || self.refused.contains_key(&key) { key } else { (OTHER.into(), refusal) };
        let known = self.refused.entry(key).or_default();
        *known = known.saturating_add(count);
    }

    /// Adds values of a metric. `tags` is `None` for those that are past the limit of series.
    ///
    /// If the name is known with another kind, those of the kind that comes first in [`MetricKind`] are kept, and the
    /// others are refused.
    pub fn add(&mut self, name: &str, unit: Option<&str>, tags: Option<&TagPairs>, more: &Value) {
        self.put(name, unit, tags, Cow::Borrowed(more));
    }

    fn put(&mut self, name: &str, unit: Option<&str>, tags: Option<&TagPairs>, more: Cow<'_, Value>) {
        let kind = more.kind();
        let is_full = self.by_name.len() >= NAMES;
        let name = match OTHERS.iter().find(|(_, other)| *other == kind) {
            Some((other, _)) if is_full && !self.by_name.contains_key(name) => other,
            _ => name,
        };
        if let Some(known) = self.by_name.get(name).filter(|known| known.kind > kind) {
            let count = known.all().fold(0_u64, |sum, (_, value)| sum.saturating_add(value.count()));
            self.series -= known.series.len();
            self.by_name.remove(name);
            self.refuse(name, Refusal::OtherKind, count);
        }
        let metric = match self.by_name.entry(name.into()) {
            Entry::Occupied(known) if known.get().kind != kind => {
                return self.refuse(name, Refusal::OtherKind, more.count());
            }
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Metric { kind, unit: None, series: BTreeMap::new(), other: None }),
        };
        if metric.unit.is_none() {
            metric.unit = unit.map(Into::into);
        }
        // The first series of a metric always has room, and the number of metrics is limited too.
        let has_room = self.series < SERIES || metric.series.is_empty();
        match tags.filter(|tags| has_room || metric.series.contains_key(*tags)) {
            Some(tags) => match metric.series.entry(tags.clone()) {
                Entry::Occupied(mut known) => known.get_mut().merge(&more),
                Entry::Vacant(new) => {
                    self.series += 1;
                    new.insert(more.into_owned());
                }
            },
            None => match &mut metric.other {
                Some(other) => other.merge(&more),
                None => metric.other = Some(more.into_owned()),
            },
        }
    }

    /// Adds the values of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (name, metric) in other.iter() {
            for (tags, value) in metric.all() {
                self.add(name, metric.unit(), tags, value);
            }
        }
        for (name, refusal, count) in other.refused() {
            self.refuse(name, refusal, count);
        }
    }

    /// Returns the heap memory of the distributions, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().flat_map(|(_, metric)| metric.all()).map(|(_, value)| value.bytes()).sum()
    }

    /// Returns the name of a received metric in its valid form, if a metric of this kind may have it.
    #[must_use]
    pub fn received_name(name: &str, kind: MetricKind) -> Option<String> {
        match kind {
            MetricKind::Group => (name == GROUP_DURATION).then(|| name.to_owned()),
            _ => Some(valid(name)).filter(|name| !is_built_in(name)),
        }
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = Value> {
        self.by_name.into_values().flat_map(|metric| metric.series.into_values().chain(metric.other))
    }
}

impl Metric {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        self.kind
    }

    /// Returns the unit.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// Returns the values by their tags, in the order of the tags.
    pub fn series(&self) -> impl ExactSizeIterator<Item = (&TagPairs, &Value)> {
        self.series.iter()
    }

    /// Returns the values whose tags are past the limit of series.
    #[must_use]
    pub fn other(&self) -> Option<&Value> {
        self.other.as_ref()
    }

    /// Returns the values by their tags, then those whose tags are past the limit of series.
    pub fn all(&self) -> impl Iterator<Item = (Option<&TagPairs>, &Value)> {
        let other = self.other.as_ref().map(|value| (None, value));
        self.series.iter().map(|(tags, value)| (Some(tags), value)).chain(other)
    }

    /// Returns all values with wanted tags. `is_wanted` gets `None` for those whose tags are past the limit of series.
    #[must_use]
    pub fn total(&self, is_wanted: impl Fn(Option<&TagPairs>) -> bool) -> Option<Value> {
        let mut wanted = self.all().filter(|(tags, _)| is_wanted(*tags)).map(|(_, value)| value);
        let mut total = wanted.next()?.clone();
        wanted.for_each(|value| total.merge(value));
        Some(total)
    }
}

#[cfg(test)]
mod tests;
