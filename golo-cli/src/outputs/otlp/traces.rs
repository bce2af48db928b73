//! The slowest journeys and the failed ones as traces, for requests with the header `traceparent`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use golo::engine::failures::FailureSample;
use golo::engine::series::Label;
use golo::engine::slowest::{Step, TraceId};
use prost::Message as _;

use super::messages::{Resource, ResourceSpans, ScopeSpans, Span, TracesRequest};
use super::metrics::{resource, scope};
use super::settings::Signal;
use super::spans::{Root, of_failure, of_step};
use crate::outputs::delivery::Parcel;
use crate::outputs::exports::Encoder;
use crate::outputs::frame::Frame;

/// Time between two exports. A journey that failed is exported when its failure is as old as that, since more of its
/// requests may fail.
const INTERVAL: Duration = Duration::from_secs(10);
/// Largest size of a request, in bytes, unless one span is larger.
const BYTES: usize = 2_000_000;

/// Encodes journeys. Each span is sent once.
#[derive(Debug, Default)]
pub struct TracesEncoder {
    /// Spans that were sent, by trace.
    sent: HashMap<[u8; 16], HashSet<Vec<u8>>>,
    /// Time of the last export.
    last: Option<SystemTime>,
}

impl Encoder for TracesEncoder {
    fn encode(&mut self, frame: &Frame<'_>) -> Vec<Parcel> {
        let since = frame.at.duration_since(self.last.unwrap_or(frame.started)).unwrap_or_default();
        if !frame.is_last && since < INTERVAL {
            return Vec::new();
        }
        self.last = Some(frame.at);
        let mut spans = Vec::new();
        let samples = Samples::of(frame);
        self.slowest(frame, &samples, &mut spans);
        self.failures(frame, &samples, &mut spans);
        requests(&resource(frame.labels), spans)
    }
}

/// Samples of failed requests by the span of the request.
struct Samples<'a>(HashMap<[u8; 8], &'a FailureSample>);

impl<'a> Samples<'a> {
    fn of(frame: &Frame<'a>) -> Self {
        let samples = frame.totals.failures.iter();
        Self(samples.filter_map(|sample| Some((sample.trace?.span_id.bytes(), sample))).collect())
    }

    /// Returns the span of a step. If there is a sample of the request, that knows more.
    fn span(&self, trace_id: TraceId, step: &Step<Arc<Label>>) -> Option<Span> {
        let own = step.trace().filter(|own| own.trace_id == trace_id);
        match own.and_then(|own| Some((*own, self.0.get(&own.span_id.bytes())?))) {
            Some((own, sample)) => Some(of_failure(own, sample)),
            None => of_step(trace_id, step),
        }
    }
}

impl TracesEncoder {
    fn slowest(&mut self, frame: &Frame<'_>, samples: &Samples<'_>, spans: &mut Vec<Span>) {
        for journey in frame.totals.slowest.iter() {
            let Some((trace_id, first)) = journey.trace_id().zip(journey.steps.first()) else { continue };
            let root = Root {
                trace_id,
                sequence_id: &journey.sequence_id,
                label: &first.label,
                times: (journey.started(), journey.ended()),
                failed: journey.steps.iter().any(|step| step.failed),
                further: journey.further,
            };
            let steps = journey.steps.iter().filter_map(|step| samples.span(trace_id, step));
            self.add(frame, &root, steps, spans);
        }
    }

    fn failures(&mut self, frame: &Frame<'_>, all: &Samples<'_>, spans: &mut Vec<Span>) {
        let is_due = |sample: &FailureSample| {
            frame.is_last || frame.at.duration_since(sample.at).is_ok_and(|age| age >= INTERVAL)
        };
        // Samples are in the order of time, so the last one of a trace knows most of its requests.
        let mut traces: Vec<(TraceId, Vec<&FailureSample>)> = Vec::new();
        let mut places: HashMap<[u8; 16], usize> = HashMap::new();
        for sample in frame.totals.failures.iter().filter(|sample| is_due(sample)) {
            let Some(trace) = sample.trace else { continue };
            let place = *places.entry(trace.trace_id.bytes()).or_insert_with(|| {
                traces.push((trace.trace_id, Vec::new()));
                traces.len() - 1
            });
            traces[place].1.push(sample);
        }
        for (trace_id, samples) in traces {
            let Some(last) = samples.last() else { continue };
            let first = samples.iter().flat_map(|sample| sample.steps.first()).min_by_key(|step| step.started);
            let started = last.at.checked_sub(last.duration).unwrap_or(last.at);
            let root = Root {
                trace_id,
                sequence_id: &last.sequence_id,
                label: first.map_or(&*last.label, |step| &*step.label),
                times: (first.map_or(started, |step| step.started.min(started)), last.at),
                failed: true,
                further: last.further_steps,
            };
            let failed = samples.iter().filter_map(|sample| sample.trace.map(|trace| of_failure(trace, sample)));
            let steps = samples.iter().flat_map(|sample| &sample.steps);
            self.add(frame, &root, failed.chain(steps.filter_map(|step| all.span(trace_id, step))), spans);
        }
    }

    /// Adds the spans of a journey that were not sent before.
    fn add(&mut self, frame: &Frame<'_>, root: &Root<'_>, steps: impl Iterator<Item = Span>, spans: &mut Vec<Span>) {
        let known = self.sent.entry(root.trace_id.bytes()).or_default();
        if known.is_empty() {
            let root = root.span(frame.labels);
            known.insert(root.span_id.clone());
            spans.push(root);
        }
        spans.extend(steps.filter(|span| known.insert(span.span_id.clone())));
    }
}

