//! The metrics of a run, as all receivers get them: names, labels and values, independent of a protocol.
//!
//! Names have no unit and no suffix. Each protocol adds what is customary: Prometheus `golo_http_requests_total`, OTLP
//! `golo.http.requests`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use golo::engine::histogram::Histogram;
use golo::engine::metrics::Value as OwnValue;
use golo::engine::phases::Phase;
use golo::engine::series::{Label, Outcome};
use golo::engine::snapshot::{Measure, Snapshot, Triggers};

use super::frame::Frame;

/// Percentiles of trends, which have no histogram with fixed buckets.
pub const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];
/// What the name of a load test's own metric begins with.
pub const OWN: &str = "golo_own_";
/// Nanoseconds in a second.
const NANOSECONDS: f64 = 1e9;
/// Names of labels that golo gives. A tag of the load test with such a name becomes `tag_NAME`. The tags `scenario` and
/// `group` are golo's own.
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

/// Returns the metrics of a frame, sorted by name. Metrics without any series are left out.
#[must_use]
pub fn families<'a>(frame: &Frame<'a>, extent: Extent) -> Vec<Family<'a>> {
    let snapshot = match extent {
        Extent::Totals => frame.totals,
        Extent::Second => frame.second,
    };
    let mut families = requests(snapshot);
    families.extend(triggers(snapshot));
    families.extend(generator(frame, snapshot));
    families.extend(own(snapshot));
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

/// Sums of all requests with the same label.
#[derive(Default)]
struct Route<'a> {
    /// Durations by the word of their outcome.
    durations: BTreeMap<&'static str, Cow<'a, Histogram>>,
    /// Time of each phase, in nanoseconds, in the order of [`Phase::ALL`].
    phases: [u128; Phase::ALL.len()],
    received: u64,
    sent: u64,
}

impl<'a> Route<'a> {
    fn add(&mut self, outcome: Outcome, measure: &'a Measure) {
        let word = word(outcome);
        if outcome != Outcome::Interrupted {
            match self.durations.get_mut(word) {
                Some(known) => known.to_mut().merge(&measure.durations),
                None => _ = self.durations.insert(word, Cow::Borrowed(&measure.durations)),
            }
        }
        for (sum, phase) in self.phases.iter_mut().zip(Phase::ALL) {
            *sum += measure.phases.as_ref().map_or(0, |phases| phases.recorded(phase).sum());
        }
        self.received = self.received.saturating_add(measure.received);
        self.sent = self.sent.saturating_add(measure.sent);
    }
}

/// Returns how a request ended, in a word.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Interrupted => "interrupted",
        outcome if outcome.is_failed() => "failed",
        _ => "ok",
    }
}

