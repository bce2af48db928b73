//! A user in the hands of a task, however that task ends.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::Worker;
use crate::{
    engine::{
        trigger::Trigger,
        users::{User, Users},
    },
    panic::caught_now,
};

/// How far a start is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none, or it does not count.
    Uncounted,
    /// Its time has come, and it is not counted yet.
    Due,
    /// It is counted, and its user is being started.
    Starting,
    /// Its trigger is running.
    Running,
}

/// A user that a task drives. Where the task is cut off, dropping this gives the user back, to be stopped.
pub(super) struct Held<T: Trigger> {
    pub(super) worker: Arc<Worker<T>>,
    pub(super) number: u32,
    pub(super) user: Option<User<T::User>>,
    pub(super) stage: Stage,
    /// When its trigger was due, where it was.
    pub(super) due: Option<Instant>,
}

impl<T: Trigger> Held<T> {
    pub(super) fn new(worker: &Arc<Worker<T>>, number: u32, user: User<T::User>) -> Self {
        Self { worker: Arc::clone(worker), number, user: Some(user), stage: Stage::Uncounted, due: None }
    }

    /// Gives the user back.
    pub(super) fn put(mut self, put: impl FnOnce(&mut Users<T::User>, u32, User<T::User>)) {
        if let Some(user) = self.user.take() {
            put(&mut self.worker.users(), self.number, user);
        }
    }

    pub(super) fn has_started(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.state.is_some())
    }

    /// Drops what a panic has left in a state that nobody knows, and that may well panic again.
    pub(super) fn discard(&mut self) {
        let state = self.user.as_mut().and_then(|user| user.state.take());
        let _ = caught_now(|| drop(state));
    }
}

impl<T: Trigger> Drop for Held<T> {
    fn drop(&mut self) {
        let worker = &self.worker;
        if let Some(user) = self.user.take() {
            if self.stage != Stage::Uncounted {
                worker.count_missed(self.number, self.due);
            }
            worker.count(self.stage != Stage::Uncounted, |triggers| match self.stage {
                Stage::Due => {
                    triggers.due += 1;
                    triggers.dropped_stopped += 1;
                }
                Stage::Starting => triggers.dropped_stopped += 1,
                _ => triggers.interrupted += 1,
            });
            worker.users().put_away(self.number, user);
        }
        if worker.run.plan.is_open() {
            worker.run.in_flight.fetch_sub(1, Relaxed);
        }
        if worker.stopped.get().is_some() {
            worker.changed.notify_one();
        }
    }
}
