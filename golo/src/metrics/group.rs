//! Groups: named parts of a trigger, timed as a whole. What they contain has the tag `group`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::scope::{self, Scope};
use crate::metrics::tag_set::{GROUP, RequestTags, TagSet};

tokio::task_local! {
    static CURRENT: Group;
}

thread_local! {
    /// Facts about the group that was left last, for its [`Timing`], which is dropped next.
    static LEFT: Cell<Notes> = const { Cell::new(Notes { has_failed: false, journey: None }) };
}

/// Method of the step that a group adds to a journey.
pub(crate) const METHOD: &str = "GROUP";

/// Times `future` as a group of requests with this name, and returns its output.
///
/// Everything that `future` measures has the tag `group` with the name, and so has what it starts by
/// [`golo::spawn`](crate::spawn()). A group in another one is named after both, as `checkout::pay`.
///
/// The duration is that of the whole `future` without its think time. It is the metric `group_duration`, which
/// thresholds can select by name: `group_duration{group:checkout} p(95)<2s`. The group is also a step of the journey to
/// which its first request belongs. A group counts as failed if one of the requests, measured steps or groups that it
/// awaits failed, or if it was dropped before its end.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let journey = golo::new_sequence_id();
/// golo::group("checkout", async {
///     golo::do_request(&journey, golo::client().post("http://127.0.0.1:8765/cart")).await?;
///     golo::do_request(&journey, golo::client().post("http://127.0.0.1:8765/orders")).await
/// })
/// .await?;
/// # Ok(()) }
/// ```
pub fn group<F: Future>(name: &str, future: F) -> impl Future<Output = F::Output> + use<F> {
    let group = Group::of(current().entering(name));
    async move {
        let mut timing = Timing::start(group.tags);
        let output = CURRENT.scope(group, async move {
            let _leaving = Leaving;
            future.await
        });
        let output = output.await;
        timing.has_ended = true;
        output
    }
}

/// The group that the running code is in.
pub(crate) struct Group {
    tags: TagSet,
    notes: Cell<Notes>,
}

/// Facts about the requests of a group.
#[derive(Debug, Clone, Copy, Default)]
struct Notes {
    has_failed: bool,
    /// Number of the journey of the first request.
    journey: Option<usize>,
}

impl Group {
    fn of(tags: TagSet) -> Self {
        Self { tags, notes: Cell::default() }
    }

    /// Runs `future` in this group.
    pub(crate) fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self, future)
    }

    fn notes(&self) -> Notes {
        self.notes.get()
    }

    fn add(&self, more: Notes) {
        let notes = self.notes.get();
        let has_failed = notes.has_failed || more.has_failed;
        self.notes.set(Notes { has_failed, journey: notes.journey.or(more.journey) });
    }
}

/// Returns the tag of the group that the running code is in.
pub(crate) fn current() -> TagSet {
    CURRENT.try_with(|group| group.tags).unwrap_or_default()
}

/// Returns the group that the running code is in, for a task that it spawns.
pub(crate) fn inherited() -> Option<Group> {
    CURRENT.try_with(|group| Group::of(group.tags)).ok()
}

/// Records a request of the group that the running code is in, and the number of its journey.
pub(crate) fn note_request(journey: Option<usize>, has_failed: bool) {
    let _ = CURRENT.try_with(|group| group.add(Notes { has_failed, journey }));
}

/// A group that has ended, for [`Sink::group`](crate::Sink::group).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSample {
    /// Tags of the group. The tag `group` is its name.
    pub tags: RequestTags,
    /// Time from its start to its end, without think time.
    pub duration: Duration,
    /// True if it counts as failed.
    pub failed: bool,
    /// True if it was dropped before its end.
    pub dropped: bool,
    pub(crate) set: TagSet,
    pub(crate) started: Instant,
    /// Number of the journey that the group belongs to.
    pub(crate) journey: Option<usize>,
}

/// Measures a group until it is dropped.
struct Timing {
    tags: TagSet,
    scope: Option<Arc<Scope>>,
    started: Instant,
    /// Think time of the trigger at the start.
    thought: Duration,
    has_ended: bool,
}

/// Leaves the facts about the running group to its [`Timing`], which is dropped right after it, also if the group is
/// dropped before its end.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        let notes = CURRENT.try_with(Group::notes).unwrap_or_default();
        let _ = LEFT.try_with(|left| left.set(notes));
    }
}

impl Timing {
    fn start(group: TagSet) -> Self {
        let scope = scope::current();
        let tags = scope.as_deref().map_or(TagSet::EMPTY, Scope::tags).under(group);
        let thought = scope.as_deref().map_or(Duration::ZERO, Scope::thought);
        Self { tags, scope, started: Instant::now(), thought, has_ended: false }
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        let scope = self.scope.as_deref();
        let thought = scope.map_or(Duration::ZERO, Scope::thought).saturating_sub(self.thought);
        let mut notes = LEFT.try_with(Cell::take).unwrap_or_default();
        notes.has_failed |= !self.has_ended;
        let sample = GroupSample {
            tags: self.tags.into(),
            duration: self.started.elapsed().saturating_sub(thought),
            failed: notes.has_failed,
            dropped: !self.has_ended,
            set: self.tags,
            started: self.started,
            journey: notes.journey,
        };
        scope::sink_of(scope).group(&sample);
        // The group around this one.
        let _ = CURRENT.try_with(|group| group.add(notes));
    }
}

impl GroupSample {
    /// Returns the name of the group.
    #[must_use]
    pub fn name(&self) -> String {
        self.tags.get(GROUP).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{OutputRef, Sink};

    #[derive(Default)]
    struct Groups(Mutex<Vec<(String, bool, bool)>>);

    impl Sink for Groups {
        fn output(&self, _: &OutputRef<'_>) {}

        fn group(&self, sample: &GroupSample) {
            self.0.lock().unwrap().push((sample.name(), sample.failed, sample.dropped));
        }
    }

    async fn measured(future: impl Future<Output = ()>) -> Vec<(String, bool, bool)> {
        let groups = Arc::new(Groups::default());
        let sink: Arc<dyn Sink> = Arc::<Groups>::clone(&groups);
        Arc::new(Scope::new(sink, Arc::default(), None)).run(future).await;
        let mut groups = groups.0.lock().unwrap();
        std::mem::take(&mut *groups)
    }

    /// Polls a future once and drops it.
    async fn begin(future: impl Future) {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let _ = future.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn group_around_a_dropped_group_fails_too() {
        let groups = measured(async {
            group("outer", async {
                begin(group("inner", std::future::pending::<()>())).await;
                group("after", async {}).await;
            })
            .await;
            group("next", async {}).await;
        });
        let told = |name: &str, failed, dropped| (name.to_owned(), failed, dropped);
        assert_eq!(
            groups.await,
            [
                told("outer::inner", true, true),
                told("outer::after", false, false),
                told("outer", true, false),
                told("next", false, false),
            ]
        );
    }

    #[tokio::test]
    async fn dropped_group_keeps_the_journey_of_its_requests() {
        let noted = Arc::new(Mutex::new(None));
        let groups = measured(group("outer", {
            let noted = Arc::clone(&noted);
            async move {
                let inner = group("inner", async {
                    note_request(Some(7), true);
                    std::future::pending::<()>().await;
                });
                begin(inner).await;
                *noted.lock().unwrap() = CURRENT.with(Group::notes).journey;
            }
        }));
        assert_eq!(groups.await.len(), 2);
        assert_eq!(*noted.lock().unwrap(), Some(7));
    }
}
