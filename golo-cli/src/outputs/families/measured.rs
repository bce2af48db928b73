//! The measurements of a run as metrics.

use std::borrow::Cow;
use std::collections::BTreeMap;

use golo::engine::histogram::Histogram;
use golo::engine::metrics::Value as OwnValue;
use golo::engine::phases::Phase;
use golo::engine::series::{Label, Outcome};
use golo::engine::snapshot::{Measure, Snapshot, Triggers};

use super::{Family, Kind, OWN, QUANTILES, Unit, Value, family, labels, of_route, pairs, plain, seconds, tagged};
use crate::outputs::frame::Frame;

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

pub(super) fn requests(snapshot: &Snapshot) -> Vec<Family<'_>> {
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

pub(super) fn triggers(snapshot: &Snapshot) -> Vec<Family<'_>> {
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

pub(super) fn generator<'a>(frame: &Frame<'a>, snapshot: &'a Snapshot) -> Vec<Family<'a>> {
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
pub(super) fn own(snapshot: &Snapshot) -> Vec<Family<'_>> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use golo::engine::errors::ErrorKind;
    use golo::engine::series::Series;

    use super::*;
    use crate::outputs::families::{Labels, joined};

    #[test]
    fn requests_that_failed_for_different_reasons_are_one_series() {
        let mut snapshot = Snapshot::default();
        let label = Arc::new(Label::new("", "/a", "GET"));
        for (kind, count) in [(ErrorKind::Reset, 2), (ErrorKind::Body, 3)] {
            let mut measure = Measure::default();
            measure.durations.record_n(7, count);
            let series = Series { label: Arc::clone(&label), outcome: Outcome::Failed(kind) };
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
}
