//! Samples of failed requests: a few for each route and kind of error, with heads and the beginnings of bodies.

mod mask;
mod sampler;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use mask::Masks;
pub(super) use sampler::Sampler;

use super::errors::ErrorKind;
use super::series::Label;
use super::slowest::{Step, TraceContext};
use crate::Phases;

/// Maximum number of samples of one route, method and kind of error.
pub const PER_KIND: usize = 10;
/// Maximum number of samples.
pub const SAMPLES: usize = 1000;
/// Maximum memory of all samples, in bytes.
pub const BYTES: usize = 8 << 20;
/// Maximum number of bytes of a body that are kept.
pub const BODY: usize = 2048;
/// Maximum number of headers of a message.
pub const HEADERS: usize = 64;
/// Maximum length of a header's name or value, a URL, an error, a route or an ID, in bytes.
pub const TEXT: usize = 1024;

/// A failed request. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureSample {
    /// Time at which the request ended.
    pub at: SystemTime,
    /// Origin, route and method.
    pub label: Arc<Label>,
    /// URL as requested, without user and password.
    pub url: Box<str>,
    /// URL that the request was redirected to, if it was.
    pub redirected_to: Option<Box<str>>,
    /// Kind of the error.
    pub kind: ErrorKind,
    /// Text of the error.
    pub error: Box<str>,
    /// Status of the response, or 0 if there was none.
    pub status: u16,
    /// HTTP version of the response, such as `HTTP/1.1`.
    pub version: Option<Box<str>>,
    /// Time from sending the request to its end.
    pub duration: Duration,
    /// Phases of the request, if they are known.
    pub phases: Option<Phases>,
    /// The request, if its head or its body is known.
    pub request: Option<SampledMessage>,
    /// The response, if a complete one arrived.
    pub response: Option<SampledMessage>,
    /// Sequence ID.
    pub sequence_id: Box<str>,
    /// Trace and span, if the request had the header `traceparent`.
    pub trace: Option<TraceContext>,
    /// User and iteration that made the request, if they are known.
    pub trigger: Option<(u64, u64)>,
    /// Requests of the same journey that ended before, at most 64.
    pub steps: Vec<Step<Arc<Label>>>,
    /// Number of such requests after those.
    pub further_steps: u64,
}

/// Head and beginning of the body of a request or a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampledMessage {
    /// Names and values of the headers, in order.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// Beginning of the body: at most 2 KiB. `None` if it is not in memory, or compressed.
    pub body: Option<Vec<u8>>,
    /// Length of the whole body in bytes, if it is known.
    pub length: Option<u64>,
}

impl FailureSample {
    /// Returns the memory of the sample, in bytes.
    fn bytes(&self) -> usize {
        let message = |message: &Option<SampledMessage>| message.as_ref().map_or(0, SampledMessage::bytes);
        let optional = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        let texts = self.url.len() + self.error.len() + self.sequence_id.len();
        let texts = texts + optional(&self.redirected_to) + optional(&self.version);
        // Samples that arrive from elsewhere share no labels.
        let label = |label: &Label| label.bytes();
        let step =
            |step: &Step<Arc<Label>>| size_of::<Step<Arc<Label>>>() + size_of::<TraceContext>() + label(&step.label);
        let steps = label(&self.label) + self.steps.iter().map(step).sum::<usize>();
        size_of::<Self>() + texts + steps + message(&self.request) + message(&self.response)
    }

    fn order(&self) -> (SystemTime, &str, &str, &Label, ErrorKind) {
        (self.at, &self.sequence_id, &self.url, &self.label, self.kind)
    }
}

impl SampledMessage {
    fn bytes(&self) -> usize {
        let header = |(name, value): &(Box<str>, Box<str>)| name.len() + value.len() + 32;
        self.headers.iter().map(header).sum::<usize>() + self.body.as_ref().map_or(0, Vec::len)
    }
}

/// The first failures of each route, method and kind of error, by time. Never more than [`SAMPLES`] and [`BYTES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    samples: Vec<Arc<FailureSample>>,
    /// The first sample that was past the limits. Later ones are not kept either, even if they are smaller, so that the
    /// order of merging does not matter.
    first_beyond: Option<Arc<FailureSample>>,
}

impl Failures {
    /// Adds a sample that is within the limits. The recorder takes no others.
    pub(super) fn push(&mut self, sample: FailureSample) {
        self.samples.push(Arc::new(sample));
    }

    /// Adds samples, as far as they are among the first.
    pub fn extend(&mut self, samples: impl IntoIterator<Item = FailureSample>) {
        self.samples.extend(samples.into_iter().map(Arc::new));
        self.limit();
    }

    /// Adds the samples of `other`, as far as they are among the first.
    pub fn merge(&mut self, other: &Self) {
        if !other.samples.is_empty() || other.first_beyond.is_some() {
            self.samples.extend(other.samples.iter().chain(&other.first_beyond).cloned());
            self.limit();
        }
    }

    /// Keeps only those samples that `all` has too.
    pub(crate) fn keep_those_of(&mut self, all: &Self) {
        self.samples.retain(|sample| all.samples.iter().any(|kept| Arc::ptr_eq(kept, sample)));
        self.first_beyond = None;
    }

