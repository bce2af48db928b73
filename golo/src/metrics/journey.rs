//! Journeys: the requests of one trigger that share a sequence ID, step by step.

use std::time::{Duration, SystemTime};

use crate::metrics::trace::{TraceContext, TraceId};
use crate::{OutputRef, Phases};

/// Largest number of steps that a journey keeps. Later steps are only counted.
pub(crate) const STEPS: usize = 64;
/// Largest number of journeys that one trigger keeps. Requests of further journeys belong to none.
const JOURNEYS: usize = 64;

/// One request of a journey. `Label` names its series: a number during the run, text afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<Label> {
    /// Series of the request.
    pub label: Label,
    /// Time at which the request was sent.
    pub started: SystemTime,
    /// Time from sending the request to the last byte of its body.
    pub duration: Duration,
    /// HTTP status, or 0 if no response arrived.
    pub status: u16,
    /// True if the request counts as failed.
    pub failed: bool,
    /// Trace and phases of the request, if it had the header `traceparent`. Other steps stay small, since each request
    /// has one.
    pub traced: Option<Box<Traced>>,
}

/// What a step contains in addition, so that it can be exported as a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// Trace and span of the request.
    pub trace: TraceContext,
    /// Phases of the request, if they are known.
    pub phases: Option<Phases>,
}

impl<Label> Step<Label> {
    /// Returns the step of a request that was sent at `started`.
    #[must_use]
    pub fn of(label: Label, started: SystemTime, output: &OutputRef<'_>) -> Self {
        Self {
            label,
            started,
            duration: output.duration,
            status: output.status,
            failed: output.is_failed(),
            traced: output.trace.map(|trace| Box::new(Traced { trace: *trace, phases: output.phases })),
        }
    }

    /// Returns the trace and the span of the request, if it had the header `traceparent`.
    pub fn trace(&self) -> Option<&TraceContext> {
        self.traced.as_ref().map(|traced| &traced.trace)
    }

    /// Returns the phases of the request, if it had the header `traceparent` and they are known.
    pub fn phases(&self) -> Option<&Phases> {
        self.traced.as_ref().and_then(|traced| traced.phases.as_ref())
    }

    /// Returns a step without a status, phases and a trace, such as a group.
    pub(crate) fn plain(label: Label, started: SystemTime, duration: Duration, failed: bool) -> Self {
        Self { label, started, duration, status: 0, failed, traced: None }
    }

    /// Returns the same step with another label.
    pub(crate) fn relabel<Other>(self, relabel: impl FnOnce(Label) -> Other) -> Step<Other> {
        let Self { label, started, duration, status, failed, traced } = self;
        Step { label: relabel(label), started, duration, status, failed, traced }
    }
}

/// Requests of one trigger that share a sequence ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey<Label> {
    /// The shared sequence ID.
    pub sequence_id: Box<str>,
    /// The first 64 requests, in the order in which they ended.
    pub steps: Vec<Step<Label>>,
    /// Number of requests after those.
    pub further: u64,
    started: SystemTime,
    ended: SystemTime,
    /// The trigger's think time when the journey began, and at its last step.
    thought: (Duration, Duration),
}

impl<Label> Journey<Label> {
    /// Creates a journey of a single request. `thought` is the trigger's think time when the request ended.
    pub fn begin(sequence_id: &str, step: Step<Label>, thought: Duration) -> Self {
        let (started, ended) = (step.started, step.started + step.duration);
        Self {
            sequence_id: sequence_id.into(),
            steps: vec![step],
            further: 0,
            started,
            ended,
            thought: (thought, thought),
        }
    }

    /// Adds a request that has ended.
    pub fn add(&mut self, step: Step<Label>, thought: Duration) {
        self.started = self.started.min(step.started);
        self.ended = self.ended.max(step.started + step.duration);
        self.thought.1 = thought;
        self.push(step);
    }

    fn push(&mut self, step: Step<Label>) {
        if self.steps.len() < STEPS {
            self.steps.push(step);
        } else {
            self.further += 1;
        }
    }

