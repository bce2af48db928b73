//! Users of a load test that is triggered from outside: a pool of user states, lent to one trigger at a time.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Context;
use crate::error::reason;
use crate::loadtest::erased::{Erased, UserState};
use crate::metrics::scope::{Scope, SharedValue};
use crate::metrics::sink::{Discard, Sink};
use crate::metrics::visitor::Visitor;
use crate::support::lock::lock;
use crate::support::panic::{caught, caught_and_counted, caught_now};

/// Largest number of users at a time. A trigger that needs another one waits.
const MOST: usize = 10_000;
/// Time after which an idle user is ended.
const IDLE: Duration = Duration::from_secs(60);

pub(crate) struct Users {
    adapter: Arc<dyn Erased>,
    room: Arc<Semaphore>,
    /// Number of triggers that wait for room.
    waiting: AtomicUsize,
    /// Idle users that no context named. The last used one is at the end.
    idle: Mutex<Vec<Live>>,
    /// Users that a context named. The inner lock queues the triggers of one user.
    named: Mutex<HashMap<u64, Named>>,
    /// Tasks of users that are stopping.
    ending: Mutex<JoinSet<()>>,
    /// Number of users that are stopping and have not stopped yet. If a stop is cut off, its user stays counted.
    unstopped: Arc<AtomicUsize>,
}

type Named = Arc<tokio::sync::Mutex<Option<Live>>>;

/// A user that has started.
struct Live {
    state: UserState,
    visitor: Arc<Visitor>,
    shared: SharedValue,
    last_used: Instant,
    _room: OwnedSemaphorePermit,
}

impl Users {
    pub(crate) fn new(adapter: Arc<dyn Erased>) -> Self {
        Self {
            adapter,
            room: Arc::new(Semaphore::new(MOST)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
            named: Mutex::default(),
            ending: Mutex::default(),
            unstopped: Arc::default(),
        }
    }

    /// Lends a user to a trigger: the user that its context names, once it is free, or else any idle one or a new one.
    ///
    /// # Errors
    ///
    /// Returns the reason if the user could not start.
    pub(crate) async fn lease(&self, context: &Context, shared: &SharedValue) -> Result<Lease<'_>, String> {
        let (home, live) = match context.user {
            Some(user) => {
                let named = Arc::clone(lock(&self.named).entry(user).or_default());
                let mut home = named.lock_owned().await;
                let live = home.take();
                (Some(home), live)
            }
            None => (None, lock(&self.idle).pop()),
        };
        let live = match live {
            Some(live) => live,
            None => self.start(context, shared).await?,
        };
        let mut lease = Lease { users: self, live: Some(live), home };
        if let Some(scenario) = &context.scenario {
            let shared = self.adapter.shared_of(shared, Some(scenario));
            let scope = aside(&lease.visitor(), &shared, Arc::new(Discard));
            // A user that cannot start for this scenario goes back to the others.
            let completed = complete(&*self.adapter, scenario, context, lease.state(), scope).await;
            completed.map_err(|reason| not_started(context, &reason))?;
        }
        Ok(lease)
    }

    async fn start(&self, context: &Context, shared: &SharedValue) -> Result<Live, String> {
        let room = self.make_room().await;
        let visitor = Arc::new(Visitor::of_user(context.user));
        let started = start(&*self.adapter, context, aside(&visitor, shared, Arc::new(Discard))).await;
        let state = started.map_err(|reason| not_started(context, &reason))?;
        Ok(Live { state, visitor, shared: Arc::clone(shared), last_used: Instant::now(), _room: room })
    }

