//! Compares thresholds with measurements.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::Threshold;
use super::limit::Dimension;
use super::metric::Statistic;
use super::samples::{Measured, Samples, Users};
use super::window::WindowCounts;
use crate::engine::histogram::Histogram;
use crate::engine::metrics::Level;
use crate::engine::tags::Numbers;
use crate::report::RateTime;
use crate::report::units::{bytes, count, duration, number, percent, rate};

/// Values that differ by less than this share may look equal in three digits.
const NEAR: f64 = 0.01;

/// Result of a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The threshold.
    pub threshold: Threshold,
    /// The actual value; `None` if there are no samples.
    pub actual: Option<Actual>,
    /// True if the threshold passed.
    pub passed: bool,
    /// Reason of a failure that is not due to the value: there are no samples, or they are in `other`.
    pub reason: Option<String>,
    /// Note on the value, for example that it includes failed requests.
    pub note: Option<String>,
    /// Results of its windows, if it is over sliding windows. The actual value is then that of the worst window.
    pub windows: Option<WindowCounts>,
}

/// A value with its unit. [`Display`](fmt::Display) shows it in three digits, with a unit.
///
/// serde writes `{"value":412345,"unit":"ns"}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Actual {
    /// Nanoseconds.
    Duration(f64),
    /// Number of events.
    Count(u64),
    /// Rate per second.
    PerSecond {
        /// Number of events.
        count: u64,
        /// Time in which they happened.
        time: Duration,
    },
    /// Part of a whole that is not zero.
    Share {
        /// The part.
        part: u64,
        /// The whole.
        of: u64,
    },
    /// Number without a unit.
    Number(f64),
    /// Number without a unit, per second.
    NumberPerSecond(f64),
    /// Amount of data.
    Bytes(u64),
    /// Data rate.
    BytesPerSecond {
        /// Number of bytes.
        bytes: u64,
        /// Time in which they were transferred.
        time: Duration,
    },
}

impl Threshold {
    /// Compares the threshold with the measurements of the whole period. Without samples it fails, except for a counter,
    /// whose value is then 0. It also fails if requests that it may select are [in `other`](Self::hidden).
    #[must_use]
    pub fn judge(&self, measured: &Measured<'_>) -> Judged {
        let actual = self.actual(measured);
        let unknown = || self.hidden(measured.totals).or_else(|| self.unknown_tag(measured.totals));
        let reason = unknown().or_else(|| actual.is_none().then(|| self.nothing(measured.totals)));
        let passed = reason.is_none() && actual.is_some_and(|actual| self.holds(actual.value()));
        let note = actual.and_then(|_| self.note(measured.totals));
        Judged { threshold: self.clone(), actual, passed, reason, note, windows: None }
    }

    fn actual(&self, measured: &Measured<'_>) -> Option<Actual> {
        self.value_of(&self.samples(measured), measured.rates.time)
    }

    /// Returns the value of samples from a period of this length; `None` if there are none.
    pub(super) fn value_of(&self, samples: &Samples<'_>, time: Duration) -> Option<Actual> {
        match *samples {
            Samples::Counter(count) => Some(self.counted(count, time)),
            Samples::Distribution(ref histogram) => self.statistic.of(histogram).map(Actual::Duration),
            Samples::Share { of: 0, .. } => None,
            Samples::Share { part, of } => Some(Actual::Share { part, of }),
            Samples::Numbers(ref numbers) => self.statistic.of_numbers(numbers).map(Actual::Number),
            Samples::Nothing { .. } => None,
            Samples::Sum(sum) => Some(match self.statistic {
                Statistic::Rate => Actual::NumberPerSecond(RateTime::load(time).number_per_second(sum)),
                _ => Actual::Number(sum),
            }),
            Samples::Level(level) => self.statistic.of_level(&level).map(Actual::Number),
            Samples::Gauge(users) => users.map(|users| Actual::Count(self.statistic.of_users(users))),
        }
    }

    fn counted(&self, count: u64, time: Duration) -> Actual {
        match self.metric.dimension(self.statistic) {
            Dimension::PerSecond => Actual::PerSecond { count, time },
            Dimension::Bytes => Actual::Bytes(count),
            Dimension::BytesPerSecond => Actual::BytesPerSecond { bytes: count, time },
            _ => Actual::Count(count),
        }
    }
}

impl Statistic {
    /// Returns the quantile, from 0 to 1, if the statistic is one.
    pub(super) fn quantile(self) -> Option<f64> {
        match self {
            Self::Med => Some(0.5),
            Self::Percentile(percent) => Some(percent / 100.0),
            _ => None,
        }
    }

    /// Returns the statistic of durations, in nanoseconds.
    pub(super) fn of(self, histogram: &Histogram) -> Option<f64> {
        match self {
            Self::Avg => histogram.mean(),
            Self::Min => histogram.min().map(|nanos| nanos as f64),
            Self::Max => histogram.max().map(|nanos| nanos as f64),
            _ => histogram.quantile(self.quantile()?).map(|nanos| nanos as f64),
        }
    }