/// Divides spans into requests of limited size.
fn requests(resource: &Resource, spans: Vec<Span>) -> Vec<Parcel> {
    let mut spans = spans.into_iter().peekable();
    let mut parcels = Vec::new();
    while let Some(first) = spans.next() {
        let mut bytes = first.encoded_len();
        let mut part = vec![first];
        while let Some(next) = spans.next_if(|next| bytes + next.encoded_len() <= BYTES) {
            bytes += next.encoded_len();
            part.push(next);
        }
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans: part, ..ScopeSpans::default() }];
        let request = TracesRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource.clone()),
                scope_spans,
                ..ResourceSpans::default()
            }],
        };
        parcels.push(Parcel { kind: Signal::Traces.name(), body: request.encode_to_vec().into() });
    }
    parcels
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use golo::engine::errors::ErrorKind;
    use golo::engine::slowest::{Journey, SpanId, TraceContext, Traced};
    use golo::engine::snapshot::Snapshot;

    use super::*;
    use crate::outputs::frame::{Made, RunLabels};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1000 + seconds)
    }

    fn context(trace: u8, span: u8) -> TraceContext {
        TraceContext { trace_id: TraceId::new([trace; 16]).unwrap(), span_id: SpanId::new([span; 8]).unwrap() }
    }

    fn step(trace: TraceContext, started: SystemTime) -> Step<Arc<Label>> {
        let tags = [("scenario", "buy")].into_iter().collect();
        let label = Arc::new(Label::new("http://h", "/a", "GET").with_tags(tags));
        let traced = Some(Box::new(Traced { trace, phases: None }));
        let duration = Duration::from_millis(5);
        Step { label, started, duration, status: 500, failed: true, traced }
    }

    fn sample(trace: TraceContext, at: SystemTime, steps: Vec<Step<Arc<Label>>>) -> FailureSample {
        let label = Arc::new(Label::new("http://h", "/b", "GET"));
        let (url, error, sequence_id) = ("http://h/b".into(), "reset: gone".into(), "s".into());
        let (kind, duration) = (ErrorKind::Reset, Duration::from_millis(5));
        let (redirected_to, version, phases, request, response, trigger) = (None, None, None, None, None, None);
        let (status, trace, further_steps) = (0, Some(trace), 0);
        #[rustfmt::skip]
        let sample = FailureSample {
            at, label, url, redirected_to, kind, error, status, version, duration, phases, request, response, sequence_id, trace,
            trigger, steps, further_steps,
        };
        sample
    }

    /// Returns the names, IDs and messages of the spans that are sent after these seconds.
    fn sent(encoder: &mut TracesEncoder, totals: &Snapshot, seconds: u64, is_last: bool) -> Vec<(String, u8, String)> {
        let labels =
            RunLabels { run: "r".to_owned(), job: "nightly".to_owned(), load_test: "shop".to_owned(), agent: None };
        let (started, since) = (at(0), at(seconds - 1));
        let second = &Snapshot::default();
        let (labels, at) = (&labels, at(seconds));
        let (users, connections, made) = (0, 0, Made::default());
        let frame = Frame { labels, started, since, at, second, totals, users, connections, is_last, made };
        let requests = encoder.encode(&frame).into_iter().map(|parcel| TracesRequest::decode(parcel.body).unwrap());
        let spans = requests.flat_map(|mut request| request.resource_spans.remove(0).scope_spans.remove(0).spans);
        spans.map(|span| (span.name, span.span_id[0], span.status.unwrap_or_default().message)).collect()
    }

    fn expected(spans: &[(&str, u8, &str)]) -> Vec<(String, u8, String)> {
        spans.iter().map(|(name, id, message)| ((*name).to_owned(), *id, (*message).to_owned())).collect()
    }

    #[test]
    fn each_span_is_sent_once_under_its_journey() {
        let (mut encoder, mut totals) = (TracesEncoder::default(), Snapshot::default());
        // The second request has a trace that the load test made.
        let mut slow = Journey::begin("s", step(context(1, 11), at(1)), Duration::ZERO);
        slow.add(step(context(9, 99), at(2)), Duration::ZERO);
        slow.add(step(context(1, 12), at(3)), Duration::ZERO);
        totals.slowest.add(slow);
        // The first failure is of that journey.
        totals.failures.extend([
            sample(context(1, 12), at(3), Vec::new()),
            sample(context(2, 21), at(8), vec![step(context(2, 22), at(7))]),
        ]);
        assert_eq!(sent(&mut encoder, &totals, 5, false), []);
        let slowest = [("nightly/buy", 1, ""), ("GET /a", 11, ""), ("GET /b", 12, "reset: gone")];
        assert_eq!(sent(&mut encoder, &totals, 10, false), expected(&slowest));
        assert_eq!(sent(&mut encoder, &totals, 19, false), []);
        let failed = [("nightly/buy", 2, ""), ("GET /b", 21, "reset: gone"), ("GET /a", 22, "")];
        assert_eq!(sent(&mut encoder, &totals, 20, false), expected(&failed));
        // Another failure of a journey that was sent, and a young one.
        totals
            .failures
            .extend([sample(context(2, 23), at(11), Vec::new()), sample(context(3, 31), at(21), Vec::new())]);
        let rest = [("GET /b", 23, "reset: gone"), ("nightly", 3, ""), ("GET /b", 31, "reset: gone")];
        assert_eq!(sent(&mut encoder, &totals, 22, true), expected(&rest));
    }
}
