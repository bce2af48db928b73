//! The scope of a trigger: what code that runs within it can reach without being handed it.

use std::{
    any::Any,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::SmallRng};

use crate::{
    Context,
    metrics::{
        journey::{Journey, Journeys, Step},
        sink::{self, Sink},
        thought::{Pause, Thought},
    },
    support::{lock::lock, panic},
};

#[cfg(feature = "cookies")]
pub(crate) use reqwest::cookie::Jar;

/// Stands for a cookie jar if the feature `cookies` is off.
#[cfg(not(feature = "cookies"))]
#[derive(Debug, Default)]
pub(crate) struct Jar;

/// A [`Shared`] whose type only its load test knows.
pub(crate) type SharedValue = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static SCOPE: Arc<Scope>;
}

/// Most failures that one trigger keeps in mind.
const FAILURES: usize = 16;

/// One trigger (or one `start`, `stop`, `setup`, `teardown`) as seen from within.
pub(crate) struct Scope {
    pub(crate) sink: Arc<dyn Sink>,
    #[cfg_attr(not(feature = "cookies"), expect(dead_code, reason = "nobody asks for it"))]
    pub(crate) jar: Arc<Jar>,
    pub(crate) shared: Option<SharedValue>,
    notes: Notes,
    /// What failed requests and measured steps have said.
    failures: Mutex<Vec<Box<str>>>,
    thought: Thought,
    seed: Option<(u64, u64, u64)>,
    random: OnceLock<Mutex<SmallRng>>,
}

/// What a trigger is told of its requests, for whoever asks it once it has ended.
enum Notes {
    FirstSequence(OnceLock<String>),
    Journeys(Mutex<Journeys>),
}

impl Scope {
    pub(crate) fn new(sink: Arc<dyn Sink>, jar: Arc<Jar>, shared: Option<SharedValue>) -> Self {
        Self {
            sink,
            jar,
            shared,
            notes: Notes::FirstSequence(OnceLock::new()),
            failures: Mutex::default(),
            thought: Thought::default(),
            seed: None,
            random: OnceLock::new(),
        }
    }

    /// Random choices of a trigger that says which user and iteration it is are the same each time, for one `seed`.
    pub(crate) fn seeded_by(mut self, context: &Context, seed: u64) -> Self {
        self.seed = context.user.zip(context.iteration).map(|(user, iteration)| (user, iteration, seed));
        self
    }

    /// Keeps the journeys of its requests, rather than its first sequence.
    pub(crate) fn with_journeys(mut self) -> Self {
        self.notes = Notes::Journeys(Mutex::default());
        self
    }

    /// Tells the trigger of a request it made.
    pub(crate) fn note_step(&self, sequence_id: &str, step: Step<u32>) {
        if let Notes::Journeys(journeys) = &self.notes {
            lock(journeys).add(sequence_id, step, self.thought());
        }
    }

    /// Tells the trigger that a request or a measured step has failed, in the words of its error.
    #[cold]
    pub(crate) fn note_failure(&self, error: &str) {
        let mut failures = lock(&self.failures);
        if failures.len() < FAILURES && !failures.iter().any(|known| **known == *error) {
            failures.push(error.into());
        }
    }

    /// Whether a reason is, or has among its causes, the error of a request or measured step that has failed.
    pub(crate) fn has_recorded(&self, reason: &str) -> bool {
        lock(&self.failures).iter().any(|error| is_among_causes(error, reason))
    }

    /// The journeys so far.
    pub(crate) fn take_journeys(&self) -> Vec<Journey<u32>> {
        match &self.notes {
            Notes::Journeys(journeys) => std::mem::take(&mut *lock(journeys)).into_vec(),
            Notes::FirstSequence(_) => Vec::new(),
        }
    }

    pub(crate) fn run<F: Future>(self: Arc<Self>, future: F) -> impl Future<Output = F::Output> + use<F> {
        SCOPE.scope(self, future)
    }

    /// Tells the trigger of a sequence it uses; it keeps the first that says anything.
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

    /// Time that is no part of the trigger's duration.
    pub(crate) fn thought(&self) -> Duration {
        self.thought.total()
    }

    /// Time that is no part of the trigger's duration, and time in requests and measured steps, those that overlap once.
    pub(crate) fn times(&self) -> (Duration, Duration) {
        self.thought.totals()
    }

    /// Begins a pause that is no part of the trigger's duration, until what this gives is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.thought.pause()
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

/// Whether an error is one of the causes in `reason`, which are parted by colons.
fn is_among_causes(error: &str, reason: &str) -> bool {
    reason.match_indices(error).any(|(at, _)| {
        let (before, after) = (&reason[..at], &reason[at + error.len()..]);
        (before.is_empty() || before.ends_with(": ")) && (after.is_empty() || after.starts_with(':'))
    })
}

/// A generator that differs each time.
pub(crate) fn entropy() -> SmallRng {
    SmallRng::seed_from_u64(std::hash::RandomState::new().hash_one(()))
}

/// The scope this code runs in, if any.
pub(crate) fn current() -> Option<Arc<Scope>> {
    SCOPE.try_with(Arc::clone).ok()
}

/// Has the scope this code runs in, if any.
pub(crate) fn with_current<T>(use_it: impl FnOnce(&Scope) -> T) -> Option<T> {
    SCOPE.try_with(|scope| use_it(scope)).ok()
}

/// Where the outputs of code in this scope go, or of code in none.
pub(crate) fn sink_of(scope: Option<&Scope>) -> Arc<dyn Sink> {
    scope.map_or_else(sink::process, |scope| Arc::clone(&scope.sink))
}

/// Where `sink` cannot keep up: what to wait for. The wait is no part of the trigger's duration, which is the target's.
pub(crate) fn room<'a>(sink: &'a dyn Sink, scope: Option<&'a Scope>) -> Option<impl Future<Output = ()> + Send + 'a> {
    let room = sink.backpressure()?;
    Some(async move {
        let _pause = scope.map(Scope::pause);
        room.await;
    })
}

/// Tells the trigger this code runs in, if any, of a sequence it uses.
pub(crate) fn note_sequence(id: &str) {
    let _ = SCOPE.try_with(|scope| scope.note_sequence(id));
}

/// [`tokio::spawn`](https://docs.rs/tokio/latest/tokio/fn.spawn.html) for a load test: the task keeps the user's
/// cookies and belongs to the trigger's journey.
///
/// A trigger does not wait for its tasks: await the handle where it should. A panic of the task is counted in the report
/// of the run, as one outside of a trigger.
///
/// # Panics
///
/// Outside a tokio runtime, as `tokio::spawn` does.
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
    match current() {
        Some(scope) => tokio::spawn(scope.run(future)),
        None => tokio::spawn(future),
    }
}

#[cfg(test)]
mod tests {
    use super::is_among_causes;

    #[test]
    fn a_cause_is_found_between_colons_alone() {
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
