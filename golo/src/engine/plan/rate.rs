//! Rates of starts. They are exact integers, since a sum of floats would not add up to whole starts.

use std::{fmt, str::FromStr, time::Duration};

use super::PlanError;
use crate::engine::curve::Curve;

/// Rate of trigger starts: `500/s`, `1.5/s`, `90/m`, `10/h`.
///
/// Stored in millionths of a start per hour, so that any rate with up to six decimals is an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    millionths_per_hour: u64,
}

/// Twice the area of one start below a curve of rates: twice an hour in nanoseconds times a million.
pub(in crate::engine) const TWICE_START: u128 = 2 * 3_600_000_000_000 * MILLION as u128;

const MILLION: u64 = 1_000_000;
const MOST_PER_SECOND: u64 = 10_000_000;
/// Units, with the number of each in an hour.
const UNITS: [(&str, u64); 3] = [("s", 3600), ("m", 60), ("h", 1)];

impl Rate {
    /// Maximum rate: ten million starts per second.
    pub const MAX: Self = Self { millionths_per_hour: MOST_PER_SECOND * 3600 * MILLION };
    /// No starts.
    pub const ZERO: Self = Self { millionths_per_hour: 0 };

    /// Creates a rate from its exact unit. Returns `None` above [`MAX`](Self::MAX).
    #[must_use]
    pub fn new(millionths_per_hour: u64) -> Option<Self> {
        Some(Self { millionths_per_hour }).filter(|&rate| rate <= Self::MAX)
    }

    /// Returns the rate in its exact unit, which a [`Curve`] of rates uses.
    #[must_use]
    pub fn millionths_per_hour(self) -> u64 {
        self.millionths_per_hour
    }

    /// Returns the starts per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        per_second(self.millionths_per_hour as f64)
    }

    /// Returns the number of constant arrivals before `t`. The first of them is at 0.
    #[must_use]
    pub fn starts_by(self, t: Duration) -> u64 {
        starts(Curve::constant(self.millionths_per_hour).twice_area(t))
    }
}

/// Converts a value of a curve of rates to starts per second.
pub(super) fn per_second(millionths_per_hour: f64) -> f64 {
    millionths_per_hour / (3600 * MILLION) as f64
}

/// Returns the number of starts due within twice an area below a curve of rates. The first is due as soon as the area
/// is above zero.
pub(in crate::engine) fn starts(twice_area: u128) -> u64 {
    u64::try_from(twice_area.div_ceil(TWICE_START)).unwrap_or(u64::MAX)
}

impl FromStr for Rate {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((number, unit)) = text.split_once('/') else {
            return Err(match millionths(text) {
                Ok(_) => format!("no unit; write `{text}/s`"),
                Err(_) => "expected a number and a unit, as in 500/s, 90/m or 10/h".to_owned(),
            }
            .into());
        };
        let Some(&(_, per_hour)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("`{unit}` is not a unit of a rate; write `{number}/s`, `/m` or `/h`").into());
        };
        let rate = millionths(number)?.checked_mul(per_hour).and_then(Self::new);
        rate.ok_or_else(|| format!("more than {MOST_PER_SECOND}/s").into())
    }
}

/// Parses a decimal number and multiplies it by a million.
fn millionths(text: &str) -> Result<u64, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || (whole.is_empty() && decimals.is_empty()) {
        return Err(format!("`{text}` is not a number of starts; write 500/s, 1.5/s, 90/m or 10/h"));
    }
    if decimals.len() > 6 {
        return Err(format!("`{text}` has more than six decimals"));
    }
    // A number that does not fit is above any limit.
    let digits = format!("{whole}{decimals:0<6}");
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// Uses the first unit of `s`, `m` and `h` in which the rate is exact and at least one.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |per_hour: u64| self.millionths_per_hour.is_multiple_of(per_hour);
        let said = |per_hour: u64| self.millionths_per_hour == 0 || self.millionths_per_hour / per_hour >= MILLION;
        let unit = UNITS.iter().find(|&&(_, per_hour)| exact(per_hour) && said(per_hour));
        let &(name, per_hour) = unit.unwrap_or(&UNITS[2]);
        let millionths = self.millionths_per_hour / per_hour;
        write!(f, "{}", millionths / MILLION)?;
        if !millionths.is_multiple_of(MILLION) {
            let decimals = format!("{:06}", millionths % MILLION);
            write!(f, ".{}", decimals.trim_end_matches('0'))?;
        }
        write!(f, "/{name}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_parsed_and_formatted() {
        for text in ["500/s", "1.5/s", "10/h", "100/m", "0.000001/h", "0/s", "10000000/s", "1.000001/s"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for (text, said) in [("90/m", "1.5/s"), ("3600/h", "1/s"), ("0.5/s", "30/m"), (".5/m", "30/h"), ("5./s", "5/s")]
        {
            assert_eq!(rate(text).to_string(), said);
        }
        assert_eq!(rate("90/m").millionths_per_hour(), 5_400_000_000);
        assert!((rate("90/m").per_second() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn invalid_rate_returns_a_helpful_error() {
        for (wrong, error) in [
            ("500", "no unit; write `500/s`"),
            ("fast", "expected a number and a unit, as in 500/s, 90/m or 10/h"),
            ("500/d", "`d` is not a unit of a rate; write `500/s`, `/m` or `/h`"),
            ("-1/s", "`-1` is not a number of starts; write 500/s, 1.5/s, 90/m or 10/h"),
            ("./s", "`.` is not a number of starts; write 500/s, 1.5/s, 90/m or 10/h"),
            ("1.1234567/s", "`1.1234567` has more than six decimals"),
            ("10000000.000001/s", "more than 10000000/s"),
            ("99999999999999999999999/h", "more than 10000000/s"),
        ] {
            assert_eq!(wrong.parse::<Rate>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn starts_are_counted_exactly() {
        assert_eq!(rate("100/s").starts_by(Duration::from_secs(10)), 1000);
        assert_eq!(rate("100/s").starts_by(Duration::from_nanos(10_000_000_001)), 1001);
        assert_eq!(rate("0.000001/h").starts_by(Duration::from_nanos(1)), 1);
        assert_eq!(Rate::MAX.starts_by(Duration::from_secs(365 * 86400)), 315_360_000_000_000);
        assert_eq!(Rate::ZERO.starts_by(Duration::MAX), 0);
    }

    proptest! {
        #[test]
        fn formatted_rate_is_parsed_back(
            units in prop_oneof![0..=Rate::MAX.millionths_per_hour, (0..=10_000_000u64).prop_map(|n| n * 3600), 0..=10_000u64],
        ) {
            let rate = Rate::new(units).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn garbage_is_an_error(text in "[-+0-9./smhé ]{0,30}|.*") {
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert!(rate <= Rate::MAX);
            }
        }
    }
}
