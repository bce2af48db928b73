//! What is kept of the values of a metric, by its kind.

use crate::engine::histogram::Histogram;
use crate::engine::tags::Numbers;
use crate::metrics::custom::MetricKind;

/// Parts per unit of a sum.
pub(crate) const PARTS: u128 = 1_000_000;
/// Values of a counter or a gauge must be below this.
const LARGEST: f64 = 1e15;

/// Values of a metric with the same tags.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Values of a counter.
    Counter(Sum),
    /// Values of a gauge.
    Gauge(Level),
    /// Values of a trend.
    Trend(Numbers),
    /// Values of a rate.
    Rate(Share),
    /// Durations of groups.
    Group(Durations),
}

/// A sum of numbers that are not negative. Kept in millionths, so that adding is exact in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Number of values.
    pub count: u64,
    /// The sum in millionths.
    pub millionths: u128,
    /// The part of it that came after the load. It is in no rate.
    pub after_load: u128,
}

/// A value that goes up and down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Number of values.
    pub count: u64,
    /// The last value.
    pub last: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// Time of the last value, in nanoseconds since the Unix epoch.
    pub at: u64,
}

/// Number of times that something was true, of all times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Number of times that it was true.
    pub part: u64,
    /// Number of all times.
    pub of: u64,
}

/// Durations of groups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    /// Durations of groups that ended, in nanoseconds.
    pub durations: Histogram,
    /// Part of those that failed.
    pub failed: u64,
    /// Number of groups that the run cut off. They have no duration.
    pub interrupted: u64,
}

impl Sum {
    /// Returns the sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        units(self.millionths)
    }

    /// Returns the part of the sum that came after the load.
    #[must_use]
    pub fn after_load(&self) -> f64 {
        units(self.after_load)
    }

    fn add(&mut self, number: f64, is_after_load: bool) {
        // Below 2^70, as `number` is below 1e15.
        let millionths = (number * PARTS as f64).round() as u128;
        self.count = self.count.saturating_add(1);
        self.millionths = self.millionths.saturating_add(millionths);
        if is_after_load {
            self.after_load = self.after_load.saturating_add(millionths);
        }
    }
}

/// Returns millionths as a number.
fn units(millionths: u128) -> f64 {
    // The whole part apart, because a float of all millionths would round it.
    (millionths / PARTS) as f64 + (millionths % PARTS) as f64 / PARTS as f64
}

impl Level {
    pub(super) fn of(value: f64, at: u64) -> Self {
        Self { count: 1, last: value, min: value, max: value, at }
    }

    /// Adds the values of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        // Of two values at the same time the larger one counts, so that the order of merging does not matter.
        if other.at.cmp(&self.at).then(other.last.total_cmp(&self.last)).is_gt() {
            (self.last, self.at) = (other.last, other.at);
        }
        self.count = self.count.saturating_add(other.count);
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
    }
}

impl Value {
    /// Returns an empty value of a kind, or `None` for a gauge, which has no value then.
    pub(super) fn empty(kind: MetricKind) -> Option<Self> {
        Some(match kind {
            MetricKind::Counter => Self::Counter(Sum::default()),
            MetricKind::Gauge => return None,
            MetricKind::Trend => Self::Trend(Numbers::default()),
            MetricKind::Rate => Self::Rate(Share::default()),
            MetricKind::Group => Self::Group(Durations::default()),
        })
    }

    /// Records a number. Returns false if it is refused.
    pub(super) fn record(&mut self, number: f64, at: impl FnOnce() -> u64, is_after_load: bool) -> bool {
        match self {
            Self::Trend(numbers) => return numbers.record_number(number),
            Self::Counter(sum) if (0.0..LARGEST).contains(&number) => sum.add(number, is_after_load),
            Self::Gauge(level) if is_level(number) => level.merge(&Level::of(number, at())),
            Self::Rate(share) => {
                share.of = share.of.saturating_add(1);
                share.part = share.part.saturating_add(u64::from(number > 0.0));
            }
            Self::Counter(_) | Self::Gauge(_) | Self::Group(_) => return false,
        }
        true
    }

    /// Returns the kind of metric.
    #[must_use]
    pub fn kind(&self) -> MetricKind {
        match self {
            Self::Counter(_) => MetricKind::Counter,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Trend(_) => MetricKind::Trend,
            Self::Rate(_) => MetricKind::Rate,
            Self::Group(_) => MetricKind::Group,
        }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Counter(sum) => sum.count,
            Self::Gauge(level) => level.count,
            Self::Trend(numbers) => numbers.count(),
            Self::Rate(share) => share.of,
            Self::Group(group) => group.durations.count().saturating_add(group.interrupted),
        }
    }

    /// Adds the values of `other`. Does nothing if it is of another kind.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Counter(sum), Self::Counter(more)) => {
                sum.count = sum.count.saturating_add(more.count);
                sum.millionths = sum.millionths.saturating_add(more.millionths);
                sum.after_load = sum.after_load.saturating_add(more.after_load);
            }
            (Self::Gauge(level), Self::Gauge(more)) => level.merge(more),
            (Self::Trend(numbers), Self::Trend(more)) => numbers.merge(more),
            (Self::Rate(share), Self::Rate(more)) => {
                share.part = share.part.saturating_add(more.part);
                share.of = share.of.saturating_add(more.of);
            }
            (Self::Group(group), Self::Group(more)) => {
                group.durations.merge(&more.durations);
                group.failed = group.failed.saturating_add(more.failed);
                group.interrupted = group.interrupted.saturating_add(more.interrupted);
            }
            _ => {}
        }
    }

    /// Returns the heap memory of the distribution, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Trend(numbers) => numbers.bytes(),
            Self::Group(group) => group.durations.bytes(),
            _ => 0,
        }
    }
}

/// Returns true if a gauge accepts a value.
pub(super) fn is_level(value: f64) -> bool {
    value.abs() < LARGEST
}
