//! A lane: one load of the plan on one worker. Its conductor, a part of the worker's main task, starts users and triggers
//! when they are due.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{timeout, timeout_at};

use super::held::Held;
use super::load::Load;
use super::stalls::Stalls;
use super::{AT_ONCE, CATCHING_UP, LAST_MOMENT, LoadEnds, NANOSECOND, Run, SECOND, drive};
use crate::Context;
use crate::engine::orders::Orders;
use crate::engine::plan::Model;
use crate::engine::recorder::{self, Recorder};
use crate::engine::share::Share;
use crate::engine::stillness::STILL;
use crate::engine::timer::Timer;
use crate::engine::trigger::Trigger;
use crate::engine::users::Users;
use crate::support::lock::lock;

/// Times of the load's measured part.
#[derive(Clone, Copy)]
pub(super) struct Timeline {
    /// Start of the measured part of the load.
    pub(super) start: Instant,
    pub(super) end: Option<Instant>,
}

/// One load of the plan on one worker, with its users.
pub(super) struct Lane<T: Trigger> {
    pub(super) run: Arc<Run<T>>,
    pub(super) share: Share,
    /// True if it is the only load.
    is_alone: bool,
    users: Mutex<Users<T::User>>,
    /// Closed model: number of users that this lane is to have.
    pub(super) wanted: AtomicU32,
    /// Time from which nothing starts any more.
    pub(super) stopped: OnceLock<Instant>,
    timeline: OnceLock<Timeline>,
    /// Periods in which the worker's thread stood still.
    stalls: Mutex<Stalls>,
    /// Notified when something that the lane's conductor waits for has changed.
    pub(super) changed: Notify,
}