    /// Returns the trace ID of the first request that has one.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.steps.iter().find_map(Step::trace).map(|trace| trace.trace_id)
    }

    /// Returns the time at which the first request was sent.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Returns the time at which the last request ended.
    pub fn ended(&self) -> SystemTime {
        self.ended
    }

    /// Returns the think time between the requests.
    pub fn thought(&self) -> Duration {
        self.thought.1.saturating_sub(self.thought.0)
    }

    /// Creates a journey from stored values: its start and end, and the think time between.
    pub(crate) fn restored(
        sequence_id: &str,
        steps: Vec<Step<Label>>,
        further: u64,
        started: SystemTime,
        ended: SystemTime,
        thought: Duration,
    ) -> Self {
        Self { sequence_id: sequence_id.into(), steps, further, started, ended, thought: (Duration::ZERO, thought) }
    }

    /// Returns the time from sending the first request to the last byte of the last, without the think time between.
    pub fn duration(&self) -> Duration {
        let whole = self.ended.duration_since(self.started).unwrap_or_default();
        whole.saturating_sub(self.thought())
    }

    /// Returns the same journey with other labels.
    pub fn relabel<Other>(self, mut relabel: impl FnMut(Label) -> Other) -> Journey<Other> {
        let Self { sequence_id, steps, further, started, ended, thought } = self;
        let steps = steps.into_iter().map(|step| step.relabel(&mut relabel));
        Journey { sequence_id, steps: steps.collect(), further, started, ended, thought }
    }
}

/// Journeys of one trigger while it runs.
#[derive(Debug, Default)]
pub(crate) struct Journeys(Vec<Journey<u32>>);

impl Journeys {
    /// Adds a request to the journey `sequence_id`. `thought` is the trigger's think time so far. Ignores a request
    /// without a sequence ID. Returns the number of the journey.
    pub(crate) fn add(&mut self, sequence_id: &str, step: Step<u32>, thought: Duration) -> Option<usize> {
        if sequence_id.is_empty() {
            return None;
        }
        if let Some(number) = self.0.iter().position(|journey| *journey.sequence_id == *sequence_id) {
            self.0[number].add(step, thought);
            return Some(number);
        }
        if self.0.len() >= JOURNEYS {
            return None;
        }
        // Most triggers have one journey, but the first push to a `Vec` would reserve room for four.
        self.0.reserve_exact(usize::from(self.0.is_empty()));
        self.0.push(Journey::begin(sequence_id, step, thought));
        Some(self.0.len() - 1)
    }

    /// Adds a group of requests to the journey with this number. The journey does not become longer by that.
    pub(crate) fn add_group(&mut self, number: usize, step: Step<u32>) {
        if let Some(journey) = self.0.get_mut(number) {
            journey.push(step);
        }
    }

    /// Returns the journey with this sequence ID, if it has any request.
    pub(crate) fn of(&self, sequence_id: &str) -> Option<&Journey<u32>> {
        self.0.iter().find(|journey| *journey.sequence_id == *sequence_id)
    }

    /// Returns the journeys in the order in which their first requests ended.
    pub(crate) fn into_vec(self) -> Vec<Journey<u32>> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn step(started: u64, duration: u64) -> Step<u32> {
        let duration = Duration::from_millis(duration);
        Step { status: 200, ..Step::plain(0, UNIX_EPOCH + Duration::from_millis(started), duration, false) }
    }

    #[test]
    fn duration_lasts_from_first_send_to_last_byte_without_think_time() {
        let mut journeys = Journeys::default();
        journeys.add("a", step(10, 5), Duration::ZERO);
        journeys.add("b", step(11, 1), Duration::ZERO);
        journeys.add("a", step(30, 20), Duration::from_millis(7));
        // Sent while the request before is in flight, and done earlier.
        journeys.add("a", step(31, 3), Duration::from_millis(7));
        journeys.add("", step(0, 1000), Duration::ZERO);
        let journeys = journeys.into_vec();
        let durations: Vec<_> = journeys.iter().map(|journey| journey.duration().as_millis()).collect();
        assert_eq!(durations, [40 - 7, 1]);
        assert_eq!(journeys[0].steps.len(), 3);
    }

    #[test]
    fn steps_and_journeys_are_limited_and_counted() {
        let mut journeys = Journeys::default();
        for n in 0..100 {
            journeys.add("long", step(n, 1), Duration::ZERO);
            journeys.add(&n.to_string(), step(n, 1), Duration::ZERO);
        }
        let journeys = journeys.into_vec();
        assert_eq!(journeys.len(), JOURNEYS);
        assert_eq!((journeys[0].steps.len(), journeys[0].further), (STEPS, 100 - STEPS as u64));
        assert_eq!(journeys[0].duration(), Duration::from_millis(100), "further steps count for its length");
    }
}