fn requests(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let mut routes: BTreeMap<&Label, Route<'_>> = BTreeMap::new();
    let mut counts = Vec::new();
    let mut steps: BTreeMap<&Label, Route<'_>> = BTreeMap::new();
    for (series, measure) in &snapshot.requests {
        let label = &*series.label;
        if series.is_step() {
            steps.entry(label).or_default().add(series.outcome, measure);
            continue;
        }
        let status = series.outcome.status().map_or_else(|| "0".to_owned(), |status| status.to_string());
        let outcome = [("outcome", word(series.outcome).into()), ("status", Cow::Owned(status))];
        counts.push((labels(of_route(label).chain(outcome), label), Value::Count(measure.durations.count())));
        routes.entry(label).or_default().add(series.outcome, measure);
    }
    let (mut durations, mut phases, mut received, mut sent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (label, mut route) in routes {
        for (outcome, histogram) in std::mem::take(&mut route.durations) {
            let outcome = [("outcome", outcome.into())];
            durations.push((labels(of_route(label).chain(outcome), label), Value::Histogram(histogram)));
        }
        for (phase, sum) in Phase::ALL.into_iter().zip(route.phases) {
            let phase = [("phase", phase.name().into())];
            phases.push((labels(of_route(label).chain(phase), label), Value::Number(seconds(sum))));
        }
        received.push((labels(of_route(label), label), Value::Count(route.received)));
        sent.push((labels(of_route(label), label), Value::Count(route.sent)));
    }
    let mut of_steps = Vec::new();
    for (label, route) in steps {
        for (outcome, histogram) in route.durations {
            let step = [("outcome", outcome.into()), ("step", Cow::Borrowed(&*label.route))];
            of_steps.push((labels(step.into_iter(), label), Value::Histogram(histogram)));
        }
    }
    vec![
        family("golo_http_requests", Kind::Counter, Unit::None, "HTTP requests that ended.", counts),
        family(
            "golo_http_request_duration",
            Kind::Histogram,
            Unit::Seconds,
            "Time from sending a request to the last byte of its response.",
            durations,
        ),
        family(
            "golo_http_request_phase",
            Kind::Counter,
            Unit::Seconds,
            "Sum of the time that requests spent in a phase.",
            phases,
        ),
        family("golo_http_received", Kind::Counter, Unit::Bytes, "Bytes of response bodies.", received),
        family("golo_http_sent", Kind::Counter, Unit::Bytes, "Bytes of request bodies.", sent),
        family("golo_step_duration", Kind::Histogram, Unit::Seconds, "Duration of measured steps.", of_steps),
    ]
}

fn triggers(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let all = &snapshot.triggers;
    let by_scenario: Vec<(Option<&str>, &Triggers)> = match snapshot.scenarios.is_empty() {
        // Before the first trigger it is not known here if the load test has scenarios.
        true if all.done == 0 && all.interrupted == 0 => Vec::new(),
        true => vec![(None, all)],
        false => snapshot.scenarios.iter().map(|(name, triggers)| (Some(&**name), triggers)).collect(),
    };
    let (mut ended, mut service, mut response) = (Vec::new(), Vec::new(), Vec::new());
    for (scenario, triggers) in by_scenario {
        let with = |more: &[(&'static str, &'static str)]| {
            let scenario = scenario.map(|name| ("scenario", name));
            pairs(scenario.into_iter().chain(more.iter().copied()))
        };
        for (outcome, count) in [
            ("ok", triggers.done.saturating_sub(triggers.failed)),
            ("failed", triggers.failed),
            ("interrupted", triggers.interrupted),
        ] {
            ended.push((with(&[("outcome", outcome)]), Value::Count(count)));
        }
        service.push((with(&[]), Value::Histogram(Cow::Borrowed(&triggers.service))));
        response.push((with(&[]), Value::Histogram(Cow::Borrowed(&triggers.response))));
    }
    let dropped = [("busy", all.dropped_busy), ("unready", all.dropped_unready), ("stopped", all.dropped_stopped)];
    let dropped = dropped.map(|(reason, count)| (pairs([("reason", reason)]), Value::Count(count)));
    vec![
        family("golo_triggers", Kind::Counter, Unit::None, "Triggers that ended.", ended),
        family(
            "golo_triggers_due",
            Kind::Counter,
            Unit::None,
            "Starts that the plan asked for.",
            vec![(Vec::new(), Value::Count(all.due))],
        ),
        family("golo_triggers_dropped", Kind::Counter, Unit::None, "Starts that did not happen.", dropped.into()),
        family(
            "golo_trigger_duration",
            Kind::Histogram,
            Unit::Seconds,
            "Time from the start of a trigger to its end, without think time.",
            service,
        ),
        family(
            "golo_trigger_response",
            Kind::Histogram,
            Unit::Seconds,
            "Time from when a trigger was due to its end, without think time.",
            response,
        ),
    ]
}

fn generator<'a>(frame: &Frame<'a>, snapshot: &'a Snapshot) -> Vec<Family<'a>> {
    let single = |value| vec![(Vec::new(), value)];
    let checks = snapshot.checks.iter().flat_map(|(name, check)| {
        [("failed", check.failed), ("passed", check.passed)]
            .map(|(result, count)| (pairs([("check", &**name), ("result", result)]), Value::Count(count)))
    });
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, _, seen) in snapshot.errors.by_count() {
        *kinds.entry(kind.to_string()).or_default() += seen.count;
    }
    let errors = kinds.into_iter().map(|(kind, count)| (vec![("kind".into(), kind.into())], Value::Count(count)));
    let generator = &frame.second.generator;
    vec![
        family(
            "golo_users",
            Kind::Gauge,
            Unit::None,
            "Users; in the open model, triggers in flight.",
            single(Value::Count(frame.users)),
        ),
        family(
            "golo_connections",
            Kind::Gauge,
            Unit::None,
            "Most connections that were open at once in the last second.",
            single(Value::Count(frame.connections)),
        ),
        family(
            "golo_connections_opened",
            Kind::Counter,
            Unit::None,
            "Connections that were opened.",
            single(Value::Count(snapshot.connections.opened())),
        ),
        family("golo_checks", Kind::Counter, Unit::None, "Results of checks.", checks.collect()),
        family("golo_errors", Kind::Counter, Unit::None, "Errors of requests and triggers by kind.", errors.collect()),
        family(
            "golo_generator_busy",
            Kind::Gauge,
            Unit::None,
            "Share of the last second in which the worker threads were busy, from 0 to 1.",
            single(Value::Number(generator.busy_share())),
        ),
        family(
            "golo_generator_lag",
            Kind::Histogram,
            Unit::Seconds,
            "Delay of starts that golo itself caused.",
            single(Value::Histogram(Cow::Borrowed(&snapshot.generator.lag))),
        ),
    ]
}

