//! Journeys of a load test in another process: its outputs that share a sequence ID, until its trigger has answered.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use golo::{
    OutputRef,
    engine::slowest::{Journey, Step},
};
use rustc_hash::FxHashMap;

/// Most journeys that are open; the requests of any further one are in no journey.
const OPEN: usize = 10_000;
/// One that is silent for so long has ended.
const SILENCE: Duration = Duration::from_secs(10);
/// Lines may come so much later than the answer of their trigger.
const LATE: Duration = Duration::from_secs(1);

/// The journeys that have not ended.
#[derive(Debug, Default)]
pub struct OpenJourneys(Mutex<FxHashMap<Box<str>, Open>>);

#[derive(Debug)]
struct Open {
    journey: Option<Journey<u32>>,
    /// When it ends if nothing more comes.
    ends: Instant,
    has_answered: bool,
}

impl OpenJourneys {
    /// A request of the label `label` was sent at `sent`, and has ended.
    pub fn add(&self, label: u32, sent: SystemTime, output: &OutputRef<'_>) {
        let id = &*output.sequence_id;
        if id.is_empty() {
            return;
        }
        let (status, failed) = (output.status, output.is_failed());
        let step = Step { label, started: sent, duration: output.duration, status, failed };
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

    /// The trigger of the sequence `id` has answered: what has not come by then comes soon.
    pub fn answered(&self, id: &str) {
        let ends = Instant::now() + LATE;
        let mut all = self.lock();
        if let Some(open) = all.get_mut(id) {
            (open.ends, open.has_answered) = (ends, true);
        } else if !id.is_empty() && all.len() < OPEN {
            all.insert(id.into(), Open { journey: None, ends, has_answered: true });
        }
    }

    /// Takes those that have ended by `now`.
    pub fn take_ended(&self, now: Instant) -> Vec<Journey<u32>> {
        let mut all = self.lock();
        all.extract_if(|_, open| open.ends <= now).filter_map(|(_, open)| open.journey).collect()
    }

    /// Takes all of them: nothing more comes.
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
    fn a_journey_ends_soon_after_its_answer_and_late_where_there_is_none() {
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
    fn an_answer_may_come_before_the_lines() {
        let journeys = OpenJourneys::default();
        journeys.answered("a");
        journeys.answered("nothing was requested");
        add(&journeys, "a");
        let ended = journeys.take_ended(Instant::now() + 2 * LATE);
        assert_eq!((ended.len(), journeys.take_all().len()), (1, 0));
    }

    #[test]
    fn there_are_only_so_many() {
        let journeys = OpenJourneys::default();
        (0..OPEN + 100).for_each(|id| add(&journeys, &id.to_string()));
        assert_eq!(journeys.take_all().len(), OPEN);
    }
}
