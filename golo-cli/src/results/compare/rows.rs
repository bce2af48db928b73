//! Rows of a comparison: a metric of both runs, its change, and whether that is a regression.

use std::{borrow::Cow, fmt, str::FromStr};

use golo::report::clean;
use serde::Serialize;

use super::bootstrap::Change;
use crate::support::failure::Failure;

/// An increase of the failure rate by at most this share, 0.1 percentage points, is never a regression.
pub(super) const RARE: f64 = 0.001;

/// Metrics that are judged.
const JUDGED: [&str; 5] = ["http_reqs", "http_req_failed", "http_req_duration", "iterations", "group_duration"];

/// Regression tolerance, as a share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Tolerance(f64);

impl Tolerance {
    /// The tolerance unless another is asked for: 10 %.
    pub const USUAL: Self = Self(0.1);

    /// Creates a tolerance. Returns `None` if the share is negative or not finite.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (share.is_finite() && share >= 0.0).then_some(Self(share))
    }

    /// Returns the share.
    #[must_use]
    pub fn share(self) -> f64 {
        self.0
    }
}

impl FromStr for Tolerance {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let (number, unit) = match text.strip_suffix('%') {
            Some(percents) => (percents.trim_end(), 100.0),
            None => (text, 1.0),
        };
        let share = number.parse().ok().map(|number: f64| number / unit).and_then(Self::new);
        // `5` most likely means 5 %.
        share
            .filter(|share| unit > 1.0 || share.0 <= 1.0)
            .ok_or_else(|| "expected a share, for example 5% or 0.05".into())
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, because the division adds floating-point noise.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

/// Unit of a metric; determines the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Number per second.
    PerSecond,
    /// Share of all requests, from 0 to 1.
    Share,
    /// A duration.
    Nanoseconds,
    /// Number without a unit.
    Number,
}

impl Unit {
    /// True if smaller values are better.
    fn is_cost(self) -> bool {
        self != Self::PerSecond
    }
}

/// A metric of both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name of the metric in thresholds. Metrics of the load test's own are never judged, because it is unknown which
    /// direction is better.
    pub metric: Cow<'static, str>,
    /// Statistic: a rate or a percentile.
    pub stat: &'static str,
    /// Route of the requests; `None` for all requests and for triggers.
    pub route: Option<String>,
    /// Key of the triggers' tags, or `KEY:VALUE`; `group:NAME` for a group. Tags of triggers are never judged, because
    /// it is unknown which direction is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Unit of the values.
    pub unit: Unit,
    /// Value of the first run, over the counted seconds.
    pub a: Option<f64>,
    /// Value of the second run.
    pub b: Option<f64>,
    /// Change as a share of the first run's value; `None` in JSON if it is infinite, and if it is unknown.
    #[serde(serialize_with = "finite")]
    pub change: Option<f64>,
    /// Lower end of the change's interval.
    #[serde(serialize_with = "finite")]
    pub low: Option<f64>,
    /// Upper end of the interval; `None` in JSON also if it is infinite.
    #[serde(serialize_with = "finite")]
    pub high: Option<f64>,
    /// Result of the interval; `None` if the runs are too short to judge.
    pub outcome: Option<Shown>,
    /// True if the comparison can show no regression only if this row shows none.
    pub decides: bool,
    /// Confidence of the interval.
    pub confidence: f64,
    /// True if the whole interval is worse than the tolerance allows.
    pub regression: bool,
    /// True if the whole interval is better by more than the tolerance.
    pub improvement: bool,
    /// Distance to a clear result, if the row is too noisy.
    #[serde(skip)]
    pub(super) noise: Option<Noise>,
}

/// Result of a row's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The harmful end is within the tolerance.
    NoRegression,
    /// The whole interval is past the tolerance.
    Regression,
    /// The interval contains the tolerance.
    TooNoisy,
}

/// An interval measured in the harmful direction: 0.05 is 5 % worse.
#[derive(Debug, Clone, Copy)]
struct Harm {
    best: f64,
    measured: f64,
    worst: f64,
}