/// Returns the load test's own metrics and the durations of groups.
fn own(snapshot: &Snapshot) -> Vec<Family<'_>> {
    let mut families = Vec::new();
    for (name, metric) in snapshot.metrics.iter() {
        let mut family = Family {
            name: format!("{OWN}{}", plain(name)).into(),
            help: "A metric of the load test.",
            unit: Unit::None,
            kind: Kind::Counter,
            series: Vec::new(),
        };
        for (tags, value) in metric.all() {
            let tags = || tags.into_iter().flat_map(|tags| tags.iter());
            let with =
                |more: &[(&'static str, &'static str)]| tagged(more.iter().map(|(k, v)| (*k, (*v).into())), tags());
            match value {
                OwnValue::Counter(sum) => family.series.push((with(&[]), Value::Number(sum.sum()))),
                OwnValue::Gauge(level) => {
                    family.kind = Kind::Gauge;
                    family.series.push((with(&[]), Value::Number(level.last)));
                }
                OwnValue::Rate(share) => {
                    let no = share.of.saturating_sub(share.part);
                    family.series.push((with(&[("result", "true")]), Value::Count(share.part)));
                    family.series.push((with(&[("result", "false")]), Value::Count(no)));
                }
                OwnValue::Trend(numbers) => {
                    family.kind = Kind::Summary;
                    let quantiles = numbers.quantiles(&QUANTILES).into_iter().flatten().collect();
                    let value = Value::Summary { count: numbers.count(), sum: numbers.sum(), quantiles };
                    family.series.push((with(&[]), value));
                }
                OwnValue::Group(group) => {
                    (family.name, family.kind, family.unit) =
                        ("golo_group_duration".into(), Kind::Histogram, Unit::Seconds);
                    family.help = "Duration of groups.";
                    let name = tags().find(|(key, _)| *key == "group").map_or("", |(_, name)| name);
                    let rest = tags().filter(|(key, _)| *key != "group");
                    let labels = tagged([("group", name.into())].into_iter(), rest);
                    family.series.push((labels, Value::Histogram(Cow::Borrowed(&group.durations))));
                }
            }
        }
        families.push(family);
    }
    families
}

/// Returns a sum of nanoseconds in seconds.
#[must_use]
pub fn seconds(nanoseconds: u128) -> f64 {
    nanoseconds as f64 / NANOSECONDS
}

/// Returns true if golo gives a label of this name. A tag of the load test never has it.
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
    use golo::engine::errors::ErrorKind;
    use golo::engine::series::Series;

    use super::*;

    #[test]
    fn requests_that_failed_for_different_reasons_are_one_series() {
        let mut snapshot = Snapshot::default();
        let label = std::sync::Arc::new(Label::new("", "/a", "GET"));
        for (kind, count) in [(ErrorKind::Reset, 2), (ErrorKind::Body, 3)] {
            let mut measure = Measure::default();
            measure.durations.record_n(7, count);
            let series = Series { label: std::sync::Arc::clone(&label), outcome: Outcome::Failed(kind) };
            snapshot.requests.insert(series, measure);
        }
        let families = requests(&snapshot);
        let of_requests = families.into_iter().find(|family| family.name == "golo_http_requests").unwrap();
        let joined = joined(of_requests.series);
        let text = |labels: &Labels<'_>| {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            labels.join(" ")
        };
        let shown: Vec<_> = joined.iter().map(|(labels, value)| (text(labels), value.clone())).collect();
        assert_eq!(shown, [("method=GET outcome=failed route=/a status=0".to_owned(), Value::Count(5))]);
    }

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
