//! The metrics of a run, as all receivers get them: names, labels and values, independent of a protocol.
//!
//! Names have no unit and no suffix. Each protocol adds what is customary: Prometheus `golo_http_requests_total`, OTLP
//! `golo.http.requests`.

mod measured;

use std::borrow::Cow;

use golo::engine::histogram::Histogram;
use golo::engine::series::Label;

use super::frame::Frame;

/// Percentiles of trends, which have no histogram with fixed buckets.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
/// Beginning of the names of a load test's own metrics.
pub const OWN: &str = "golo_own_";
/// Nanoseconds in a second.
const NANOSECONDS: f64 = 1e9;
/// Names of golo's labels. A tag of the load test with such a name becomes `tag_NAME`. golo itself sets the tags `scenario`
/// and `group`.
const OURS: [&str; 17] = [
    "agent", "check", "instance", "job", "kind", "le", "method", "origin", "outcome", "phase", "quantile", "reason",
    "result", "route", "run", "status", "step",
];

/// Value of a tag whose value is empty. To some receivers an empty label is none, so that two series would become one.
const EMPTY: &str = "(empty)";

/// Names and values of labels, sorted by name. Names have letters, digits and `_` only.
pub type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A metric with its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family<'a> {
    /// Name without unit and suffix, such as `golo_http_requests`.
    pub name: Cow<'static, str>,
    /// One sentence.
    pub help: &'static str,
    /// Unit of the values.
    pub unit: Unit,
    /// Kind of the values.
    pub kind: Kind,
    /// Values with their labels, sorted by label.
    pub series: Vec<(Labels<'a>, Value<'a>)>,
}

/// Unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of durations.
    Histogram,
    /// A distribution of any numbers, as [`QUANTILES`].
    Summary,
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A count.
    Count(u64),
    /// A number.
    Number(f64),
    /// Durations in nanoseconds.
    Histogram(Cow<'a, Histogram>),
    /// Count, sum and [`QUANTILES`] of numbers.
    Summary {
        /// Number of values.
        count: u64,
        /// Sum of the values.
        sum: f64,
        /// The quantiles, in the order of [`QUANTILES`]. None if there are no values.
        quantiles: Vec<f64>,
    },
}

impl Value<'_> {
    /// Adds the value of another series. Of summaries the quantiles of the larger one stay, since they cannot be added.
    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(sum), Self::Count(more)) => *sum = sum.saturating_add(*more),
            (Self::Number(sum), Self::Number(more)) => *sum += more,
            (Self::Histogram(all), Self::Histogram(more)) => all.to_mut().merge(more),
            (
                Self::Summary { count, sum, quantiles },
                Self::Summary { count: more, sum: more_sum, quantiles: other_quantiles },
            ) => {
                if more > count {
                    quantiles.clone_from(other_quantiles);
                }
                *count = count.saturating_add(*more);
                *sum += more_sum;
            }
            _ => {}
        }
    }
}

/// Part of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Since the start of the run.
    Totals,
    /// Since the frame before.
    Second,
}

/// Makes the metrics of a frame, sorted by name, for [`Frame::families`].
pub(super) fn families<'a>(frame: &Frame<'a>, extent: Extent) -> Vec<Family<'a>> {
    let snapshot = match extent {
        Extent::Totals => frame.totals,
        Extent::Second => frame.second,
    };
    let mut families = measured::requests(snapshot);
    families.extend(measured::triggers(snapshot));
    families.extend(measured::generator(frame, snapshot));
    families.extend(measured::own(snapshot));
    families.retain(|family| !family.series.is_empty());
    let mut families = unique(families);
    for family in &mut families {
        family.series = joined(std::mem::take(&mut family.series));
    }
    families
}

/// Sorts families by name, and joins those of the same name: metrics of the load test whose names differ in a sign only.
/// One of another kind gets another name.
fn unique(mut families: Vec<Family<'_>>) -> Vec<Family<'_>> {
    families.sort_by(|one, other| (&one.name, one.kind).cmp(&(&other.name, other.kind)));
    let mut unique: Vec<Family<'_>> = Vec::new();
    for mut family in families {
        match unique.last_mut().filter(|last| last.name == family.name) {
            Some(last) if last.kind == family.kind => last.series.append(&mut family.series),
            Some(_) => {
                family.name = format!("{}_{:?}", family.name, family.kind).to_lowercase().into();
                unique.push(family);
            }
            None => unique.push(family),
        }
    }
    unique
}

/// Sorts series by label, and joins those with equal labels: requests that failed for different reasons, and tags that differ
/// in a sign only. A receiver would keep one of them.
fn joined<'a>(mut series: Vec<(Labels<'a>, Value<'a>)>) -> Vec<(Labels<'a>, Value<'a>)> {
    // To some receivers a label without a value is no label.
    series.iter_mut().for_each(|(labels, _)| labels.retain(|(_, value)| !value.is_empty()));
    series.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut joined: Vec<(Labels<'a>, Value<'a>)> = Vec::with_capacity(series.len());
    for (labels, value) in series {
        match joined.last_mut() {
            Some((last, known)) if *last == labels => known.add(&value),
            _ => joined.push((labels, value)),
        }
    }
    joined
}

