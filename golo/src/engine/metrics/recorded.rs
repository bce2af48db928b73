//! Metrics of one recorder: values by number, so that recording neither allocates nor compares text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::Instant;

use rustc_hash::FxHasher;

use super::value::{Durations, Level, is_level};
use super::{Metrics, NAMES, Refusal, SERIES, Value};
use crate::engine::histogram::Histogram;
use crate::engine::tags::Numbers;
use crate::metrics::custom::{GROUP_DURATION, MetricId, MetricKind, MetricSample};
use crate::metrics::group::GroupSample;
use crate::metrics::output::nanoseconds;
use crate::metrics::tag_set::TagSet;
use crate::support::clock;

type Hasher = BuildHasherDefault<FxHasher>;

/// Metrics of one recorder since the last [`take`](Self::take).
#[derive(Default)]
pub(crate) struct Recorded {
    /// Places of values. The tags are `None` if they are past the limit of series.
    places: HashMap<(MetricId, Option<TagSet>), usize, Hasher>,
    values: Vec<Place>,
}

struct Place {
    id: MetricId,
    tags: Option<TagSet>,
    kind: MetricKind,
    refusal: Option<Refusal>,
    value: Option<Value>,
    /// Number of values that were refused.
    refused: u64,
    /// Label of a group's step in journeys.
    label: Option<u32>,
}

impl Recorded {
    /// Records a value of a metric.
    pub(crate) fn record(&mut self, sample: &MetricSample, is_after_load: bool, spare: &mut Vec<Histogram>) {
        let place = self.place(sample.id, sample.tags);
        let at = || {
            let wall = clock::wall(Instant::now());
            nanoseconds(wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default())
        };
        let number = sample.value;
        let is_recorded = place.refusal.is_none()
            && match &mut place.value {
                Some(value) => value.record(number, at, is_after_load),
                None if place.kind == MetricKind::Gauge => {
                    place.value = is_level(number).then(|| Value::Gauge(Level::of(number, at())));
                    place.value.is_some()
                }
                None => {
                    place.value = match place.kind {
                        MetricKind::Trend => {
                            Some(Value::Trend(Numbers::of(Histogram::new(), spare.pop().unwrap_or_default())))
                        }
                        kind => Value::empty(kind),
                    };
                    place.value.as_mut().is_some_and(|value| value.record(number, at, is_after_load))
                }
            };
        place.refused += u64::from(!is_recorded);
    }

    /// Records a group. Returns the label of its step in journeys, once it is known.
    pub(crate) fn group(&mut self, sample: &GroupSample, is_cut: bool, spare: &mut Vec<Histogram>) -> &mut Option<u32> {
        let place = self.place(GROUP_DURATION, sample.set);
        let new = || Value::Group(Durations { durations: spare.pop().unwrap_or_default(), ..Durations::default() });
        if let Value::Group(group) = place.value.get_or_insert_with(new) {
            if is_cut && sample.dropped {
                group.interrupted += 1;
            } else {
                group.durations.record(nanoseconds(sample.duration));
                group.failed += u64::from(sample.failed);
            }
        }
        &mut place.label
    }

    fn place(&mut self, id: MetricId, tags: TagSet) -> &mut Place {
        let known = self.places.get(&(id, Some(tags))).copied();
        let place = known.unwrap_or_else(|| self.new_place(id, tags));
        &mut self.values[place]
    }

    #[cold]
    fn new_place(&mut self, id: MetricId, tags: TagSet) -> usize {
        // The first series of each metric has room of its own, as in a snapshot.
        let has_room = self.values.len() < SERIES + NAMES;
        let key = (id, has_room.then_some(tags));
        if let Some(known) = self.places.get(&key) {
            return *known;
        }
        let named = id.named();
        let (kind, refusal) = (named.kind, named.refusal);
        let place = self.values.len();
        self.values.push(Place { id, tags: key.1, kind, refusal, value: None, refused: 0, label: None });
        self.places.insert(key, place);
        place
    }

    /// Returns everything since the last call.
    pub(crate) fn take(&mut self) -> Metrics {
        let mut metrics = Metrics::default();
        for place in self.values.iter_mut().filter(|place| place.value.is_some() || place.refused > 0) {
            let named = place.id.named();
            if let Some(value) = place.value.take().filter(|value| value.count() > 0) {
                let tags = place.tags.map(TagSet::pairs);
                metrics.put(&named.name, named.unit.as_deref(), tags.as_ref(), Cow::Owned(value));
            }
            let refused = std::mem::take(&mut place.refused);
            metrics.refuse(&named.name, place.refusal.unwrap_or(Refusal::Value), refused);
        }
        metrics
    }
}

/// Takes the histograms of a snapshot that has been read, for reuse.
pub(crate) fn histograms(metrics: Metrics) -> impl Iterator<Item = Histogram> {
    metrics.into_values().filter_map(|value| match value {
        Value::Trend(numbers) => Some(numbers.into_histograms().1),
        Value::Group(group) => Some(group.durations),
        _ => None,
    })
}