    /// Reserves room for one more user. If there is none, ends an idle user, and waits until there is room.
    async fn make_room(&self) -> OwnedSemaphorePermit {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            return room;
        }
        // Counted before looking for an idle user: a user that becomes idle afterwards makes room, see
        // `make_room_for_others`.
        let _waiting = Waiting::one(&self.waiting);
        if let Some(live) = self.take_idle() {
            self.end(live);
        }
        #[expect(clippy::expect_used, reason = "nothing closes the semaphore")]
        Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is open")
    }

    fn make_room_for_others(&self) {
        if self.waiting.load(SeqCst) > 0
            && let Some(live) = self.take_idle()
        {
            self.end(live);
        }
    }

    /// Takes any idle user.
    fn take_idle(&self) -> Option<Live> {
        let unnamed = lock(&self.idle).pop();
        unnamed.or_else(|| lock(&self.named).values().find_map(|named| named.try_lock().ok()?.take()))
    }

    /// Ends users that have been idle for too long. Checks regularly and never returns.
    pub(crate) async fn end_idle(&self) {
        let mut ticks = tokio::time::interval(IDLE / 6);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            for live in self.take_where(|live| now - live.last_used >= IDLE) {
                self.end(live);
            }
            while lock(&self.ending).try_join_next().is_some() {}
        }
    }

    /// Ends all users that are not in use, and waits until they have stopped.
    pub(crate) async fn end_all(&self) {
        for live in self.take_where(|_| true) {
            self.end(live);
        }
        let mut ending = std::mem::take(&mut *lock(&self.ending));
        while ending.join_next().await.is_some() {}
    }

    /// Returns the number of users that have begun to stop and have not stopped yet.
    pub(crate) fn unstopped(&self) -> usize {
        self.unstopped.load(SeqCst)
    }

    fn take_where(&self, wanted: impl Fn(&Live) -> bool) -> Vec<Live> {
        let mut taken: Vec<_> = lock(&self.idle).extract_if(.., |live| wanted(live)).collect();
        lock(&self.named).retain(|_, named| {
            // A trigger has or is about to get this user. No other can start to while the map is locked.
            if Arc::strong_count(named) > 1 {
                return true;
            }
            let Ok(mut home) = named.try_lock() else {
                return true;
            };
            taken.extend(home.take_if(|live| wanted(live)));
            home.is_some()
        });
        taken
    }

    /// Stops a user in a task of its own: stopping may take long, and a trigger that waits for the room may give up.
    fn end(&self, live: Live) {
        // Without a runtime, for example while it shuts down, the user is dropped without its `stop`.
        if let Ok(runtime) = Handle::try_current() {
            self.unstopped.fetch_add(1, SeqCst);
            let (adapter, unstopped) = (Arc::clone(&self.adapter), Arc::clone(&self.unstopped));
            let ending = async move {
                ended(adapter, live).await;
                unstopped.fetch_sub(1, SeqCst);
            };
            lock(&self.ending).spawn_on(ending, &runtime);
        }
    }
}

async fn ended(adapter: Arc<dyn Erased>, live: Live) {
    let Live { state, visitor, shared, last_used: _, _room } = live;
    stop(&*adapter, state, aside(&visitor, &shared, Arc::new(Discard))).await;
}

/// Starts a user in a scope from [`aside`].
///
/// # Errors
///
/// Returns the reason if the user could not start.
pub(crate) async fn start(adapter: &dyn Erased, context: &Context, scope: Arc<Scope>) -> Result<UserState, String> {
    let started = scope.run(caught(async { adapter.start(context).await })).await;
    started.and_then(|result| result.map_err(reason))
}

/// Starts the state that a user needs for a scenario, unless it has it, in a scope from [`aside`].
///
/// # Errors
///
/// Returns the reason if the user could not start.
pub(crate) async fn complete(
    adapter: &dyn Erased,
    scenario: &str,
    context: &Context,
    state: &mut UserState,
    scope: Arc<Scope>,
) -> Result<(), String> {
    let completed = scope.run(caught(async { adapter.complete(scenario, context, state).await })).await;
    completed.and_then(|result| result.map_err(reason))
}

