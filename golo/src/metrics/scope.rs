//! Scope of a trigger: the context that code within it can reach without being passed it.

use std::any::Any;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::SmallRng};

use crate::Context;
use crate::metrics::group;
use crate::metrics::journey::{Journey, Journeys, Step};
use crate::metrics::sink::{self, Sink};
use crate::metrics::tag_set::TagSet;
use crate::metrics::thought::{Pause, Thought};
use crate::metrics::trace::TraceSeed;
use crate::metrics::visitor::Visitor;
use crate::support::lock::lock;
use crate::support::panic;

/// Value of a [`Shared`](crate::Shared), with its type erased.
pub(crate) type SharedValue = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static SCOPE: Arc<Scope>;
}

/// Key of the tag with the scenario of a trigger.
pub(crate) const SCENARIO: &str = "scenario";
/// Largest number of distinct failures that one trigger keeps.
const FAILURES: usize = 16;

/// Context of one trigger, or of one `start`, `stop`, `setup` or `teardown`.
pub(crate) struct Scope {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) visitor: Arc<Visitor>,
    pub(crate) shared: Option<SharedValue>,
    notes: Notes,
    /// Number of the set of the trigger's tags.
    tags: AtomicU32,
    /// Errors of failed requests and measured steps.
    failures: Mutex<Vec<Box<str>>>,
    thought: Thought,
    trace: TraceSeed,
    seed: Option<(u64, u64, u64)>,
    random: OnceLock<Mutex<SmallRng>>,
}

/// Facts about the trigger's requests that are collected for its end.
enum Notes {
    FirstSequence(OnceLock<String>),
    Journeys(Mutex<Journeys>),
}

impl Scope {
    pub(crate) fn new(sink: Arc<dyn Sink>, visitor: Arc<Visitor>, shared: Option<SharedValue>) -> Self {
        Self {
            sink,
            visitor,
            shared,
            notes: Notes::FirstSequence(OnceLock::new()),
            tags: AtomicU32::new(TagSet::EMPTY.number()),
            failures: Mutex::default(),
            thought: Thought::default(),
            trace: TraceSeed::default(),
            seed: None,
            random: OnceLock::new(),
        }
    }

    /// Returns a scope of the same visitor and sink with another value of `setup`.
    pub(crate) fn sharing(&self, shared: SharedValue) -> Self {
        Self::new(Arc::clone(&self.sink), Arc::clone(&self.visitor), Some(shared))
    }

    /// Sets the trigger of the scope. Its scenario becomes a tag. Random choices are seeded with `seed`, the user and the
    /// iteration, so that they are the same in each run, if `context` names a user and an iteration.
    pub(crate) fn of_trigger(mut self, context: &Context, seed: u64) -> Self {
        if let Some(scenario) = &context.scenario {
            self.set_tags(TagSet::EMPTY.with(SCENARIO, scenario));
        }
        self.seed = context.user.zip(context.iteration).map(|(user, iteration)| (user, iteration, seed));
        self
    }

    /// Records the journeys of the requests instead of the first sequence ID.
    pub(crate) fn with_journeys(mut self) -> Self {
        self.notes = Notes::Journeys(Mutex::default());
        self
    }

    /// Returns the tags of the trigger, without those of a group.
    pub(crate) fn tags(&self) -> TagSet {
        TagSet::from_number(self.tags.load(Relaxed))
    }

    /// Replaces the tags of the trigger.
    pub(crate) fn set_tags(&self, tags: TagSet) {
        self.tags.store(tags.number(), Relaxed);
    }

    /// Records a request of this trigger. Returns the number of its journey, if it belongs to one.
    pub(crate) fn note_step(&self, sequence_id: &str, step: Step<u32>) -> Option<usize> {
        match &self.notes {
            Notes::Journeys(journeys) => lock(journeys).add(sequence_id, step, self.thought()),
            Notes::FirstSequence(_) => None,
        }
    }

    /// Records a group as a step of the journey with this number.
    pub(crate) fn note_group(&self, journey: usize, step: Step<u32>) {
        if let Notes::Journeys(journeys) = &self.notes {
            lock(journeys).add_group(journey, step);
        }
    }

    /// Records the error of a failed request or measured step.
    #[cold]
    pub(crate) fn note_failure(&self, error: &str) {
        let mut failures = lock(&self.failures);
        if failures.len() < FAILURES && !failures.iter().any(|known| **known == *error) {
            failures.push(error.into());
        }
    }

    /// Returns true if a reason is, or has among its causes, the error of a failed request or measured step.
    pub(crate) fn has_recorded(&self, reason: &str) -> bool {
        lock(&self.failures).iter().any(|error| is_among_causes(error, reason))
    }

    /// Returns the requests of a journey that have ended, as far as they are kept, and the number of the others.
    pub(crate) fn steps_so_far(&self, sequence_id: &str) -> (Vec<Step<u32>>, u64) {
        match &self.notes {
            Notes::Journeys(journeys) => {
                let journeys = lock(journeys);
                journeys.of(sequence_id).map_or((Vec::new(), 0), |journey| (journey.steps.clone(), journey.further))
            }
            Notes::FirstSequence(_) => (Vec::new(), 0),
        }
    }

    /// Returns the user and the iteration, if they are known.
    pub(crate) fn user_and_iteration(&self) -> Option<(u64, u64)> {
        self.seed.map(|(user, iteration, _)| (user, iteration))
    }

    /// Takes the journeys so far.
    pub(crate) fn take_journeys(&self) -> Vec<Journey<u32>> {
        match &self.notes {
            Notes::Journeys(journeys) => std::mem::take(&mut *lock(journeys)).into_vec(),
            Notes::FirstSequence(_) => Vec::new(),
        }
    }