/// Distance of a noisy row to a clear result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    /// Harmful end of the interval.
    pub(super) worst: f64,
    /// Factor by which the runs would have to be longer; infinite if no length is enough.
    pub(super) times: f64,
}

impl Row {
    pub(super) fn judged(self, change: Option<Change>, tolerance: Tolerance) -> Self {
        let Some(found) = change else {
            if !self.has_direction() {
                return self;
            }
            // One run has values and the other has too few.
            let noise = Noise { worst: f64::INFINITY, times: f64::INFINITY };
            return Self { outcome: Some(Shown::TooNoisy), noise: Some(noise), ..self };
        };
        let Change { change, low, high, most_more, .. } = found;
        if !self.has_direction() {
            // Never judged: which direction is better is unknown.
            return Self { change: Some(found.change), low: Some(found.low), high: Some(found.high), ..self };
        }
        let harm = match self.unit.is_cost() {
            true => Harm { best: low, measured: change, worst: high },
            false => Harm { best: -high, measured: -change, worst: -low },
        };
        let is_rare = self.unit == Unit::Share && most_more <= RARE;
        let outcome = match () {
            () if harm.best > tolerance.0 => Shown::Regression,
            () if harm.worst <= tolerance.0 || is_rare => Shown::NoRegression,
            () => Shown::TooNoisy,
        };
        let rare = (self.unit == Unit::Share).then_some(found);
        let noise = (outcome == Shown::TooNoisy).then(|| Noise {
            worst: harm.worst,
            times: harm.times(tolerance).min(rare.map_or(f64::INFINITY, times_rare)),
        });
        Self {
            change: Some(change),
            low: Some(low),
            high: Some(high),
            outcome: Some(outcome),
            regression: outcome == Shown::Regression,
            improvement: harm.worst < -tolerance.0,
            noise,
            ..self
        }
    }

    /// Returns true if it is known which direction is better. It is for metrics of golo's own.
    fn has_direction(&self) -> bool {
        JUDGED.contains(&&*self.metric)
    }

    /// Returns the full name of the row.
    pub(super) fn name(&self) -> String {
        if let Some(tag) = &self.tag {
            return format!("{}{{{}}} {}", self.metric, clean(tag), self.stat);
        }
        let of = self.route.as_ref().map_or_else(String::new, |route| format!(" of {route}"));
        format!("{} {}{of}", self.metric, self.stat)
    }
}

impl Harm {
    /// Estimates the factor by which the runs would have to be longer for the interval to lie entirely on one side of
    /// the tolerance. The interval's width shrinks with the square root of the time.
    fn times(self, Tolerance(tolerance): Tolerance) -> f64 {
        let Self { best, measured, worst } = self;
        let (width, gap) = match measured <= tolerance {
            true => (worst - measured, tolerance - measured),
            false => (measured - best, measured - tolerance),
        };
        times(width, gap)
    }
}

/// Estimates the factor after which an increase of failures is known to be below [`RARE`].
fn times_rare(Change { difference, most_more, .. }: Change) -> f64 {
    times(most_more - difference, RARE - difference)
}

/// Returns the factor by which runs have to be longer for a width to shrink to `gap`; infinite if it cannot.
fn times(width: f64, gap: f64) -> f64 {
    let times = (width / gap).powi(2);
    if gap > 0.0 && times.is_finite() { times } else { f64::INFINITY }
}