impl<T: Trigger> Lane<T> {
    pub(super) fn new(run: Arc<Run<T>>, share: Share, is_alone: bool) -> Self {
        Self {
            run,
            share,
            is_alone,
            users: Mutex::default(),
            wanted: AtomicU32::new(0),
            stopped: OnceLock::new(),
            timeline: OnceLock::new(),
            stalls: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Starts the users of the opening load, unless an order ends the load before. Returns their number.
    ///
    /// # Errors
    ///
    /// Returns an error if users remain starting, and none gets ready.
    pub(super) async fn prepare(self: &Arc<Self>) -> Result<u64, String> {
        let mut orders = self.run.commander.subscribe();
        tokio::select! {
            users = self.start_opening_users() => users,
            _ = orders.wait_for(|orders| orders.over().is_some()) => Ok(0),
        }
    }

    /// Runs the load from `start` on, until nothing is in flight any more. Returns its end and the number of users then.
    pub(super) async fn conduct(
        self: &Arc<Self>,
        start: Instant,
        timer: &mut Timer,
        ends: &LoadEnds,
    ) -> (Instant, u64) {
        let mut orders = self.run.commander.subscribe();
        self.wait_for(start, timer, &mut orders).await;
        let over = self.lead(start, timer, &mut orders, ends).await;
        let users = self.planned_users();
        let was_cut = self.drain(timer, &mut orders).await;
        if ends.drained() {
            if was_cut {
                recorder::with(Recorder::end_cut);
                self.run.measured.foreign().end_cut();
            }
            self.stop_users().await;
        }
        (over, users)
    }

    /// Waits until the warm-up begins, or until an order ends the run.
    async fn wait_for(&self, start: Instant, timer: &mut Timer, orders: &mut watch::Receiver<Orders>) {
        // The subtraction succeeds, since the engine sets the start at least one warm-up ahead.
        let begin = start.checked_sub(self.run.load.warm_up()).unwrap_or(start);
        while Instant::now() < begin && orders.borrow_and_update().over().is_none() {
            tokio::select! {
                biased;
                _ = orders.changed() => {}
                () = timer.sleep_until(begin) => {}
            }
        }
    }

    /// Starts everything that is due until the plan or an order ends the load.
    async fn lead(
        self: &Arc<Self>,
        start: Instant,
        timer: &mut Timer,
        orders: &mut watch::Receiver<Orders>,
        ends: &LoadEnds,
    ) -> Instant {
        let end = self.run.load.duration().map(|duration| start + duration);
        let timeline = *self.timeline.get_or_init(|| Timeline { start, end });
        let mut load = Load::new(&self.run, self.share, timeline);
        let over = loop {
            let (over, adjustment) = {
                let told = orders.borrow_and_update();
                (told.over(), load.news(&told))
            };
            if let Some(over) = over {
                break over;
            }
            if let Some(adjustment) = adjustment {
                load.adjust(self, adjustment);
            }
            let now = Instant::now();
            // Starts that were due before the end are still made.
            let until = end.filter(|end| now >= *end).map_or(now, |end| end - NANOSECOND);
            let Some(next) = load.advance(self, until) else { break now };
            let is_behind = next <= until;
            if end.is_some_and(|end| now >= end && !(is_behind && now < end + CATCHING_UP)) {
                break now;
            }
            if is_behind {
                // Let the started triggers run even if starts are due faster than they can be made.
                yield_now().await;
                continue;
            }
            let wake = end.map_or(next, |end| end.min(next));
            self.stalls().expect(wake);
            tokio::select! {
                biased;
                _ = orders.changed() => {}
                () = timer.sleep_until(wake) => {}
                () = self.changed.notified() => {}
            }
            self.stalls().note(Instant::now());
        };
        let over = end.map_or(over, |end| end.min(over));
        ends.ended(over);
        let _ = self.stopped.set(over);
        load.forgo(self, over);
        over
    }

    /// Waits for triggers in flight within the grace period, then cuts off the rest.
    /// Returns true if some was cut off.
    async fn drain(&self, timer: &mut Timer, orders: &mut watch::Receiver<Orders>) -> bool {
        while self.users().in_flight() > 0 {
            let now = Instant::now();
            let told = orders.borrow_and_update().clone();
            // A plan without a duration takes as long as its iterations do.
            let over = [told.stopped, self.timeline().end].into_iter().flatten().min();
            let cut = over.map(|over| over + self.run.load.graceful_stop());
            if told.is_cutting || cut.is_some_and(|cut| now >= cut) {
                self.cut().await;
                return true;
            }
            tokio::select! {
                _ = orders.changed() => {}
                () = timer.sleep_until(cut.unwrap_or(now)), if cut.is_some() => {}
                () = self.changed.notified() => {}
            }
        }
        false
    }

    async fn cut(&self) {
        recorder::with(Recorder::cut);
        // Cuts off requests made outside this thread too, for example by another process for a trigger.
        self.run.measured.foreign().cut();
        self.users().abort();
        while self.users().in_flight() > 0 {
            self.changed.notified().await;
        }
    }

    /// Wakes the conductor if the load is over, since it may be waiting for a user to end.
    pub(super) fn tell_if_stopped(&self) {
        if self.stopped.get().is_some() {
            self.changed.notify_one();
        }
    }

    /// Closed model: starts the users of the opening load before the clock starts. Returns the number of users, or an
    /// error if some remain starting and none gets ready.
    async fn start_opening_users(self: &Arc<Self>) -> Result<u64, String> {
        let Model::Closed { users, .. } = self.run.load.model() else { return Ok(0) };
        let opening = self.share.count(users.whole_at(Duration::ZERO));
        if !self.run.trigger.has_users() {
            return Ok(opening);
        }
        let starts = (0..opening as u32).filter_map(|number| {
            let user = self.users().take(number)?;
            Some(drive::start_opening_user(Held::new(self, number, user)))
        });
        let ended = Cell::new(0);
        let mut starting = pin!(run_all(starts, &ended));
        loop {
            let (before, since) = (ended.get(), Instant::now());
            if timeout(STILL, &mut starting).await.is_ok() {
                return Ok(opening - self.users().failed() as u64);
            }
            // If it took much longer, this process stood still, and so did the users.
            let is_late = since.elapsed() > STILL + SECOND;
            if ended.get() == before && !is_late {
                let still = humantime::format_duration(STILL);
                return Err(format!("no user has started or failed to start for {still}, and some are still starting"));
            }
        }
    }

    /// Stops all users within the grace period and counts the `stop` calls that are cut off.
    pub(super) async fn stop_users(self: &Arc<Self>) {
        let mut orders = self.run.commander.subscribe();
        let started = self.users().take_idle(0, u32::MAX);
        if !self.run.trigger.has_users() {
            return;
        }
        let deadline = tokio::time::Instant::now() + self.run.load.graceful_stop().max(LAST_MOMENT);
        let (count, stopped) = (started.len(), Cell::new(0));
        let stopping = async {
            let stops = started.into_iter().map(|(_, state)| {
                let trigger = Arc::clone(&self.run.trigger);
                async move { trigger.stop(state).await }
            });
            run_all(stops, &stopped).await;
            // Users retired before the end may still be stopping.
            while self.users().busy() > 0 {
                self.changed.notified().await;
            }
        };
        let cut = async {
            let _ = orders.wait_for(|orders| orders.is_cutting).await;
            tokio::time::sleep(LAST_MOMENT).await;
        };
        tokio::select! {
            _ = timeout_at(deadline, stopping) => {}
            () = cut => {}
        }
        let cut_off = count.saturating_sub(stopped.get()) + self.users().leaving();
        recorder::with(|recorder| recorder.rest().generator.stops_cut_off += cut_off as u64);
    }

    /// Returns the number of users. In the open model, and after the end of the load if there are others: users that have
    /// a trigger.
    pub(super) fn live_users(&self) -> u64 {
        let has_ended = !self.is_alone && self.stopped.get().is_some();
        if has_ended { self.users().busy() as u64 } else { self.planned_users() }
    }

    /// Returns the number of users during the load.
    fn planned_users(&self) -> u64 {
        let users = self.users();
        let live = match self.run.load.is_open() {
            true => users.busy(),
            false => (self.wanted.load(Relaxed) as usize).saturating_sub(users.failed()),
        };
        live as u64
    }

    pub(super) fn users(&self) -> MutexGuard<'_, Users<T::User>> {
        lock(&self.users)
    }

    pub(super) fn stalls(&self) -> MutexGuard<'_, Stalls> {
        lock(&self.stalls)
    }