    /// Returns the samples in the order in which the requests ended.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &FailureSample> {
        self.samples.iter().map(|sample| &**sample)
    }

    /// Returns the heap memory of the samples, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(FailureSample::bytes).sum()
    }

    fn limit(&mut self) {
        self.samples.sort_by(|one, other| one.order().cmp(&other.order()));
        let mut kept: HashMap<(Arc<Label>, ErrorKind), usize> = HashMap::new();
        let (mut number, mut bytes) = (0, 0);
        let first_beyond = &mut self.first_beyond;
        self.samples.retain(|sample| {
            if first_beyond.as_ref().is_some_and(|beyond| sample.order() >= beyond.order()) {
                return false;
            }
            let size = sample.bytes();
            let of_kind = kept.entry((Arc::clone(&sample.label), sample.kind)).or_default();
            if *of_kind >= PER_KIND {
                return false;
            }
            let has_room = number < SAMPLES && bytes + size <= BYTES;
            if has_room {
                *of_kind += 1;
                number += 1;
                bytes += size;
            } else {
                *first_beyond = Some(Arc::clone(sample));
            }
            has_room
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, route: &str, kind: ErrorKind, body: usize) -> FailureSample {
        let request = SampledMessage { body: Some(vec![0; body]), ..SampledMessage::default() };
        FailureSample {
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
            label: Arc::new(Label::new("http://a", route, "GET")),
            url: "http://a/".into(),
            redirected_to: None,
            kind,
            error: "refused".into(),
            status: 0,
            version: None,
            duration: Duration::ZERO,
            phases: None,
            request: Some(request),
            response: None,
            sequence_id: "x".into(),
            trace: None,
            trigger: None,
            steps: Vec::new(),
            further_steps: 0,
        }
    }

    fn times(failures: &Failures) -> Vec<u64> {
        let since = |sample: &FailureSample| sample.at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        failures.iter().map(since).collect()
    }

    #[test]
    fn first_ten_of_each_route_and_kind_are_kept_in_any_order_of_merging() {
        let mut parts = [Failures::default(), Failures::default(), Failures::default()];
        for at in 0..60 {
            parts[at as usize % 3].extend([sample(at, "/", ErrorKind::Connect, 0)]);
        }
        parts[2].extend([sample(70, "/", ErrorKind::Timeout, 0)]);
        parts[0].extend([sample(80, "/other", ErrorKind::Connect, 0)]);
        let mut expected: Vec<u64> = (0..10).collect();
        expected.extend([70, 80]);
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut merged = Failures::default();
            order.into_iter().for_each(|part| merged.merge(&parts[part]));
            assert_eq!(times(&merged), expected);
        }
    }

    #[test]
    fn number_and_memory_of_samples_are_limited() {
        let mut failures = Failures::default();
        failures.extend((0..SAMPLES as u64 + 50).map(|at| sample(at, &format!("/{at}"), ErrorKind::Connect, 0)));
        assert_eq!((failures.iter().len(), times(&failures).last()), (SAMPLES, Some(&(SAMPLES as u64 - 1))));
        let mut failures = Failures::default();
        failures.extend((0..100).map(|at| sample(at, &format!("/{at}"), ErrorKind::Connect, 1 << 20)));
        assert!(failures.bytes() <= BYTES && failures.iter().len() == 7, "{}", failures.iter().len());
    }

    #[test]
    fn memory_of_samples_counts_all_texts() {
        let bare = sample(1, "/", ErrorKind::Connect, 0);
        let long: Box<str> = "x".repeat(1000).into();
        let label = Arc::new(Label::new(long.clone(), "/", "GET"));
        let step = Step::plain(Arc::clone(&label), SystemTime::UNIX_EPOCH, Duration::ZERO, false);
        for full in [
            FailureSample { sequence_id: long.clone(), ..bare.clone() },
            FailureSample { version: Some(long.clone()), ..bare.clone() },
            FailureSample { redirected_to: Some(long.clone()), ..bare.clone() },
            FailureSample { steps: vec![step], ..bare.clone() },
            FailureSample { label, ..bare.clone() },
        ] {
            assert!(full.bytes() > bare.bytes() + 900, "{full:?}");
        }
    }

    #[test]
    fn samples_past_the_memory_do_not_depend_on_the_order_of_merging() {
        let parts = [(1, 5 << 20), (2, 4 << 20), (3, 1 << 20)].map(|(at, body)| {
            let mut part = Failures::default();
            part.extend([sample(at, &format!("/{at}"), ErrorKind::Connect, body)]);
            part
        });
        let same_time = ["/b", "/a"].map(|route| {
            let mut part = Failures::default();
            part.extend([sample(0, route, ErrorKind::Connect, 0)]);
            part
        });
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut merged = Failures::default();
            order.into_iter().for_each(|part| merged.merge(&parts[part]));
            assert_eq!(times(&merged), [1], "the second one does not fit, and the third one came later");
        }
        let [mut one, mut other] = same_time.clone();
        one.merge(&same_time[1]);
        other.merge(&same_time[0]);
        assert_eq!(one, other);
    }

    #[test]
    fn samples_that_the_whole_run_does_not_keep_are_dropped_from_a_second() {
        let mut all = Failures::default();
        (0..8).for_each(|at| all.extend([sample(at, "/", ErrorKind::Connect, 0)]));
        let mut second = Failures::default();
        (10..15).for_each(|at| second.extend([sample(at, "/", ErrorKind::Connect, 0)]));
        all.merge(&second);
        second.keep_those_of(&all);
        assert_eq!(times(&second), [10, 11]);
    }
}
