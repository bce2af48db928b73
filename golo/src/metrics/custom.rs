//! Metrics of a load test's own: counters, gauges, trends and rates.

mod handle;
mod names;
mod number;

pub use handle::{Counter, Gauge, Rate, Trend, counter, gauge, rate, trend};
pub use names::Refusal;
pub(crate) use names::{GROUP_DURATION, MetricId, OTHERS, cut_unit, is_built_in, valid};
pub use number::Number;

use crate::metrics::tag_set::{RequestTags, TagSet};

/// Kind of a metric. It says what a run keeps of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MetricKind {
    /// The sum of all values.
    Counter,
    /// The last value, the smallest and the largest.
    Gauge,
    /// The distribution of the values.
    Trend,
    /// The share of values that are true.
    Rate,
    /// Durations of groups, and how many failed.
    Group,
}

impl MetricKind {
    /// Returns the name of the kind, as `counter`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Trend => "trend",
            Self::Rate => "rate",
            Self::Group => "group",
        }
    }
}

/// One value of a custom metric, for [`Sink::metric`](crate::Sink::metric).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricSample {
    pub(crate) id: MetricId,
    pub(crate) tags: TagSet,
    pub(crate) value: f64,
}

impl MetricSample {
    /// Returns the name of the metric.
    #[must_use]
    pub fn name(&self) -> String {
        self.id.named().name.to_string()
    }

    /// Returns the kind of the metric.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        self.id.named().kind
    }

    /// Returns the unit of the metric, if it has one.
    #[must_use]
    pub fn unit(&self) -> Option<String> {
        self.id.named().unit.as_deref().map(str::to_owned)
    }

    /// Returns the tags of the value.
    #[must_use]
    pub fn tags(&self) -> RequestTags {
        self.tags.into()
    }

    /// Returns the value. For a rate, true is 1 and false is 0.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }
}
