//! Comparison of a value with its limit.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
    Unequal,
}

impl Operator {
    /// Longer signs come before those that they begin with.
    pub(super) const ALL: [Self; 6] =
        [Self::AtMost, Self::AtLeast, Self::Equal, Self::Unequal, Self::Below, Self::Above];

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
            Self::Unequal => "!=",
        }
    }

    pub(super) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Equal => value == limit,
            Self::Unequal => value != limit,
        }
    }

    /// Returns true if the comparison holds for some value from `low` to `high`.
    pub(super) fn holds_within(self, low: f64, high: f64, limit: f64) -> bool {
        match self {
            Self::Below | Self::AtMost => self.holds(low, limit),
            Self::Above | Self::AtLeast => self.holds(high, limit),
            Self::Equal => low <= limit && limit <= high,
            Self::Unequal => low != limit || high != limit,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}
