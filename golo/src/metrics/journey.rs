//! Journeys: the requests that share a sequence ID within one trigger, step by step.

use std::time::{Duration, SystemTime};

/// Most steps that a journey keeps; later ones are counted.
pub(crate) const STEPS: usize = 64;
/// Most journeys that one trigger keeps apart; the requests of any further one are in no journey.
const JOURNEYS: usize = 64;

/// One request of a journey. `Label` is what tells its series: a number while it lasts, then text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<Label> {
    /// What was requested.
    pub label: Label,
    /// When it was sent.
    pub started: SystemTime,
    /// From sending it to the last byte of its body.
    pub duration: Duration,
    /// The HTTP status, or 0 where no response came.
    pub status: u16,
    /// Whether it counts as failed.
    pub failed: bool,
}

/// The requests of one trigger that share a sequence ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journey<Label> {
    /// What the requests share.
    pub sequence_id: Box<str>,
    /// The first 64 of them, in the order in which they ended.
    pub steps: Vec<Step<Label>>,
    /// How many more there were.
    pub further: u64,
    started: SystemTime,
    ended: SystemTime,
    /// The trigger's think time when the journey began, and at its last step.
    thought: (Duration, Duration),
}

impl<Label> Journey<Label> {
    /// One of a single request so far; `thought` is the trigger's think time when it ended.
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
        if self.steps.len() < STEPS {
            self.steps.push(step);
        } else {
            self.further += 1;
        }
    }

    /// When its first request was sent.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// When its last request had ended.
    pub fn ended(&self) -> SystemTime {
        self.ended
    }

    /// The think time between its requests.
    pub fn thought(&self) -> Duration {
        self.thought.1.saturating_sub(self.thought.0)
    }

    /// One that was written down: `time` is from when to when it lasted, `thought` the think time in it.
    pub(crate) fn restored(
        sequence_id: &str,
        steps: Vec<Step<Label>>,
        further: u64,
        (started, ended): (SystemTime, SystemTime),
        thought: Duration,
    ) -> Self {
        Self { sequence_id: sequence_id.into(), steps, further, started, ended, thought: (Duration::ZERO, thought) }
    }

    /// From sending the first request to the last byte of the last, without the think time between them.
    pub fn duration(&self) -> Duration {
        let whole = self.ended.duration_since(self.started).unwrap_or_default();
        whole.saturating_sub(self.thought())
    }

    /// The same journey, its steps told by something else.
    pub fn relabel<Other>(self, mut relabel: impl FnMut(Label) -> Other) -> Journey<Other> {
        let Self { sequence_id, steps, further, started, ended, thought } = self;
        let steps = steps.into_iter().map(|step| Step {
            label: relabel(step.label),
            started: step.started,
            duration: step.duration,
            status: step.status,
            failed: step.failed,
        });
        Journey { sequence_id, steps: steps.collect(), further, started, ended, thought }
    }
}

/// The journeys of one trigger while it runs.
#[derive(Debug, Default)]
pub(crate) struct Journeys(Vec<Journey<u32>>);

impl Journeys {
    /// Adds a request to the journey `sequence_id`; `thought` is the trigger's think time so far. One without a sequence
    /// is in no journey.
    pub(crate) fn add(&mut self, sequence_id: &str, step: Step<u32>, thought: Duration) {
        if sequence_id.is_empty() {
            return;
        }
        if let Some(journey) = self.0.iter_mut().find(|journey| *journey.sequence_id == *sequence_id) {
            journey.add(step, thought);
        } else if self.0.len() < JOURNEYS {
            // Most triggers have one, and a `Vec` would make room for four.
            self.0.reserve_exact(usize::from(self.0.is_empty()));
            self.0.push(Journey::begin(sequence_id, step, thought));
        }
    }

    /// The journeys, in the order in which their first requests ended.
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
        Step { label: 0, started: UNIX_EPOCH + Duration::from_millis(started), duration, status: 200, failed: false }
    }

    #[test]
    fn a_journey_lasts_from_its_first_send_to_its_last_byte_without_think_time() {
        let mut journeys = Journeys::default();
        journeys.add("a", step(10, 5), Duration::ZERO);
        journeys.add("b", step(11, 1), Duration::ZERO);
        journeys.add("a", step(30, 20), Duration::from_millis(7));
        // Sent beside the one before and done earlier.
        journeys.add("a", step(31, 3), Duration::from_millis(7));
        journeys.add("", step(0, 1000), Duration::ZERO);
        let journeys = journeys.into_vec();
        let durations: Vec<_> = journeys.iter().map(|journey| journey.duration().as_millis()).collect();
        assert_eq!(durations, [40 - 7, 1]);
        assert_eq!(journeys[0].steps.len(), 3);
    }

    #[test]
    fn steps_and_journeys_are_bounded_and_counted() {
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