    pub(super) fn timeline(&self) -> Timeline {
        // The timeline is unset only before the start, and no user is driven then.
        *self.timeline.get_or_init(|| Timeline { start: Instant::now(), end: None })
    }

    pub(super) fn context(&self, number: u32, iteration: u64, scenario: Option<String>) -> Context {
        let user = self.run.first_user.saturating_add(self.share.nth(number.into()));
        Context { job_name: self.run.job_name.clone(), user: Some(user), iteration: Some(iteration), scenario }
    }
}

/// Runs all tasks, at most [`AT_ONCE`] at the same time. `ended` counts those that have ended.
async fn run_all(tasks: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>, ended: &Cell<usize>) {
    let mut running = JoinSet::new();
    for task in tasks {
        if running.len() >= AT_ONCE && running.join_next().await.is_some() {
            ended.set(ended.get() + 1);
        }
        running.spawn(task);
    }
    while running.join_next().await.is_some() {
        ended.set(ended.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::engine::Sinks;
    use crate::engine::mix::Mix;
    use crate::engine::orders::Commander;
    use crate::engine::plan::{Asked, Plan};
    use crate::engine::trigger::Outcome;

    /// Users that start after this time, or never.
    struct Slow(Option<Duration>);

    impl Trigger for Slow {
        type User = ();

        fn has_users(&self) -> bool {
            true
        }

        fn prepare(&self) -> Result<(), String> {
            Ok(())
        }

        async fn start(&self, context: &Context, _: &Mix) -> Result<(), String> {
            match self.0 {
                Some(time) => tokio::time::sleep(time * (context.user.unwrap_or_default() as u32 + 1)).await,
                None => std::future::pending().await,
            }
            Ok(())
        }

        async fn trigger(&self, _: Context, (): &mut (), _: bool) -> Outcome {
            Outcome::default()
        }

        async fn stop(&self, (): ()) {}
    }

    async fn prepared(users: Slow) -> Result<u64, String> {
        let plan = Plan::new(Asked { users: Some(3), iterations: Some(9), ..Asked::default() }).unwrap();
        let load = plan.loads()[0].clone();
        let run = Run {
            trigger: Arc::new(users),
            deck: load.mix().deck(0, Share::WHOLE, load.iterations()),
            load,
            share: Share::WHOLE,
            job_name: "shop".to_owned(),
            seed: 0,
            commander: Arc::new(Commander::default()),
            measured: Sinks::new(Vec::new()).measured,
            most_iterations: None,
            most_in_flight: 3,
            iterations: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            first_user: 0,
        };
        Arc::new(Lane::new(Arc::new(run), Share::WHOLE, true)).prepare().await
    }

    #[tokio::test(start_paused = true)]
    async fn users_that_never_get_ready_are_given_up() {
        let reason = prepared(Slow(None)).await.unwrap_err();
        assert_eq!(reason, "no user has started or failed to start for 5m, and some are still starting");
        // One after the other gets ready, and all of them take longer than that.
        assert_eq!(prepared(Slow(Some(STILL * 4 / 5))).await, Ok(3));
    }
}
