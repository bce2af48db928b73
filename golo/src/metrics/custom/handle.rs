//! Handles of metrics: name a metric, and record its values.

use super::names::MetricId;
use super::{MetricKind, MetricSample, Number};
use crate::metrics::tag_set::TagSet;
use crate::metrics::{scope, sink};

/// A metric, and the tags of its values.
#[derive(Debug, Clone, Copy)]
struct Handle {
    id: MetricId,
    tags: TagSet,
}

impl Handle {
    fn new(name: &str, kind: MetricKind) -> Self {
        Self { id: MetricId::of(name, kind), tags: TagSet::EMPTY }
    }

    fn unit(self, unit: &str) -> Self {
        self.id.set_unit(unit);
        self
    }

    fn tag(self, key: &str, value: &str) -> Self {
        Self { tags: self.tags.with(key, value), ..self }
    }

    fn record(self, value: f64) {
        let Self { id, tags } = self;
        let recorded = scope::with_current(|scope| {
            let tags = scope::tags(Some(scope)).under(tags);
            scope.sink.metric(&MetricSample { id, tags, value });
        });
        if recorded.is_none() {
            let tags = scope::tags(None).under(tags);
            sink::process().metric(&MetricSample { id, tags, value });
        }
    }
}

/// Adds the methods that the handles of all kinds have.
macro_rules! handle {
    ($handle:ident) => {
        impl $handle {
            /// Sets the unit that reports show, as `EUR` or `ms`. The first one that is set counts.
            #[must_use]
            pub fn unit(self, unit: &str) -> Self {
                Self(self.0.unit(unit))
            }

            /// Adds a tag to the values that are recorded through this handle, besides the tags of the trigger.
            #[must_use]
            pub fn tag(self, key: &str, value: &str) -> Self {
                Self(self.0.tag(key, value))
            }
        }
    };
}

/// A metric that adds up its values. [`counter`] creates it.
#[derive(Debug, Clone, Copy)]
pub struct Counter(Handle);

/// A metric that keeps its last value, the smallest and the largest. [`gauge`] creates it.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(Handle);

/// A metric that keeps the distribution of its values. [`trend`] creates it.
#[derive(Debug, Clone, Copy)]
pub struct Trend(Handle);

/// A metric that keeps the share of values that are true. [`rate`] creates it.
#[derive(Debug, Clone, Copy)]
pub struct Rate(Handle);

handle!(Counter);
handle!(Gauge);
handle!(Trend);
handle!(Rate);

/// Returns the counter with this name. Reports show its sum, and its increase per second.
///
/// A name consists of letters, digits and `_`, and does not begin with a digit; other characters become `_`. Values are
/// recorded during the measured part of a run: not during its warm-up, and not in `setup`, `teardown`, `start` and
/// `stop`. Without a run they are ignored. A value that is negative, infinite or not a number is refused, and the
/// summary says so.
///
/// ```no_run
/// # let (items, total) = (3, 19.99);
/// golo::counter("items_sold").add(items);
/// golo::counter("revenue").unit("EUR").tag("shop", "north").add(total);
/// ```
#[must_use]
pub fn counter(name: &str) -> Counter {
    Counter(Handle::new(name, MetricKind::Counter))
}

/// Returns the gauge with this name. Reports show its last value, the smallest and the largest.
///
/// See [`counter`] for names and for the values that count.
///
/// ```no_run
/// # let queue = [0_u8; 7];
/// golo::gauge("queue_length").set(queue.len());
/// ```
#[must_use]
pub fn gauge(name: &str) -> Gauge {
    Gauge(Handle::new(name, MetricKind::Gauge))
}

/// Returns the trend with this name. Reports show the distribution of its values.
///
/// Values are kept to a thousandth: count, sum, minimum and maximum are exact, percentiles are off by at most 0.05 %.
/// See [`counter`] for names and for the values that count. Here they may be negative.
///
/// ```no_run
/// # let cart = 19.99;
/// golo::trend("cart_value").unit("EUR").record(cart);
/// ```
#[must_use]
pub fn trend(name: &str) -> Trend {
    Trend(Handle::new(name, MetricKind::Trend))
}

/// Returns the rate with this name. Reports show the share of values that are true.
///
/// See [`counter`] for names and for the values that count.
///
/// ```no_run
/// # let is_hit = true;
/// golo::rate("cache_hits").add(is_hit);
/// ```
#[must_use]
pub fn rate(name: &str) -> Rate {
    Rate(Handle::new(name, MetricKind::Rate))
}

impl Counter {
    /// Adds to the counter. A negative number is refused.
    pub fn add(self, number: impl Number) {
        self.0.record(number.number());
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(self, value: impl Number) {
        self.0.record(value.number());
    }
}

impl Trend {
    /// Records a value.
    pub fn record(self, value: impl Number) {
        self.0.record(value.number());
    }
}

impl Rate {
    /// Records whether it holds this time.
    pub fn add(self, holds: bool) {
        self.0.record(f64::from(u8::from(holds)));
    }
}