    pub(crate) fn run<F: Future>(self: Arc<Self>, future: F) -> impl Future<Output = F::Output> + use<F> {
        SCOPE.scope(self, future)
    }

    /// Records a sequence ID. Only the first one that is not empty is kept.
    pub(crate) fn note_sequence(&self, id: &str) {
        if let Notes::FirstSequence(first) = &self.notes
            && !id.is_empty()
        {
            first.get_or_init(|| id.to_owned());
        }
    }

    pub(crate) fn first_sequence(&self) -> Option<&str> {
        match &self.notes {
            Notes::FirstSequence(first) => first.get().map(String::as_str),
            Notes::Journeys(_) => None,
        }
    }

    /// Returns the time that is not part of the trigger's duration.
    pub(crate) fn thought(&self) -> Duration {
        self.thought.total()
    }

    /// Returns the time that is not part of the trigger's duration, and the time spent in requests and measured steps.
    /// Overlapping requests count once.
    pub(crate) fn times(&self) -> (Duration, Duration) {
        self.thought.totals()
    }

    /// Starts a pause, which is not part of the trigger's duration. It lasts until the returned guard is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.thought.pause()
    }

    /// Returns the seed of the trace IDs of this trigger.
    pub(crate) fn trace_seed(&self) -> u64 {
        self.trace.get()
    }

    pub(crate) fn begin_measurement(&self, now: Instant) {
        self.thought.begin_measurement(now);
    }

    pub(crate) fn end_measurement(&self, now: Instant) {
        self.thought.end_measurement(now);
    }

    pub(crate) fn with_random<T>(&self, choose: impl FnOnce(&mut SmallRng) -> T) -> T {
        let random = self.random.get_or_init(|| {
            Mutex::new(match self.seed {
                Some(seed) => SmallRng::seed_from_u64(BuildHasherDefault::<DefaultHasher>::default().hash_one(seed)),
                None => entropy(),
            })
        });
        choose(&mut lock(random))
    }
}

/// Returns true if `error` is one of the causes in `reason`, which are separated by colons.
fn is_among_causes(error: &str, reason: &str) -> bool {
    reason.match_indices(error).any(|(at, _)| {
        let (before, after) = (&reason[..at], &reason[at + error.len()..]);
        (before.is_empty() || before.ends_with(": ")) && (after.is_empty() || after.starts_with(':'))
    })
}

/// Returns a generator with a random seed.
pub(crate) fn entropy() -> SmallRng {
    SmallRng::seed_from_u64(std::hash::RandomState::new().hash_one(()))
}

/// Returns the scope of the running code, if it has one.
pub(crate) fn current() -> Option<Arc<Scope>> {
    SCOPE.try_with(Arc::clone).ok()
}

/// Calls `use_it` with the scope of the running code, if it has one.
pub(crate) fn with_current<T>(use_it: impl FnOnce(&Scope) -> T) -> Option<T> {
    SCOPE.try_with(|scope| use_it(scope)).ok()
}

/// Returns the tags of the running code: those of the trigger, and of the group that it is in.
pub(crate) fn tags(scope: Option<&Scope>) -> TagSet {
    scope.map_or(TagSet::EMPTY, Scope::tags).under(group::current())
}

/// Returns the sink of `scope`, or the process's sink without a scope.
pub(crate) fn sink_of(scope: Option<&Scope>) -> Arc<dyn Sink> {
    scope.map_or_else(sink::process, |scope| Arc::clone(&scope.sink))
}

/// Returns a future to wait for if `sink` cannot keep up. That wait is not part of the trigger's duration.
pub(crate) fn room<'a>(sink: &'a dyn Sink, scope: Option<&'a Scope>) -> Option<impl Future<Output = ()> + Send + 'a> {
    let room = sink.backpressure()?;
    Some(async move {
        let _pause = scope.map(Scope::pause);
        room.await;
    })
}

/// Records a sequence ID in the scope of the running code, if it has one.
pub(crate) fn note_sequence(id: &str) {
    let _ = SCOPE.try_with(|scope| scope.note_sequence(id));
}

/// [`tokio::spawn`](https://docs.rs/tokio/latest/tokio/fn.spawn.html) for a load test: the task keeps the user's
/// cookies and tags, and belongs to the trigger's journey.
///
/// A trigger does not wait for its tasks. Await the returned handle to wait for one. If the task panics, the report
/// counts the panic as one outside of a trigger.
///
/// # Panics
///
/// Panics outside of a tokio runtime, like `tokio::spawn`.
///
/// ```no_run
/// # async fn load_test() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let journey = golo::new_sequence_id();
/// let image = golo::spawn({
///     let journey = journey.clone();
///     async move { golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items/1")).await }
/// });
/// golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items")).await?;
/// image.await??;
/// # Ok(()) }
/// ```
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let future = panic::counted(future);
    match (current(), group::inherited()) {
        (Some(scope), Some(group)) => tokio::spawn(scope.run(group.run(future))),
        (Some(scope), None) => tokio::spawn(scope.run(future)),
        (None, Some(group)) => tokio::spawn(group.run(future)),
        (None, None) => tokio::spawn(future),
    }
}

#[cfg(test)]
mod tests {
    use super::is_among_causes;

    #[test]
    fn is_among_causes_matches_whole_causes_only() {
        let error = "GET http://h/ could not connect";
        for reason in [error, "GET http://h/ could not connect: refused", "no cart: GET http://h/ could not connect"] {
            assert!(is_among_causes(error, reason), "{reason}");
        }
        for reason in ["refused", "GET http://h/ could not connect at all", "so GET http://h/ could not connect"] {
            assert!(!is_among_causes(error, reason), "{reason}");
        }
        assert!(!is_among_causes("no", "nobody knows: not I"));
    }
}
