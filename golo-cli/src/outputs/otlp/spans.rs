//! Spans of journeys and of their requests.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use golo::Phases;
use golo::engine::failures::FailureSample;
use golo::engine::series::Label;
use golo::engine::slowest::{SpanId, Step, TraceContext, TraceId};
use golo::wire::unix_nanoseconds;
use rustc_hash::FxHasher;

use super::messages::{Span, SpanEvent, SpanKind, SpanStatus, StatusCode};
use super::metrics::{integer, text};
use super::semantic::of_target;
use crate::outputs::families::tags;
use crate::outputs::frame::RunLabels;

/// Flag of W3C trace context: the trace is recorded.
const SAMPLED: u32 = 1;
/// Tag with the scenario of a trigger.
const SCENARIO: &str = "scenario";

/// What is known of a journey as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root<'a> {
    pub(super) trace_id: TraceId,
    pub(super) sequence_id: &'a str,
    pub(super) label: &'a Label,
    pub(super) times: (SystemTime, SystemTime),
    pub(super) failed: bool,
    /// Number of requests that have no span.
    pub(super) further: u64,
}

impl Root<'_> {
    /// Returns the span of the whole journey.
    pub(super) fn span(&self, labels: &RunLabels) -> Span {
        let scenario = self.label.tags.get(SCENARIO);
        let mut attributes = vec![text("golo.sequence_id", self.sequence_id)];
        attributes.extend(scenario.map(|scenario| text(SCENARIO, scenario)));
        if self.further > 0 {
            attributes.push(integer("golo.further_requests", i64::try_from(self.further).unwrap_or(i64::MAX)));
        }
        Span {
            trace_id: self.trace_id.bytes().into(),
            span_id: root_id(self.trace_id).into(),
            parent_span_id: Vec::new(),
            name: scenario.map_or_else(|| labels.job.clone(), |scenario| format!("{}/{scenario}", labels.job)),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: unix_nanoseconds(self.times.0),
            end_time_unix_nano: unix_nanoseconds(self.times.1),
            attributes,
            events: Vec::new(),
            status: status(self.failed, ""),
            flags: SAMPLED,
            ..Span::default()
        }
    }
}

/// Returns the ID of a journey's root, which depends on the trace alone.
fn root_id(trace_id: TraceId) -> [u8; 8] {
    let [.., a, b, c, d, e, f, g, h] = trace_id.bytes();
    let id = [a, b, c, d, e, f, g, h];
    // Only a load test's own trace ID can end with zeros.
    if id == [0; 8] { [1; 8] } else { id }
}

/// Returns the span of a request, a measured step or a group of a journey. `None` if it belongs to another trace: the load
/// test set a header of its own.
pub(super) fn of_step(trace_id: TraceId, step: &Step<Arc<Label>>) -> Option<Span> {
    let times = (step.started, step.duration);
    let trace = step.trace();
    let span_id = match trace {
        Some(trace) if trace.trace_id != trace_id => return None,
        Some(trace) => trace.span_id,
        None => derived_id(trace_id, step)?,
    };
    let mut span = request(trace_id, span_id, &step.label, times, step.phases().copied());
    if trace.is_none() {
        span.kind = SpanKind::Internal.into();
        span.name = step.label.route.to_string();
        span.attributes = tags(&step.label).into_iter().map(|(name, value)| text(name, value)).collect();
    }
    if step.status > 0 {
        span.attributes.push(integer("http.response.status_code", step.status.into()));
    }
    if step.failed {
        let error = if step.status > 0 { step.status.to_string() } else { "_OTHER".to_owned() };
        span.attributes.push(text("error.type", error));
    }
    span.status = status(step.failed, "");
    Some(span)
}

/// Returns the span of a failed request.
pub(super) fn of_failure(trace: TraceContext, sample: &FailureSample) -> Span {
    let started = sample.at.checked_sub(sample.duration).unwrap_or(sample.at);
    let times = (started, sample.duration);
    let mut span = request(trace.trace_id, trace.span_id, &sample.label, times, sample.phases);
    span.attributes.push(text("url.full", &*sample.url));
    if sample.status > 0 {
        span.attributes.push(integer("http.response.status_code", sample.status.into()));
    }
    let kind = sample.kind.to_string();
    let error = if kind == "status" { sample.status.to_string() } else { kind };
    span.attributes.push(text("error.type", error));
    span.status = status(true, &sample.error);
    span
}

fn request(
    trace_id: TraceId,
    span_id: SpanId,
    label: &Label,
    (started, duration): (SystemTime, Duration),
    phases: Option<Phases>,
) -> Span {
    let mut attributes = of_target(label);
    attributes.extend(tags(label).into_iter().map(|(name, value)| text(name, value)));
    Span {
        trace_id: trace_id.bytes().into(),
        span_id: span_id.bytes().into(),
        parent_span_id: root_id(trace_id).into(),
        name: format!("{} {}", label.method, label.route),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: unix_nanoseconds(started),
        end_time_unix_nano: unix_nanoseconds(started + duration),
        attributes,
        events: phases.map_or_else(Vec::new, |phases| events(started, phases)),
        status: None,
        flags: SAMPLED,
        ..Span::default()
    }
}

/// Returns the phases that happened, each at its start.
fn events(started: SystemTime, phases: Phases) -> Vec<SpanEvent> {
    let Phases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving, .. } = phases;
    let mut at = unix_nanoseconds(started);
    let mut events = Vec::new();
    for (name, duration) in [
        ("blocked", blocked),
        ("dns", dns),
        ("connecting", connecting),
        ("tls_handshaking", tls_handshaking),
        ("sending", sending),
        ("waiting", waiting),
        ("receiving", receiving),
    ] {
        let duration = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if duration == 0 {
            continue;
        }
        let attributes = vec![integer("golo.phase.nanoseconds", i64::try_from(duration).unwrap_or(i64::MAX))];
        events.push(SpanEvent { time_unix_nano: at, name: name.to_owned(), attributes, ..SpanEvent::default() });
        at = at.saturating_add(duration);
    }
    events
}

/// Returns the ID of a step that was not sent to the target. It is the same each time.
fn derived_id(trace_id: TraceId, step: &Step<Arc<Label>>) -> Option<SpanId> {
    let mut hasher = FxHasher::default();
    (trace_id.bytes(), unix_nanoseconds(step.started), step.duration, &step.label).hash(&mut hasher);
    SpanId::new(hasher.finish().to_be_bytes())
}

fn status(failed: bool, message: &str) -> Option<SpanStatus> {
    failed.then(|| SpanStatus { message: message.to_owned(), code: StatusCode::Error.into() })
}
