//! `failures=`: samples of failed requests, one JSON object a line.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::RunOutcome;
use super::outputs::{FileOutput, OutputKind, WriteReport};
use crate::engine::failures::{FailureSample, SampledMessage};
use crate::engine::series::Label;
use crate::engine::slowest;
use crate::metrics::output::nanoseconds;

pub(super) const KIND: OutputKind = OutputKind::file("failures", "failures=FILE.jsonl", |path| {
    FileOutput::open("failures", [(path.into(), write as WriteReport)])
});

fn write(outcome: &RunOutcome, to: &mut dyn io::Write) -> io::Result<()> {
    outcome.finished.totals.failures.iter().try_for_each(|sample| {
        serde_json::to_writer(&mut *to, &Line::of(sample))?;
        to.write_all(b"\n")
    })
}

/// A sample as the object of its line.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    origin: &'a str,
    route: &'a str,
    method: &'a str,
    url: &'a str,
    redirected_to: Option<&'a str>,
    kind: String,
    error: &'a str,
    status: u16,
    version: Option<&'a str>,
    /// Nanoseconds.
    duration: u64,
    phases: Option<Phases>,
    request: Option<Message<'a>>,
    response: Option<Message<'a>>,
    sequence_id: &'a str,
    trace_id: Option<String>,
    span_id: Option<String>,
    user: Option<u64>,
    iteration: Option<u64>,
    journey: Vec<Step<'a>>,
    further_steps: u64,
}

/// Phases in nanoseconds.
#[derive(Serialize)]
pub(super) struct Phases {
    blocked: u64,
    dns: u64,
    connecting: u64,
    tls_handshaking: u64,
    sending: u64,
    waiting: u64,
    receiving: u64,
}

#[derive(Serialize)]
struct Message<'a> {
    headers: Vec<[&'a str; 2]>,
    /// Beginning of the body as text, or as base64 if `is_base64`.
    body: Option<Cow<'a, str>>,
    is_base64: bool,
    length: Option<u64>,
}

#[derive(Serialize)]
struct Step<'a> {
    route: &'a str,
    method: &'a str,
    status: u16,
    failed: bool,
    duration: u64,
    span_id: Option<String>,
    phases: Option<Phases>,
}

impl<'a> Line<'a> {
    fn of(sample: &'a FailureSample) -> Self {
        Self {
            timestamp: timestamp(sample.at),
            origin: &sample.label.origin,
            route: &sample.label.route,
            method: &sample.label.method,
            url: &sample.url,
            redirected_to: sample.redirected_to.as_deref(),
            kind: sample.kind.to_string(),
            error: &sample.error,
            status: sample.status,
            version: sample.version.as_deref(),
            duration: nanoseconds(sample.duration),
            phases: sample.phases.as_ref().map(Phases::of),
            request: sample.request.as_ref().map(Message::of),
            response: sample.response.as_ref().map(Message::of),
            sequence_id: &sample.sequence_id,
            trace_id: sample.trace.map(|trace| trace.trace_id.to_string()),
            span_id: sample.trace.map(|trace| trace.span_id.to_string()),
            user: sample.trigger.map(|(user, _)| user),
            iteration: sample.trigger.map(|(_, iteration)| iteration),
            journey: sample.steps.iter().map(Step::of).collect(),
            further_steps: sample.further_steps,
        }
    }
}

impl Phases {
    pub(super) fn of(phases: &crate::Phases) -> Self {
        Self {
            blocked: nanoseconds(phases.blocked),
            dns: nanoseconds(phases.dns),
            connecting: nanoseconds(phases.connecting),
            tls_handshaking: nanoseconds(phases.tls_handshaking),
            sending: nanoseconds(phases.sending),
            waiting: nanoseconds(phases.waiting),
            receiving: nanoseconds(phases.receiving),
        }
    }
}

impl<'a> Message<'a> {
    fn of(message: &'a SampledMessage) -> Self {
        let (body, is_base64) = match message.body.as_deref().map(|body| (body, std::str::from_utf8(body))) {
            None => (None, false),
            Some((_, Ok(text))) => (Some(Cow::Borrowed(text)), false),
            Some((body, Err(_))) => (Some(Cow::Owned(BASE64_STANDARD.encode(body))), true),
        };
        let headers = message.headers.iter().map(|(name, value)| [&**name, &**value]).collect();
        Self { headers, body, is_base64, length: message.length }
    }
}

impl<'a> Step<'a> {
    fn of(step: &'a slowest::Step<Arc<Label>>) -> Self {
        Self {
            route: &step.label.route,
            method: &step.label.method,
            status: step.status,
            failed: step.failed,
            duration: nanoseconds(step.duration),
            span_id: step.trace().map(|trace| trace.span_id.to_string()),
            phases: step.phases().map(Phases::of),
        }
    }
}

/// Returns a time in RFC 3339.
pub(super) fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}