fn finite<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    value.filter(|value| value.is_finite()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, low: f64, high: f64, tolerance: &str) -> Row {
        let row = Row {
            metric: "http_req_duration".into(),
            stat: "p95",
            route: None,
            tag: None,
            unit,
            a: Some(1.0),
            b: Some(1.0),
            change: None,
            low: None,
            high: None,
            outcome: None,
            decides: true,
            confidence: 0.95,
            regression: false,
            improvement: false,
            noise: None,
        };
        let (change, difference) = (f64::midpoint(low, high), f64::midpoint(low, high));
        row.judged(Some(Change { change, low, high, difference, most_more: high }), tolerance.parse().unwrap())
    }

    #[test]
    fn row_is_judged_by_interval_and_tolerance() {
        use Shown::{NoRegression, Regression, TooNoisy};
        for (unit, low, high, expected) in [
            (Unit::Nanoseconds, 0.06, 0.10, (Regression, false)),
            (Unit::Nanoseconds, 0.04, 0.10, (TooNoisy, false)),
            (Unit::Nanoseconds, -0.88, 4.12, (TooNoisy, false)),
            (Unit::Nanoseconds, -0.88, 0.05, (NoRegression, false)),
            (Unit::Nanoseconds, -0.2, -0.1, (NoRegression, true)),
            (Unit::PerSecond, -0.2, -0.1, (Regression, false)),
            (Unit::PerSecond, -0.2, 0.1, (TooNoisy, false)),
            (Unit::PerSecond, -0.05, 0.5, (NoRegression, false)),
            (Unit::PerSecond, 0.06, 0.10, (NoRegression, true)),
            (Unit::Share, f64::INFINITY, f64::INFINITY, (Regression, false)),
            (Unit::Share, 0.0, f64::INFINITY, (TooNoisy, false)),
        ] {
            let row = row(unit, low, high, "5%");
            assert_eq!((row.outcome, row.improvement), (Some(expected.0), expected.1), "{unit:?} {low} {high}");
            assert_eq!(row.regression, expected.0 == Regression);
            assert_eq!(row.noise.is_some(), expected.0 == TooNoisy);
        }
    }

    #[test]
    fn rare_failures_are_no_regression() {
        let row = |change, difference, most_more| {
            let row = row(Unit::Share, 0.0, 1.0, "5%");
            row.judged(Some(Change { change, low: 0.0, high: f64::INFINITY, difference, most_more }), Tolerance(0.05))
        };
        assert_eq!(row(1.0, 0.0002, 0.0009).outcome, Some(Shown::NoRegression));
        let noisy = row(0.02, 0.0002, 0.0018);
        assert_eq!(noisy.outcome, Some(Shown::TooNoisy));
        let times = noisy.noise.unwrap().times;
        assert!((times - 4.0).abs() < 1e-9, "the half of an interval that is twice too wide: {times}");
        assert_eq!(row(f64::INFINITY, 0.002, 0.003).noise.unwrap().times, f64::INFINITY, "from nothing, and not rare");
    }

    #[test]
    fn required_length_grows_with_square_of_width() {
        let times = |low, high| row(Unit::Nanoseconds, low, high, "5%").noise.unwrap().times;
        assert!((times(-0.1, 0.1) - 4.0).abs() < 1e-9, "{}", times(-0.1, 0.1));
        assert!(
            (times(0.02, 0.18) - (0.08_f64 / 0.05).powi(2)).abs() < 1e-9,
            "past it in the middle: {}",
            times(0.02, 0.18)
        );
        assert_eq!(times(-0.1, 0.2), f64::INFINITY, "the middle is the tolerance");
        let unknown = row(Unit::Nanoseconds, 0.0, 1.0, "5%").judged(None, Tolerance(0.05));
        assert_eq!((unknown.outcome, unknown.noise.unwrap().times), (Some(Shown::TooNoisy), f64::INFINITY));
    }

    #[test]
    fn tolerance_parses_percent_and_share() {
        for (text, shown) in
            [("5%", "5%"), ("0.05", "5%"), ("0", "0%"), ("150%", "150%"), ("2.5 %", "2.5%"), ("1", "100%")]
        {
            assert_eq!(text.parse::<Tolerance>().unwrap().to_string(), shown);
        }
        for text in ["", "5", "-1%", "five", "%", "nan", "inf%"] {
            assert_eq!(
                text.parse::<Tolerance>().unwrap_err().to_string(),
                "expected a share, for example 5% or 0.05",
                "{text}"
            );
        }
    }

    #[test]
    fn infinite_value_is_null_in_json() {
        let row = row(Unit::Share, 0.0, f64::INFINITY, "5%");
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(
            (&json["low"], &json["high"], &json["unit"]),
            (&0.0.into(), &serde_json::Value::Null, &"share".into())
        );
    }
}