/// Stops a user in a scope from [`aside`].
pub(crate) async fn stop(adapter: &dyn Erased, state: UserState, scope: Arc<Scope>) {
    // There is no trigger that could report the panic.
    let stopping = caught_and_counted("in a user's `stop`", async { adapter.stop(state).await });
    let _ = scope.run(stopping).await;
}

/// A user that is lent to a trigger. Dropping it returns the user to the pool, however the trigger ended.
pub(crate) struct Lease<'a> {
    users: &'a Users,
    live: Option<Live>,
    home: Option<OwnedMutexGuard<Option<Live>>>,
}

impl Lease<'_> {
    pub(crate) fn visitor(&self) -> Arc<Visitor> {
        self.live.as_ref().map(|live| Arc::clone(&live.visitor)).unwrap_or_default()
    }

    pub(crate) fn state(&mut self) -> &mut UserState {
        #[expect(clippy::expect_used, reason = "only `discard` and `drop` take the user, and both end the lease")]
        &mut self.live.as_mut().expect("a lease has its user").state
    }

    /// Drops the user instead of returning it: after a panic its state is unknown.
    pub(crate) fn discard(mut self) {
        let live = self.live.take();
        // A value that was part of a panic may panic again when it is dropped.
        let _ = caught_now(|| drop(live));
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(mut live) = self.live.take() {
            live.last_used = Instant::now();
            match self.home.take() {
                Some(mut home) => *home = Some(live),
                None => lock(&self.users.idle).push(live),
            }
            self.users.make_room_for_others();
        }
    }
}

/// Counts one more waiting trigger until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Creates the scope of a user's code outside its triggers. It has the user's cookies and connections, and `sink` receives its
/// requests, which are not load.
pub(crate) fn aside(visitor: &Arc<Visitor>, shared: &SharedValue, sink: Arc<dyn Sink>) -> Arc<Scope> {
    Arc::new(Scope::new(sink, Arc::clone(visitor), Some(Arc::clone(shared))))
}

