//! Samples of failed requests, each of which can be expanded.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::engine::failures::{FailureSample, SampledMessage};
use crate::engine::series::Label;
use crate::engine::slowest::Step;
use crate::engine::snapshot::Snapshot;
use crate::report::requests::Requests;
use crate::report::text::clean;
use crate::report::units::{count, counted, duration};

/// Maximum number of samples on the page.
const MOST: usize = 200;

/// A sample of a failed request.
#[derive(Serialize)]
pub(super) struct Failure {
    pub(super) title: String,
    /// Figures of the request, each with its label.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Head and body of the request as text, if they are known.
    pub(super) request: Option<String>,
    /// Head and body of the response as text, if a complete one arrived.
    pub(super) response: Option<String>,
}

/// Returns the first samples, and a remark if there are more.
pub(super) fn failures(totals: &Snapshot, requests: &Requests) -> (Vec<Failure>, Option<String>) {
    let all = &totals.failures;
    let shown = all.iter().take(MOST).map(|sample| Failure::of(sample, requests)).collect();
    let more = all.iter().len().saturating_sub(MOST);
    let more = (more > 0).then(|| format!("{} more are in the file of -o failures=FILE.jsonl", count(more as u64)));
    (shown, more)
}

impl Failure {
    fn of(sample: &FailureSample, requests: &Requests) -> Self {
        let mut facts = vec![("URL", clean(&sample.url))];
        facts.extend(sample.redirected_to.as_ref().map(|url| ("redirected to", clean(url))));
        facts.push(("ended at", crate::report::failures::timestamp(sample.at)));
        facts.push(("took", took(sample)));
        if let Some((user, iteration)) = sample.trigger {
            facts.push(("trigger", format!("user {user}, iteration {iteration}")));
        }
        facts.push(("sequence", clean(&sample.sequence_id)));
        if let Some(trace) = sample.trace {
            facts.push(("trace", format!("{}, span {}", trace.trace_id, trace.span_id)));
        }
        if !sample.steps.is_empty() {
            facts.push(("before it", steps(sample, requests)));
        }
        let version = sample.version.as_deref().unwrap_or("HTTP");
        let first = format!("{} {}", clean(&sample.label.method), clean(&sample.url));
        Self {
            title: format!("{}: {}: {}", requests.name(&sample.label), sample.kind, clean(&sample.error)),
            facts,
            request: sample.request.as_ref().map(|message| text(&first, message)),
            response: sample
                .response
                .as_ref()
                .map(|message| text(&format!("{} {}", clean(version), sample.status), message)),
        }
    }
}

fn took(sample: &FailureSample) -> String {
    let whole = duration(sample.duration);
    let Some(phases) = &sample.phases else { return whole };
    let parts = [
        ("blocked", phases.blocked),
        ("dns", phases.dns),
        ("connecting", phases.connecting),
        ("tls handshaking", phases.tls_handshaking),
        ("sending", phases.sending),
        ("waiting", phases.waiting),
        ("receiving", phases.receiving),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(_, time)| !time.is_zero())
        .map(|(name, time)| format!("{name} {}", duration(time)))
        .collect();
    if parts.is_empty() { whole } else { format!("{whole}: {}", parts.join(", ")) }
}

/// Describes the steps of the journey that ended before.
fn steps(sample: &FailureSample, requests: &Requests) -> String {
    let step = |step: &Step<Arc<Label>>| {
        format!("{} {} in {}", requests.name(&step.label), step.status, duration(step.duration))
    };
    let mut text = sample.steps.iter().map(step).collect::<Vec<_>>().join("; ");
    if sample.further_steps > 0 {
        let _ = write!(text, "; {} that were not kept", counted(sample.further_steps, "step"));
    }
    text
}

/// Returns a message as text. Line ends are the only control characters in it.
fn text(first: &str, message: &SampledMessage) -> String {
    let mut text = first.to_owned();
    for (name, value) in &message.headers {
        let _ = write!(text, "\n{}: {}", clean(name), clean(value));
    }
    let Some(body) = message.body.as_deref().filter(|body| !body.is_empty()) else { return text };
    text += "\n\n";
    match std::str::from_utf8(body) {
        Ok(body) => text += &body.lines().map(clean).collect::<Vec<_>>().join("\n"),
        Err(_) => text += "(not text; its base64 is in the file of -o failures=FILE.jsonl)",
    }
    if let Some(length) = message.length.filter(|length| *length > body.len() as u64) {
        let _ = write!(text, "\n… of {} bytes", count(length));
    }
    text
}