/// Creates a metric of golo.
fn family<'a>(
    name: &'static str,
    kind: Kind,
    unit: Unit,
    help: &'static str,
    series: Vec<(Labels<'a>, Value<'a>)>,
) -> Family<'a> {
    Family { name: name.into(), help, unit, kind, series }
}

/// Returns a sum of nanoseconds in seconds.
#[must_use]
pub fn seconds(nanoseconds: u128) -> f64 {
    nanoseconds as f64 / NANOSECONDS
}

/// Returns true if this is the name of one of golo's labels, which no tag of the load test has.
#[must_use]
pub fn is_golos(name: &str) -> bool {
    OURS.contains(&name)
}

/// Returns method, origin and route.
fn of_route(label: &Label) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
    let pairs = [("method", &label.method), ("origin", &label.origin), ("route", &label.route)];
    pairs.into_iter().map(|(name, value)| (name, Cow::Borrowed(&**value)))
}

/// Returns the tags of a series of requests as labels.
#[must_use]
pub fn tags(label: &Label) -> Labels<'_> {
    tagged(std::iter::empty(), label.tags.iter())
}

/// Returns the labels of a series of requests: golo's, and the tags of the load test.
fn labels<'a>(ours: impl Iterator<Item = (&'static str, Cow<'a, str>)>, label: &'a Label) -> Labels<'a> {
    tagged(ours, label.tags.iter())
}

fn pairs<'a>(ours: impl IntoIterator<Item = (&'static str, &'a str)>) -> Labels<'a> {
    tagged(ours.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))), std::iter::empty())
}

fn tagged<'a>(
    ours: impl Iterator<Item = (&'static str, Cow<'a, str>)>,
    tags: impl Iterator<Item = (&'a str, &'a str)>,
) -> Labels<'a> {
    let mut labels: Labels<'a> = ours.map(|(name, value)| (name.into(), value)).collect();
    for (key, value) in tags {
        let name = plain(key);
        // The tag `group` is golo's too.
        let is_taken = is_golos(&name) && key != "group";
        let name = if is_taken { Cow::Owned(format!("tag_{name}")) } else { name };
        // Two keys that differ in a sign only, such as `a-b` and `a.b`, have the same name.
        let mut unique = name.clone();
        let mut number = 2;
        while labels.iter().any(|(known, _)| *known == unique) {
            unique = Cow::Owned(format!("{name}_{number}"));
            number += 1;
        }
        labels.push((unique, if value.is_empty() { EMPTY } else { value }.into()));
    }
    labels.sort();
    labels
}

/// Returns a name with `_` in place of everything but letters, digits and `_`, and with a letter or `_` first.
pub fn plain(name: &str) -> Cow<'_, str> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_with_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !name.is_empty() && !begins_with_digit && name.chars().all(is_fine) {
        return Cow::Borrowed(name);
    }
    let first = if begins_with_digit || name.is_empty() { "_" } else { "" };
    let rest = name.chars().map(|c| if is_fine(c) { c } else { '_' });
    Cow::Owned(first.chars().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_with_the_same_name_are_one_or_get_another_name() {
        let family = |kind, count| family("a", kind, Unit::None, "", vec![(Vec::new(), Value::Count(count))]);
        let unique = unique(vec![family(Kind::Gauge, 1), family(Kind::Counter, 2), family(Kind::Counter, 3)]);
        let shown: Vec<_> = unique.into_iter().map(|family| (family.name, joined(family.series))).collect();
        let series = |count| vec![(Vec::new(), Value::Count(count))];
        assert_eq!(shown, [("a".into(), series(5)), ("a_gauge".into(), series(1))]);
    }

    #[test]
    fn names_of_labels_are_plain_and_unique() {
        let tags = [
            ("a-b", "1"),
            ("a.b", "2"),
            ("route", "3"),
            ("9", "4"),
            ("", "5"),
            ("status", "6"),
            ("group", "7"),
            ("z", ""),
        ];
        let labels = tagged([("route", "/".into())].into_iter(), tags.into_iter());
        let text: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected =
            ["_=5", "_9=4", "a_b=1", "a_b_2=2", "group=7", "route=/", "tag_route=3", "tag_status=6", "z=(empty)"];
        assert_eq!(text, expected);
    }
}
