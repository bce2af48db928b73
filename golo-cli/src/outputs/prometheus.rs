//! What the two Prometheus outputs share: names, samples, and native histograms.

use super::buckets::{BOUNDS, Exponential, classic};
use super::families::{Family, Kind, Labels, QUANTILES, Unit, Value, seconds};
use super::frame::RunLabels;

/// Schema of native histograms: neighbouring bounds have the ratio 2^(1/32), so a percentile is off by at most 2.2 %.
pub const SCHEMA: u8 = 5;

/// Returns the name with its unit, and `_total` if it is a counter.
#[must_use]
pub fn name(family: &Family<'_>) -> String {
    let unit = match family.unit {
        Unit::None => "",
        Unit::Seconds => "_seconds",
        Unit::Bytes => "_bytes",
    };
    let total = if family.kind == Kind::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", family.name)
}

/// Returns the labels of a series and of its run, sorted by name.
#[must_use]
pub fn labels<'a>(run: &'a RunLabels, labels: &'a Labels<'_>) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<(&str, &str)> = run.pairs().collect();
    all.extend(labels.iter().map(|(name, value)| (&**name, &**value)));
    all.sort_unstable();
    all
}

/// One number of a series, with what its name and its labels get in addition.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// `_bucket`, `_sum`, `_count`, or nothing.
    pub suffix: &'static str,
    /// A further label, `le` or `quantile`.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: f64,
    /// True if the number only grows.
    pub is_counter: bool,
}

/// Calls `each` for all samples of a series, with classic buckets for a histogram.
pub fn samples(kind: Kind, value: &Value<'_>, mut each: impl FnMut(Sample)) {
    let mut sample = |suffix, label, value, is_counter| each(Sample { suffix, label, value, is_counter });
    match value {
        Value::Count(count) => sample("", None, *count as f64, kind == Kind::Counter),
        Value::Number(number) => sample("", None, *number, kind == Kind::Counter),
        Value::Histogram(histogram) => {
            for (bound, count) in BOUNDS.iter().zip(classic(histogram)) {
                sample("_bucket", Some(("le", seconds((*bound).into()).to_string())), count as f64, true);
            }
            sample("_bucket", Some(("le", "+Inf".to_owned())), histogram.count() as f64, true);
            sample("_sum", None, seconds(histogram.sum()), true);
            sample("_count", None, histogram.count() as f64, true);
        }
        Value::Summary { count, sum, quantiles } => {
            for (quantile, number) in QUANTILES.iter().zip(quantiles) {
                sample("", Some(("quantile", quantile.to_string())), *number, false);
            }
            sample("_sum", None, *sum, false);
            sample("_count", None, *count as f64, true);
        }
    }
}

/// Spans and differences of a native histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Native {
    /// For each run of neighbouring buckets: the gap before it, and its length. The gap of the first is its index.
    pub spans: Vec<(i32, u32)>,
    /// The count of each bucket, as the difference to the one before.
    pub deltas: Vec<i64>,
}

impl From<&Exponential> for Native {
    fn from(exponential: &Exponential) -> Self {
        let mut native = Self::default();
        let (mut next, mut before) = (0, 0);
        for (index, count) in &exponential.buckets {
            // Native histograms name a bucket by its upper bound.
            let index = index + 1;
            match native.spans.last_mut() {
                Some((_, length)) if index == next => *length += 1,
                _ => native.spans.push((index - next, 1)),
            }
            next = index + 1;
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            native.deltas.push(count - before);
            before = count;
        }
        native
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_histogram_has_a_span_for_each_run_of_buckets() {
        let exponential = Exponential { zeros: 0, buckets: vec![(-5, 2), (-4, 5), (0, 1)] };
        let native = Native::from(&exponential);
        assert_eq!((native.spans, native.deltas), (vec![(-4, 2), (3, 1)], vec![2, 3, -4]));
        assert_eq!(Native::from(&Exponential::default()), Native::default());
    }
}
