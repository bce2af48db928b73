//! Journeys of a load test in another process: outputs with the same sequence ID, collected until their trigger has
//! answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use golo::OutputRef;
use golo::engine::slowest::{Journey, Step};
use rustc_hash::FxHashMap;

/// Largest number of open journeys. Requests of further sequences belong to no journey.
const OPEN: usize = 10_000;
/// A journey ends after this time without a request.
const SILENCE: Duration = Duration::from_secs(10);
/// Longest time that lines may come after the answer of their trigger.
const LATE: Duration = Duration::from_secs(1);

/// The journeys that have not ended yet.
#[derive(Debug, Default)]
pub struct OpenJourneys(Mutex<FxHashMap<Box<str>, Open>>);

#[derive(Debug)]
struct Open {
    journey: Option<Journey<u32>>,
    /// Time at which the journey ends unless another request comes.
    ends: Instant,
    has_answered: bool,
}

impl OpenJourneys {
    /// Adds a request with the label number `label` that was sent at `sent`.
    pub fn add(&self, label: u32, sent: SystemTime, output: &OutputRef<'_>) {
        let id = &*output.sequence_id;
        if id.is_empty() {
            return;
        }
        let step = Step::of(label, sent, output);
        let mut all = self.lock();
        if let Some(open) = all.get_mut(id) {
            if !open.has_answered {
                open.ends = Instant::now() + SILENCE;
            }
            match &mut open.journey {
                Some(journey) => journey.add(step, Duration::ZERO),
                none => *none = Some(Journey::begin(id, step, Duration::ZERO)),
            }
        } else if all.len() < OPEN {
            let journey = Some(Journey::begin(id, step, Duration::ZERO));
            all.insert(id.into(), Open { journey, ends: Instant::now() + SILENCE, has_answered: false });
        }
    }

    /// Records that the trigger of the sequence `id` has answered. The journey ends a second later.
    pub fn answered(&self, id: &str) {
        let ends = Instant::now() + LATE;
        let mut all = self.lock();
        if let Some(open) = all.get_mut(id) {
            (open.ends, open.has_answered) = (ends, true);
        } else if !id.is_empty() && all.len() < OPEN {
            all.insert(id.into(), Open { journey: None, ends, has_answered: true });
        }
    }

    /// Removes and returns the journeys that have ended by `now`.
    pub fn take_ended(&self, now: Instant) -> Vec<Journey<u32>> {
        let mut all = self.lock();
        all.extract_if(|_, open| open.ends <= now).filter_map(|(_, open)| open.journey).collect()
    }

    /// Removes and returns all journeys at the end of the run.
    pub fn take_all(&self) -> Vec<Journey<u32>> {
        self.lock().drain().filter_map(|(_, open)| open.journey).collect()
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<Box<str>, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn add(journeys: &OpenJourneys, id: &str) {
        let line = format!(
            r#"{{"sequenceID":"{id}","url":"http://h/","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1000,"error":null}}"#
        );
        journeys.add(0, UNIX_EPOCH, &OutputRef::parse(&line).unwrap());
    }

    #[test]
    fn journey_ends_soon_after_answer_and_later_without_one() {
        let journeys = OpenJourneys::default();
        let now = Instant::now();
        for id in ["a", "a", "b", ""] {
            add(&journeys, id);
        }
        journeys.answered("a");
        add(&journeys, "a");
        assert!(journeys.take_ended(now + LATE / 2).is_empty());
        let ended = journeys.take_ended(now + 2 * LATE);
        assert_eq!((ended.len(), ended[0].steps.len()), (1, 3));
        assert_eq!(journeys.take_ended(now + 2 * SILENCE).len(), 1);
        assert!(journeys.take_all().is_empty());
    }

    #[test]
    fn answer_may_come_before_lines() {
        let journeys = OpenJourneys::default();
        journeys.answered("a");
        journeys.answered("nothing was requested");
        add(&journeys, "a");
        let ended = journeys.take_ended(Instant::now() + 2 * LATE);
        assert_eq!((ended.len(), journeys.take_all().len()), (1, 0));
    }

    #[test]
    fn number_of_open_journeys_is_limited() {
        let journeys = OpenJourneys::default();
        (0..OPEN + 100).for_each(|id| add(&journeys, &id.to_string()));
        assert_eq!(journeys.take_all().len(), OPEN);
    }
}
