//! Limits: the number and unit that a value is compared with.

use std::fmt;

use crate::support::nearest::one_of;

/// Dimension of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Duration,
    Count,
    PerSecond,
    Share,
    Bytes,
    BytesPerSecond,
    /// Has no unit, and may be negative.
    Number,
    /// A number per second, or a share.
    Rate,
}

/// A unit of a dimension. The first of its names is used for display.
#[derive(Debug, PartialEq)]
pub(super) struct Unit {
    names: &'static [&'static str],
    /// Size of the unit, in the base unit of the dimension, such as nanoseconds or bytes.
    times: f64,
    /// Number of these units that make a whole.
    parts: f64,
}

const fn unit(names: &'static [&'static str], times: f64) -> Unit {
    Unit { names, times, parts: 1.0 }
}

/// The first is the unit of a bare number.
static DURATION: [Unit; 6] = [
    unit(&["ms", ""], 1e6),
    unit(&["ns"], 1.0),
    unit(&["us", "µs", "μs"], 1e3),
    unit(&["s"], 1e9),
    unit(&["m"], 60e9),
    unit(&["h"], 3600e9),
];
static COUNT: [Unit; 1] = [unit(&[""], 1.0)];
static PER_SECOND: [Unit; 1] = [unit(&["", "/s"], 1.0)];
static SHARE: [Unit; 2] = [unit(&[""], 1.0), Unit { names: &["%"], times: 1.0, parts: 100.0 }];
static RATE: [Unit; 3] = [unit(&[""], 1.0), Unit { names: &["%"], times: 1.0, parts: 100.0 }, unit(&["/s"], 1.0)];
static BYTES: [Unit; 7] = [
    unit(&["B", ""], 1.0),
    unit(&["kB", "KB"], 1e3),
    unit(&["MB"], 1e6),
    unit(&["GB"], 1e9),
    unit(&["KiB"], 1024.0),
    unit(&["MiB"], 1_048_576.0),
    unit(&["GiB"], 1_073_741_824.0),
];
static BYTES_PER_SECOND: [Unit; 7] = [
    unit(&["B/s", "B", ""], 1.0),
    unit(&["kB/s", "kB", "KB/s", "KB"], 1e3),
    unit(&["MB/s", "MB"], 1e6),
    unit(&["GB/s", "GB"], 1e9),
    unit(&["KiB/s", "KiB"], 1024.0),
    unit(&["MiB/s", "MiB"], 1_048_576.0),
    unit(&["GiB/s", "GiB"], 1_073_741_824.0),
];

impl Dimension {
    fn units(self) -> &'static [Unit] {
        match self {
            Self::Duration => &DURATION,
            Self::Count | Self::Number => &COUNT,
            Self::PerSecond => &PER_SECOND,
            Self::Rate => &RATE,
            Self::Share => &SHARE,
            Self::Bytes => &BYTES,
            Self::BytesPerSecond => &BYTES_PER_SECOND,
        }
    }

    pub(super) fn unit(self, name: &str) -> Option<&'static Unit> {
        self.units().iter().find(|unit| unit.names.contains(&name))
    }

    /// Describes the accepted values, for use after "expected".
    pub(super) fn expected(self) -> String {
        let units = || one_of(&self.units().iter().map(|unit| unit.names[0]).collect::<Vec<_>>());
        match self {
            Self::Duration => format!("a number of milliseconds, or one with {}", units()),
            Self::Count | Self::Number => "a number".to_owned(),
            Self::PerSecond => "a number per second".to_owned(),
            Self::Rate => "a number per second, or a share as `95%`".to_owned(),
            Self::Share => "a share from 0% to 100%, or from 0 to 1".to_owned(),
            Self::Bytes => format!("a number of bytes, or one with {}", units()),
            Self::BytesPerSecond => format!("a number of bytes per second, or one with {}", units()),
        }
    }
}

/// The limit that a value is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    /// The number as written, in `unit`.
    pub(super) number: f64,
    pub(super) unit: &'static Unit,
}

impl Limit {
    /// Returns the limit in the base unit: nanoseconds, bytes, a share from 0 to 1, or a number.
    pub(super) fn value(&self) -> f64 {
        let Unit { times, parts, .. } = *self.unit;
        let value = self.number * times / parts;
        // 1.005 µs is slightly less than 1005 ns in binary floating point, but 1005 ns is meant.
        if times > 1.0 { value.round() } else { value }
    }
}

impl Unit {
    /// Returns the name of the unit for display.
    pub(super) fn name(&self) -> &'static str {
        self.names[0]
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(number: f64, dimension: Dimension, unit: &str) -> f64 {
        Limit { number, unit: dimension.unit(unit).unwrap() }.value()
    }

    #[test]
    fn limits_are_converted_to_base_units() {
        use Dimension::{Bytes, BytesPerSecond, Duration, Share};
        for (number, dimension, unit, expected) in [
            (200.0, Duration, "", 2e8),
            (1.005, Duration, "us", 1005.0),
            (1.5, Duration, "h", 5.4e12),
            (1.0, Share, "%", 0.01),
            (7.0, Share, "%", 0.07),
            (0.07, Share, "", 0.07),
            (2.0, Bytes, "KiB", 2048.0),
            (1.1, BytesPerSecond, "MB", 1.1e6),
        ] {
            assert_eq!(value(number, dimension, unit), expected, "{number}{unit}");
        }
        assert!(Share.unit("ms").is_none() && Dimension::Count.unit("%").is_none());
    }
}
