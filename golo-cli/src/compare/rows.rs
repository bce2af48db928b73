//! The rows of a comparison: a metric of both runs, its change, and whether that is a regression.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::bootstrap::Change;

/// How much worse is no regression, as a share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tolerance(f64);

impl Tolerance {
    /// A share from 0 to 1, or more.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share.is_finite() && share >= 0.0).then_some(Self(share))
    }
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = match text.strip_suffix('%') {
            Some(percents) => (percents.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let share = number.parse().ok().map(|number: f64| number / unit).and_then(Self::new);
        // 5 is more likely to be meant as 5%.
        share.filter(|share| unit > 1.0 || share.0 <= 1.0).ok_or_else(|| "expected a share, as 5% or 0.05".to_owned())
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the noise of a division.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

/// What a metric is measured in, and so how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// So many a second.
    PerSecond,
    /// A share of all requests, from 0 to 1.
    Share,
    /// A duration.
    Nanoseconds,
}

impl Unit {
    /// Whether less of it is better.
    fn is_cost(self) -> bool {
        self != Self::PerSecond
    }
}

/// A metric of both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// As thresholds call it.
    pub metric: &'static str,
    /// What of it: a rate, or a percentile.
    pub stat: &'static str,
    /// The requests that it is of; none where it is of all of them, or of triggers.
    pub route: Option<String>,
    /// What the numbers are.
    pub unit: Unit,
    /// Of the first run, over the seconds that count.
    pub a: Option<f64>,
    /// Of the second run.
    pub b: Option<f64>,
    /// As a share of the first run's; none where it is from nothing, or cannot be told.
    #[serde(serialize_with = "finite")]
    pub change: Option<f64>,
    /// The lower end of its interval.
    #[serde(serialize_with = "finite")]
    pub low: Option<f64>,
    /// The upper end; none also where it is beyond every number.
    #[serde(serialize_with = "finite")]
    pub high: Option<f64>,
    /// Whether the whole interval is worse than the tolerance allows.
    pub regression: bool,
    /// Whether the whole interval is better by more than that.
    pub improvement: bool,
}

impl Row {
    pub(super) fn judged(self, change: Option<Change>, tolerance: Tolerance) -> Self {
        let Some(Change { change, low, high }) = change else { return self };
        let (is_above, is_below) = (low > tolerance.0, high < -tolerance.0);
        let (regression, improvement) = if self.unit.is_cost() { (is_above, is_below) } else { (is_below, is_above) };
        Self { change: Some(change), low: Some(low), high: Some(high), regression, improvement, ..self }
    }

    /// What it is of, in words.
    pub(super) fn name(&self) -> String {
        let of = self.route.as_ref().map_or_else(String::new, |route| format!(" of {route}"));
        format!("{} {}{of}", self.metric, self.stat)
    }
}

fn finite<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.filter(|value| value.is_finite()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, low: f64, high: f64, tolerance: &str) -> Row {
        let row = Row {
            metric: "http_req_duration",
            stat: "p95",
            route: None,
            unit,
            a: Some(1.0),
            b: Some(1.0),
            change: None,
            low: None,
            high: None,
            regression: false,
            improvement: false,
        };
        row.judged(Some(Change { change: f64::midpoint(low, high), low, high }), tolerance.parse().unwrap())
    }

    #[test]
    fn a_regression_is_worse_as_a_whole() {
        for (unit, low, high, expected) in [
            (Unit::Nanoseconds, 0.06, 0.10, (true, false)),
            (Unit::Nanoseconds, 0.04, 0.10, (false, false)),
            (Unit::Nanoseconds, -0.2, -0.1, (false, true)),
            (Unit::PerSecond, -0.2, -0.1, (true, false)),
            (Unit::PerSecond, 0.06, 0.10, (false, true)),
            (Unit::Share, f64::INFINITY, f64::INFINITY, (true, false)),
            (Unit::Share, 0.0, f64::INFINITY, (false, false)),
        ] {
            let row = row(unit, low, high, "5%");
            assert_eq!((row.regression, row.improvement), expected, "{unit:?} {low} {high}");
        }
    }

    #[test]
    fn a_tolerance_is_a_share() {
        for (text, shown) in
            [("5%", "5%"), ("0.05", "5%"), ("0", "0%"), ("150%", "150%"), ("2.5 %", "2.5%"), ("1", "100%")]
        {
            assert_eq!(text.parse::<Tolerance>().unwrap().to_string(), shown);
        }
        for text in ["", "5", "-1%", "five", "%", "nan", "inf%"] {
            assert_eq!(text.parse::<Tolerance>().unwrap_err(), "expected a share, as 5% or 0.05", "{text}");
        }
    }

    #[test]
    fn what_is_beyond_every_number_is_none_in_json() {
        let row = row(Unit::Share, 0.0, f64::INFINITY, "5%");
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(
            (&json["low"], &json["high"], &json["unit"]),
            (&0.0.into(), &serde_json::Value::Null, &"share".into())
        );
    }
}
