//! A user held by a task: returned to its worker when the task ends, even if the task is cut off.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
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
    pub(super) worker: Arc<Worker<T>>,
    pub(super) number: u32,
    pub(super) user: Option<User<T::User>>,
    pub(super) stage: Stage,
}

impl<T: Trigger> Held<T> {
    pub(super) fn new(worker: &Arc<Worker<T>>, number: u32, user: User<T::User>) -> Self {
        Self { worker: Arc::clone(worker), number, user: Some(user), stage: Stage::Uncounted }
    }

    /// Marks the user's next trigger as due.
    pub(super) fn waits(&mut self, is_measured: bool) {
        let is_counted = is_measured && self.worker.run.counts_each_start();
        self.stage = if is_counted { Stage::Due } else { Stage::Uncounted };
    }

    /// Counts a start that does not happen because the run was stopped. `lag` is golo's own delay by then.
    pub(super) fn forgoes(&mut self, lag: Option<Duration>) {
        if self.stage == Stage::Due {
            self.stage = Stage::Uncounted;
            recorder::with(|recorder| {
                let rest = recorder.rest();
                rest.triggers.due += 1;
                rest.triggers.dropped_stopped += 1;
                rest.generator.lag.record(nanoseconds(lag.unwrap_or_default()));
            });
        }
        self.worker.count_missed(&mut self.worker.users(), self.number);
    }

    /// Counts a trigger that starts now. `lag` is golo's own delay of the start.
    pub(super) fn begins(&mut self, is_measured: bool, lag: Option<Duration>) {
        self.stage = Stage::Uncounted;
        if !is_measured {
            recorder::with(|recorder| recorder.rest().generator.warm_up_triggers += 1);
        } else {
            self.stage = Stage::Running;
            recorder::with(|recorder| {
                let rest = recorder.rest();
                rest.triggers.due += 1;
                if let Some(lag) = lag {
                    rest.generator.lag.record(nanoseconds(lag));
                }
            });
        }
    }

    /// Returns the user to the worker's users by calling `put`.
    pub(super) fn put(mut self, put: impl FnOnce(&mut Users<T::User>, u32, User<T::User>)) {
        if let Some(user) = self.user.take() {
            put(&mut self.worker.users(), self.number, user);
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
        let (worker, number) = (&self.worker, self.number);
        worker.count(self.stage != Stage::Uncounted, |triggers| match self.stage {
            Stage::Due => {
                triggers.due += 1;
                triggers.dropped_stopped += 1;
            }
            _ => triggers.interrupted += 1,
        });
        if thread::panicking() && !is_counted() {
            let text = "a task of the load test panicked, and nothing caught the panic";
            recorder::with(|recorder| recorder.error(ErrorKind::Panic, text));
        }
        let mut users = worker.users();
        worker.count_missed(&mut users, number);
        if worker.run.plan.is_open() && worker.stopped.get().is_none() {
            return users.put_free(number, user);
        }
        users.put_away(number, user);
        let now = Instant::now();
        if worker.goes_on(number, now) {
            // Otherwise there would be less load than planned.
            worker.enlist(&mut users, number, now);
            worker.changed.notify_one();
        }
    }
}

impl<T: Trigger> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(user) = self.user.take() {
            self.lose(user);
        }
        let worker = &self.worker;
        if worker.run.plan.is_open() {
            worker.run.in_flight.fetch_sub(1, Relaxed);
        }
        worker.tell_if_stopped();
    }
}