    fn of_numbers(self, numbers: &Numbers) -> Option<f64> {
        match self {
            Self::Avg => numbers.mean(),
            Self::Min => numbers.min(),
            Self::Max => numbers.max(),
            _ => numbers.quantile(self.quantile()?),
        }
    }

    /// Returns the statistic of a gauge.
    pub(super) fn of_level(self, level: &Level) -> Option<f64> {
        match self {
            Self::Value => Some(level.last),
            Self::Min => Some(level.min),
            Self::Max => Some(level.max),
            _ => None,
        }
    }

    pub(super) fn of_users(self, users: Users) -> u64 {
        if self == Self::Min { users.fewest } else { users.most }
    }
}

impl Judged {
    /// Returns the actual value in three digits, or in more if it fails by a small margin. Without samples, returns "no
    /// samples".
    #[must_use]
    pub fn shown(&self) -> String {
        let Some(actual) = self.actual else { return "no samples".to_owned() };
        let limit = self.threshold.limit.value();
        let is_near = (actual.value() - limit).abs() <= limit.abs() * NEAR;
        if is_near && !self.passed { actual.precise() } else { actual.to_string() }
    }

    /// Returns true if the threshold passed, and could not have passed without a failure. The failures are then
    /// intended.
    #[must_use]
    pub fn wants_failures(&self) -> bool {
        self.passed && self.threshold.needs_failures()
    }

    /// Returns the actual value or the reason, with the note.
    #[must_use]
    pub fn said(&self) -> String {
        let said = self.reason.clone().unwrap_or_else(|| self.shown());
        self.note.as_ref().map_or_else(|| said.clone(), |note| format!("{said} ({note})"))
    }

    /// Returns the name of the metric, without tags.
    #[must_use]
    pub fn metric(&self) -> &str {
        self.threshold.name()
    }
}

impl Actual {
    /// Returns the value in its [`unit`](Self::unit).
    #[must_use]
    pub fn value(&self) -> f64 {
        match *self {
            Self::Duration(number) | Self::Number(number) | Self::NumberPerSecond(number) => number,
            Self::Count(number) | Self::Bytes(number) => number as f64,
            Self::PerSecond { count: number, time } | Self::BytesPerSecond { bytes: number, time } => {
                // Nothing is measured in no time.
                if time.is_zero() { 0.0 } else { number as f64 / time.as_secs_f64() }
            }
            Self::Share { part, of } => part as f64 / of as f64,
        }
    }

    /// Returns the name of the unit in the JSON.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Duration(_) => "ns",
            Self::Count(_) => "count",
            Self::PerSecond { .. } | Self::NumberPerSecond(_) => "per_second",
            Self::Share { .. } => "share",
            Self::Number(_) => "number",
            Self::Bytes(_) => "bytes",
            Self::BytesPerSecond { .. } => "bytes_per_second",
        }
    }

    /// Returns the value with more digits than are usually shown.
    fn precise(&self) -> String {
        let value = self.value();
        match self {
            Self::Duration(nanos) if *nanos < 1e3 => decimals(value, "ns"),
            Self::Duration(nanos) if *nanos < 1e6 => decimals(value / 1e3, "µs"),
            Self::Duration(nanos) if *nanos < 1e9 => decimals(value / 1e6, "ms"),
            Self::Duration(_) => decimals(value / 1e9, "s"),
            Self::Count(_) => self.to_string(),
            Self::PerSecond { .. } | Self::NumberPerSecond(_) => decimals(value, "/s"),
            Self::Share { .. } => decimals(value * 100.0, "%"),
            Self::Number(_) => decimals(value, ""),
            Self::Bytes(number) => count(*number) + "B",
            Self::BytesPerSecond { .. } => decimals(value, "B/s"),
        }
    }
}

/// Formats a value with up to six decimals.
fn decimals(value: f64, unit: &str) -> String {
    let text = format!("{value:.6}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match *self {
            // `as` saturates. Fractions of a nanosecond do not matter.
            Self::Duration(nanos) => duration(Duration::from_nanos(nanos as u64)),
            Self::Count(number) => count(number),
            Self::PerSecond { count, time } => rate(count, time),
            Self::Share { part, of } => percent(part, of),
            Self::Number(value) => number(value),
            Self::NumberPerSecond(value) => number(value) + "/s",
            Self::Bytes(number) => bytes(number),
            Self::BytesPerSecond { .. } => bytes(self.value() as u64) + "/s",
        })
    }
}

impl Serialize for Actual {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys = serializer.serialize_struct("Actual", 2)?;
        let value = self.value();
        match *self {
            Self::Count(number) | Self::Bytes(number) => keys.serialize_field("value", &number)?,
            // `as` saturates, and no duration is that long.
            Self::Duration(nanos) if nanos.fract() == 0.0 => keys.serialize_field("value", &(nanos as u64))?,
            _ => keys.serialize_field("value", &value)?,
        }
        keys.serialize_field("unit", self.unit())?;
        keys.end()
    }
}
