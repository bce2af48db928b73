//! A user held by a task: returned to its worker when the task ends, even if the task is cut off.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use super::lane::Lane;
use crate::engine::errors::ErrorKind;
use crate::engine::recorder;
use crate::engine::trigger::Trigger;
use crate::engine::users::{User, Users};
use crate::metrics::output::nanoseconds;
use crate::support::panic::{caught_now, is_counted};

/// Stage of a start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no start, or it does not count.
    Uncounted,
    /// The start is due and not counted yet.
    Due,
    /// The trigger is running.
    Running,
}

/// A user that a task drives. If the task is cut off, dropping this value returns the user to its worker so that it can
/// be stopped.
pub(super) struct Held<T: Trigger> {
    pub(super) lane: Arc<Lane<T>>,
    pub(super) number: u32,
    pub(super) user: Option<User<T::User>>,
    pub(super) stage: Stage,
    /// Number of the scenario of the running trigger.
    scenario: usize,
}

impl<T: Trigger> Held<T> {
    pub(super) fn new(lane: &Arc<Lane<T>>, number: u32, user: User<T::User>) -> Self {
        Self { lane: Arc::clone(lane), number, user: Some(user), stage: Stage::Uncounted, scenario: 0 }
    }

    /// Marks the user's next trigger as due.
    pub(super) fn waits(&mut self, is_measured: bool) {
        let is_counted = is_measured && self.lane.run.counts_each_start();
        self.stage = if is_counted { Stage::Due } else { Stage::Uncounted };
    }

    /// Counts a start that does not happen because the run was stopped. `lag` is golo's own delay by then.
    pub(super) fn forgoes(&mut self, lag: Option<Duration>) {
        if self.stage == Stage::Due {
            self.stage = Stage::Uncounted;
            self.lane.forgoes(lag.unwrap_or_default());
        }
        self.lane.count_missed(&mut self.lane.users(), self.number);
    }

    /// Returns the name of the scenario of the running trigger.
    pub(super) fn scenario(&self) -> Option<&Arc<str>> {
        self.lane.run.load.mix().name(self.scenario)
    }

    /// Deals the scenario of a trigger that starts now, and counts it. `lag` is golo's own delay of the start.
    pub(super) fn begins(&mut self, is_measured: bool, lag: Option<Duration>) {
        self.scenario = self.lane.run.deck.deal(is_measured);
        self.stage = Stage::Uncounted;
        if !is_measured {
            recorder::with(|recorder| recorder.rest().generator.warm_up_triggers += 1);
        } else {
            self.stage = Stage::Running;
            recorder::with(|recorder| {
                recorder.triggers(self.scenario(), |triggers| triggers.due += 1);
                if let Some(lag) = lag {
                    recorder.rest().generator.lag.record(nanoseconds(lag));
                }
            });
        }
    }

    /// Returns the user to the worker's users by calling `put`.
    pub(super) fn put(mut self, put: impl FnOnce(&mut Users<T::User>, u32, User<T::User>)) {
        if let Some(user) = self.user.take() {
            put(&mut self.lane.users(), self.number, user);
        }
    }

    pub(super) fn has_started(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.state.is_some())
    }

    /// Drops the state that a panic has left behind. It may be inconsistent, so dropping it may panic again.
    pub(super) fn discard(&mut self) {
        let state = self.user.as_mut().and_then(|user| user.state.take());
        let _ = caught_now(|| drop(state));
    }

    /// Handles a user whose task was cut off or panicked.
    fn lose(&self, user: User<T::User>) {
        let (lane, number) = (&self.lane, self.number);
        match self.stage {
            Stage::Uncounted => {}
            Stage::Due => lane.count(true, |triggers| {
                triggers.due += 1;
                triggers.dropped_stopped += 1;
            }),
            Stage::Running => {
                recorder::with(|recorder| recorder.triggers(self.scenario(), |triggers| triggers.interrupted += 1));
            }
        }
        if thread::panicking() && !is_counted() {
            let text = "a task of the load test panicked, and nothing caught the panic";
            recorder::with(|recorder| recorder.error(ErrorKind::Panic, text));
        }
        let mut users = lane.users();
        lane.count_missed(&mut users, number);
        if lane.run.load.is_open() && lane.stopped.get().is_none() {
            return users.put_free(number, user);
        }
        users.put_away(number, user);
        let now = Instant::now();
        if lane.goes_on(number, now) {
            // Otherwise there would be less load than planned.
            lane.enlist(&mut users, number, now);
            lane.changed.notify_one();
        }
    }
}

impl<T: Trigger> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(user) = self.user.take() {
            self.lose(user);
        }
        let lane = &self.lane;
        if lane.run.load.is_open() {
            lane.run.in_flight.fetch_sub(1, Relaxed);
        }
        lane.tell_if_stopped();
    }
}
