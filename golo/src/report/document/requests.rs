//! Requests by route, measured steps, journeys, and tags of triggers.

use std::sync::Arc;

use serde::Serialize;

use super::{Distribution, Document};
use crate::engine::histogram::Histogram;
use crate::engine::phases::{MeasuredPhases, Phase};
use crate::engine::series::Label;
use crate::engine::slowest::{Journey, Step};
use crate::engine::snapshot::Snapshot;
use crate::engine::tags::{Counts, Tag, Tags};
use crate::metrics::output::nanoseconds;
use crate::report::RateTime;
use crate::report::failures::Phases;
use crate::report::requests::Requests;
use crate::report::route::Route;
use crate::report::tags::{other, spread, values};

pub(super) fn requests(document: &Document<'_>) -> impl Serialize {
    let (requests, totals) = (&document.requests, &document.outcome.finished.totals);
    let routes = requests.routes.named.iter().enumerate();
    let route = |(at, (name, label, route)): (usize, &(String, Label, Route))| {
        object! {
            name: name.clone(),
            origin: label.origin.clone(),
            route: label.route.clone(),
            method: label.method.clone(),
            #[serde(flatten)]
            amounts: amounts(route, document.rates, at < document.routes_with_buckets),
            phases: phases(&route.phases, false),
        }
    };
    object! {
        total: amounts(&requests.routes.total, document.rates, true),
        interrupted: requests.routes.total.interrupted,
        from_tags: requests.from_tags,
        redirects_at_least: requests.redirects_at_least,
        routes: routes.map(route).collect::<Vec<_>>(),
        phases: phases(&requests.routes.total.phases, true),
        waiting: Distribution::from(&totals.waits()),
        connecting: Distribution::from(&totals.connects),
    }
}

/// Returns the phases; `None` if they are unknown. The buckets of routes would make up most of the file.
fn phases(phases: &MeasuredPhases, with_buckets: bool) -> Option<impl Serialize + use<>> {
    let distribution = |phase: Phase| {
        let mut distribution = Distribution::from(&phases.distribution(phase));
        if !with_buckets {
            distribution.buckets = Vec::new();
        }
        distribution
    };
    (phases.count() > 0).then(|| {
        object! {
            blocked: distribution(Phase::Blocked),
            dns: distribution(Phase::Dns),
            connecting: distribution(Phase::Connecting),
            tls_handshaking: distribution(Phase::TlsHandshaking),
            sending: distribution(Phase::Sending),
            waiting: distribution(Phase::Waiting),
            receiving: distribution(Phase::Receiving),
        }
    })
}

pub(super) fn steps(document: &Document<'_>) -> impl Serialize {
    let steps = &document.requests.steps;
    let step = |(name, step): (&str, &Route)| {
        object! {
            name: name.to_owned(),
            #[serde(flatten)]
            amounts: amounts(step, document.rates, true),
        }
    };
    object! {
        total: amounts(&steps.total, document.rates, true),
        steps: steps.rows().map(step).collect::<Vec<_>>(),
    }
}

fn amounts(route: &Route, rates: RateTime, with_buckets: bool) -> impl Serialize + use<> {
    let distribution = |durations: &Histogram| {
        let mut distribution = Distribution::from(durations);
        if !with_buckets {
            distribution.buckets = Vec::new();
        }
        distribution
    };
    object! {
        failed: route.failed(),
        interrupted: route.interrupted,
        after_load: route.all.after_load,
        rate: route.per_second(rates),
        received: route.all.received,
        sent: route.all.sent,
        redirects: route.redirects,
        duration: distribution(&route.all.durations),
        apart: route.apart().map(|apart| {
            let [passed, failed] = apart.map(distribution);
            object! { passed: passed, failed: failed }
        }),
    }
}

/// Returns the durations of journeys, and the slowest journeys step by step.
pub(super) fn journeys(totals: &Snapshot, requests: &Requests) -> impl Serialize {
    let slowest = totals.slowest.iter().map(|journey| slow(journey, requests));
    object! {
        duration: Distribution::from(&totals.journeys),
        slowest: slowest.collect::<Vec<_>>(),
    }
}

fn slow(journey: &Journey<Arc<Label>>, requests: &Requests) -> impl Serialize {
    let step = |step: &Step<Arc<Label>>| {
        object! {
            name: requests.name(&step.label),
            method: step.label.method.clone(),
            route: step.label.route.clone(),
            started: nanoseconds(step.started.duration_since(journey.started()).unwrap_or_default()),
            duration: nanoseconds(step.duration),
            status: step.status,
            failed: step.failed,
            span_id: step.trace().map(|trace| trace.span_id.to_string()),
            phases: step.phases().map(Phases::of),
        }
    };
    object! {
        sequence_id: &journey.sequence_id,
        trace_id: journey.trace_id().map(|trace| trace.to_string()),
        duration: nanoseconds(journey.duration()),
        steps: journey.steps.iter().map(step).collect::<Vec<_>>(),
        further: journey.further,
    }
}

/// Returns the tags of triggers' responses, by key.
pub(super) fn tags(tags: &Tags) -> impl Serialize {
    object! {
        keys: tags.iter().map(|(key, tag)| tag_of(key, tag)).collect::<Vec<_>>(),
        beyond: tags.beyond(),
    }
}

fn tag_of(key: &str, tag: &Tag) -> impl Serialize {
    let value = |(value, counts): (&str, Counts)| {
        object! { value: value.to_owned(), passed: counts.passed, failed: counts.failed }
    };
    object! {
        key: key,
        passed: tag.count(Some(false)),
        failed: tag.count(Some(true)),
        texts: tag.texts().all(),
        values: values(tag).into_iter().map(value).collect::<Vec<_>>(),
        other: other(tag).map(|other| value(("", other))),
        numbers: numbers(tag, None),
        numbers_passed: numbers(tag, Some(false)),
        numbers_failed: numbers(tag, Some(true)),
    }
}

fn numbers(tag: &Tag, failed: Option<bool>) -> Option<impl Serialize + use<>> {
    let spread = spread(tag, failed)?;
    let [mean, min, p50, p90, p95, p99, p999, max] = spread.figures;
    Some(object! {
        count: spread.count, mean: mean, min: min, p50: p50, p90: p90, p95: p95, p99: p99, p999: p999, max: max
    })
}