fn not_started(context: &Context, reason: &str) -> String {
    match context.user {
        Some(user) => format!("user {user} could not start: {reason}"),
        None => format!("the user could not start: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;
    use crate::loadtest::adapter::{Adapter, Trigger};
    use crate::loadtest::erased::Annotated;
    use crate::{BoxError, Response, Shared, User};

    static STOPPED: AtomicUsize = AtomicUsize::new(0);

    struct Counted;

    impl User for Counted {
        async fn start(_: &Context) -> Result<Self, BoxError> {
            Ok(Self)
        }

        async fn stop(self) {
            STOPPED.fetch_add(1, SeqCst);
        }
    }

    impl Adapter for Counted {
        type User = Self;

        async fn trigger(trigger: Trigger, _: &mut Self) -> Result<Response, BoxError> {
            Ok(trigger.into_prepared())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_users_are_ended_and_users_in_use_are_not() {
        let users = Users::new(Arc::new(Annotated::<Counted>(PhantomData)));
        let shared: SharedValue = Arc::new(());
        let named = |user| Context { user, ..Context::default() };
        let lease = async |user| users.lease(&named(user), &shared).await.unwrap_or_else(|reason| panic!("{reason}"));
        let ending = async {
            drop((lease(None).await, lease(Some(1)).await));
            let in_use = (lease(Some(2)).await, lease(None).await);
            tokio::time::sleep(IDLE * 2).await;
            assert_eq!(STOPPED.load(SeqCst), 1, "user 1 has stopped; the unnamed user was lent again");
            assert_eq!(lock(&users.named).len(), 1, "the entry of user 1 is removed");
            drop(in_use);
            tokio::time::sleep(IDLE / 2).await;
            assert_eq!(STOPPED.load(SeqCst), 1, "the others have not been idle for long enough");
            tokio::time::sleep(IDLE).await;
            assert_eq!(STOPPED.load(SeqCst), 3);
            assert_eq!(users.room.available_permits(), MOST);
        };
        tokio::select! {
            () = users.end_idle() => {}
            () = ending => {}
        }
    }

    /// Counts in the shared value how many users have begun to stop and have stopped. A user of the job `slow` stops
    /// slowly.
    struct Leaver {
        is_slow: bool,
    }

    #[derive(Default)]
    struct Leaving {
        begun: AtomicUsize,
        ended: AtomicUsize,
    }

    /// Time that a slow user takes to stop.
    const SLOW: Duration = Duration::from_secs(3600);

    impl User for Leaver {
        async fn start(context: &Context) -> Result<Self, BoxError> {
            Ok(Self { is_slow: context.job_name == "slow" })
        }

        async fn stop(self) {
            let Some(leaving) = Shared::<Leaving>::current() else { return };
            leaving.begun.fetch_add(1, SeqCst);
            if self.is_slow {
                tokio::time::sleep(SLOW).await;
            }
            leaving.ended.fetch_add(1, SeqCst);
        }
    }

    impl Adapter for Leaver {
        type User = Self;

        async fn trigger(trigger: Trigger, _: &mut Self) -> Result<Response, BoxError> {
            Ok(trigger.into_prepared())
        }
    }

    struct Leavers {
        users: Users,
        leaving: Arc<Leaving>,
    }

    impl Leavers {
        fn new() -> Self {
            Self { users: Users::new(Arc::new(Annotated::<Leaver>(PhantomData))), leaving: Arc::default() }
        }

        async fn lease(&self, job_name: &str, user: Option<u64>) -> Lease<'_> {
            let context = Context { job_name: job_name.to_owned(), user, ..Context::default() };
            let shared: SharedValue = Arc::<Leaving>::clone(&self.leaving);
            self.users.lease(&context, &shared).await.unwrap_or_else(|reason| panic!("{reason}"))
        }

        /// Returns the number of users that have begun to stop, and of those that have stopped.
        fn counts(&self) -> (usize, usize) {
            (self.leaving.begun.load(SeqCst), self.leaving.ended.load(SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_stop_delays_no_other_user_and_end_all_waits_for_it() {
        let leavers = Leavers::new();
        let idle = async {
            drop(leavers.lease("slow", Some(1)).await);
            drop(leavers.lease("", None).await);
            tokio::time::sleep(IDLE * 2).await;
            assert_eq!(leavers.counts(), (2, 1), "the slow user is still stopping");
            drop(leavers.lease("", Some(2)).await);
            tokio::time::sleep(IDLE * 2).await;
            assert_eq!(leavers.counts(), (3, 2), "the slow stop does not delay a later user");
        };
        tokio::select! {
            () = leavers.users.end_idle() => {}
            () = idle => {}
        }
        drop(leavers.lease("", None).await);
        assert!(tokio::time::timeout(SLOW / 2, leavers.users.end_all()).await.is_err());
        assert_eq!(leavers.counts(), (4, 3), "the slow user is still stopping");
    }

    #[tokio::test(start_paused = true)]
    async fn end_all_waits_for_stops_that_have_begun() {
        let leavers = Leavers::new();
        drop(leavers.lease("slow", None).await);
        let idle = tokio::time::timeout(IDLE * 2, leavers.users.end_idle());
        assert!(idle.await.is_err());
        assert_eq!(leavers.counts(), (1, 0));
        leavers.users.end_all().await;
        assert_eq!(leavers.counts(), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn trigger_that_gives_up_waiting_for_room_interrupts_no_stop() {
        let leavers = Leavers::new();
        drop(leavers.lease("slow", None).await);
        let _others = Arc::clone(&leavers.users.room).acquire_many_owned((MOST - 1) as u32).await;
        let impatient = tokio::time::timeout(SLOW / 2, leavers.lease("", Some(1)));
        assert!(impatient.await.is_err(), "only a stopped user makes room");
        assert_eq!(leavers.counts(), (1, 0));
        leavers.users.end_all().await;
        assert_eq!(leavers.counts(), (1, 1));
        drop(leavers.lease("", Some(1)).await);
    }
}
