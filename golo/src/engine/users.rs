//! The users of one worker: their states and due times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

/// A user between its triggers.
pub(super) struct User<U> {
    /// `None` until the user has started, and after a panic.
    pub(super) state: Option<U>,
    /// Number of triggers the user has run.
    pub(super) iteration: u64,
}

impl<U> User<U> {
    fn new() -> Self {
        Self { state: None, iteration: 0 }
    }
}

enum Slot<U> {
    Absent,
    /// Waits until it is due, or indefinitely if `due` is `None`.
    Idle {
        user: User<U>,
        due: Option<Instant>,
    },
    Busy(Busy),
    /// Could not start and does not run.
    Failed,
}

/// Data about a user that is held by a task.
#[derive(Default)]
pub(super) struct Busy {
    /// Handle to cut the task off.
    handle: Option<AbortHandle>,
    /// Time from which the user is not wanted any more, if it was retired.
    pub(super) retired: Option<Instant>,
    /// Set if the user has a pace.
    pub(super) paced: Option<Paced>,
    /// True while the user is being stopped and has no trigger any more.
    is_leaving: bool,
}

impl Busy {
    pub(super) fn new(handle: AbortHandle, paced: Option<Paced>) -> Self {
        Self { handle: Some(handle), paced, ..Self::default() }
    }
}

/// State of a busy, paced user, used to divide its delay between golo, the load test and the target.
#[derive(Clone, Copy)]
pub(super) struct Paced {
    /// Next due time.
    pub(super) next: Instant,
    /// Time from which the user has been busy with the current trigger.
    pub(super) since: Instant,
    /// Earlier time in which the thread kept the user waiting, since the user was last in time.
    pub(super) stood: Duration,
    /// Number of triggers run since the user was last in time.
    pub(super) done: u32,
    /// The load test's own pauses in these triggers.
    pub(super) pauses: Pauses,
}

/// Time of a user that is not spent on the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pauses {
    /// Think time.
    pub(super) thinking: Duration,
    /// Think time and the load test's own work.
    pub(super) all: Duration,
}

impl Paced {
    pub(super) fn new(next: Instant) -> Self {
        Self { next, since: Instant::now(), stood: Duration::ZERO, done: 0, pauses: Pauses::default() }
    }

    /// Adds a trigger with these pauses.
    pub(super) fn add(&mut self, pauses: Pauses) {
        self.done = self.done.saturating_add(1);
        self.pauses.thinking = self.pauses.thinking.saturating_add(pauses.thinking);
        self.pauses.all = self.pauses.all.saturating_add(pauses.all);
    }
}

/// Users by their number on this worker. An idle user needs a slot but no task.
pub(super) struct Users<U> {
    slots: Vec<Slot<U>>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Open model: users that any trigger may use.
    free: Vec<u32>,
    busy: usize,
    leaving: usize,
    failed: usize,
}

impl<U> Default for Users<U> {
    fn default() -> Self {
        Self { slots: Vec::new(), due: BinaryHeap::new(), free: Vec::new(), busy: 0, leaving: 0, failed: 0 }
    }
}

impl<U> Users<U> {
    /// Takes the user `number` to run it: an idle user, or a new one. Returns `None` if it is busy or has failed.
    pub(super) fn take(&mut self, number: u32) -> Option<User<U>> {
        let slot = self.slot(number);
        let user = match slot {
            Slot::Absent => User::new(),
            Slot::Idle { .. } => match std::mem::replace(slot, Slot::Absent) {
                Slot::Idle { user, .. } => user,
                _ => User::new(),
            },
            Slot::Busy(_) | Slot::Failed => return None,
        };
        *self.slot(number) = Slot::Busy(Busy::default());
        self.busy += 1;
        Some(user)
    }

    /// Takes a free user, or creates one if there is none.
    pub(super) fn take_free(&mut self) -> (u32, User<U>) {
        let number = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.take(number) {
            Some(user) => (number, user),
            // A free user is never busy. If one were, a new user would do as well.
            None => {
                let number = self.slots.len() as u32;
                (number, self.take(number).unwrap_or_else(User::new))
            }
        }
    }

    /// Takes the next user that is due by `now`, and returns it with its due time.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(u32, User<U>, Instant)> {
        loop {
            let &Reverse((due, number)) = self.due.peek()?;
            let is_current =
                matches!(self.slots.get(number as usize), Some(Slot::Idle { due: Some(at), .. }) if *at == due);
            if is_current && due > now {
                return None;
            }
            self.due.pop();
            if is_current && let Some(user) = self.take(number) {
                return Some((number, user, due));
            }
        }
    }

    /// Returns the next due time.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Makes a busy user idle until `due`. Returns true if it is now the next one due.
    pub(super) fn put_until(&mut self, number: u32, user: User<U>, due: Instant) -> bool {
        let is_next = self.next_due().is_none_or(|next| due < next);
        self.leave(number, Slot::Idle { user, due: Some(due) });
        if self.due.len() > 2 * self.slots.len() {
            self.forget_old();
        }
        self.due.push(Reverse((due, number)));
        is_next
    }

    /// Removes outdated due times. They pile up if users come and go more often than their pace.
    fn forget_old(&mut self) {
        let slots = &self.slots;
        self.due.retain(|Reverse((due, number))| {
            matches!(slots.get(*number as usize), Some(Slot::Idle { due: Some(at), .. }) if at == due)
        });
    }

    /// Makes a busy user idle and free for any trigger.
    pub(super) fn put_free(&mut self, number: u32, user: User<U>) {
        self.put_away(number, user);
        self.free.push(number);
    }

    /// Makes a busy user idle, and not free for triggers.
    pub(super) fn put_away(&mut self, number: u32, user: User<U>) {
        self.leave(number, Slot::Idle { user, due: None });
    }

    /// Removes a busy user.
    pub(super) fn remove(&mut self, number: u32) {
        self.leave(number, Slot::Absent);
    }

    /// Marks a busy user as failed to start.
    pub(super) fn fail(&mut self, number: u32) {
        self.leave(number, Slot::Failed);
        self.failed += 1;
    }

    fn leave(&mut self, number: u32, slot: Slot<U>) {
        if let Slot::Busy(busy) = std::mem::replace(self.slot(number), slot) {
            self.busy -= 1;
            self.leaving -= usize::from(busy.is_leaving);
        }
    }

    /// Marks a busy user as leaving: it has run its last trigger and is being stopped.
    pub(super) fn leaves(&mut self, number: u32) {
        if let Slot::Busy(busy) = self.slot(number)
            && !std::mem::replace(&mut busy.is_leaving, true)
        {
            self.leaving += 1;
        }
    }

    /// Removes every idle user from number `from` to below `to`. Returns those that have started and must be stopped.
    pub(super) fn take_idle(&mut self, from: u32, to: u32) -> Vec<(u32, U)> {
        let mut taken = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate().take(to as usize).skip(from as usize) {
            if matches!(slot, Slot::Idle { .. })
                && let Slot::Idle { user, .. } = std::mem::replace(slot, Slot::Absent)
            {
                taken.extend(user.state.map(|state| (number as u32, state)));
            }
        }
        taken
    }

    /// Retires the users from number `from` to below `to` at time `at`. Busy users are marked. Users that could not
    /// start may try again if they are wanted again.
    pub(super) fn retire(&mut self, from: u32, to: u32, at: Instant) {
        for slot in self.slots.iter_mut().take(to as usize).skip(from as usize) {
            match slot {
                Slot::Busy(busy) => busy.retired = Some(at),
                Slot::Failed => {
                    *slot = Slot::Absent;
                    self.failed -= 1;
                }
                Slot::Absent | Slot::Idle { .. } => {}
            }
        }
    }

    /// Returns the data about a busy user.
    pub(super) fn busy_one(&mut self, number: u32) -> Option<&mut Busy> {
        match self.slot(number) {
            Slot::Busy(busy) => Some(busy),
            _ => None,
        }
    }

    /// Cuts off every user that has a trigger or is about to start one.
    pub(super) fn abort(&self) {
        for slot in &self.slots {
            if let Slot::Busy(Busy { handle: Some(handle), is_leaving: false, .. }) = slot {
                handle.abort();
            }
        }
    }

    /// Returns the number of users that have a trigger or are about to start one.
    pub(super) fn in_flight(&self) -> usize {
        self.busy - self.leaving
    }

    /// Returns the number of busy users, including those being stopped.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// Returns the number of users being stopped.
    pub(super) fn leaving(&self) -> usize {
        self.leaving
    }

    /// Returns the number of users that could not start and do not run.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    fn slot(&mut self, number: u32) -> &mut Slot<U> {
        let number = number as usize;
        if self.slots.len() <= number {
            self.slots.resize_with(number + 1, || Slot::Absent);
        }
        &mut self.slots[number]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with_due(dues: &[u64]) -> (Instant, Users<u32>) {
        let start = Instant::now();
        let mut users = Users::default();
        for (number, due) in (0..).zip(dues) {
            let user = users.take(number).unwrap();
            users.put_until(number, user, start + Duration::from_secs(*due));
        }
        (start, users)
    }

    #[test]
    fn users_are_taken_in_order_of_due_time() {
        let (start, mut users) = with_due(&[3, 1, 2]);
        assert!(users.take_due(start).is_none());
        let mut taken = Vec::new();
        while let Some((number, _, due)) = users.take_due(start + Duration::from_secs(2)) {
            taken.push((number, (due - start).as_secs()));
        }
        assert_eq!((taken, users.busy()), (vec![(1, 1), (2, 2)], 2));
        assert_eq!(users.next_due(), Some(start + Duration::from_secs(3)));
    }

    #[test]
    fn removed_user_that_returns_is_due_once() {
        let (start, mut users) = with_due(&[1]);
        users.take_idle(0, 1);
        let user = users.take(0).unwrap();
        users.put_until(0, user, start + Duration::from_secs(5));
        assert!(users.take_due(start + Duration::from_secs(2)).is_none(), "the old time is none any more");
        assert!(users.take_due(start + Duration::from_secs(5)).is_some());
        assert!(users.take(0).is_none(), "busy");
    }

    #[test]
    fn due_times_of_removed_users_do_not_pile_up() {
        let (start, mut users) = with_due(&[1, 2]);
        for later in 0..100 {
            users.take_idle(1, 2);
            let user = users.take(1).unwrap();
            users.put_until(1, user, start + Duration::from_secs(3600 + later));
            assert!(users.due.len() <= 5, "{} of two users", users.due.len());
        }
        assert_eq!(users.next_due(), Some(start + Duration::from_secs(1)));
    }

    #[test]
    fn leaving_user_is_busy_but_not_in_flight() {
        let mut users = Users::<u32>::default();
        let _ = users.take(0);
        let leaver = users.take(1).unwrap();
        users.leaves(1);
        users.leaves(1);
        assert_eq!((users.busy(), users.in_flight()), (2, 1));
        users.put_away(1, leaver);
        assert_eq!((users.busy(), users.in_flight()), (1, 1));
    }

    #[test]
    fn last_freed_user_is_taken_first_and_new_one_when_none_is_free() {
        let mut users = Users::<u32>::default();
        let (first, one) = users.take_free();
        let (second, two) = users.take_free();
        assert_eq!((first, second, users.busy()), (0, 1, 2));
        users.put_free(second, two);
        users.put_free(first, one);
        assert_eq!(users.take_free().0, first);
        assert_eq!(users.take_free().0, second);
        assert_eq!(users.take_free().0, 2);
    }

    #[test]
    fn take_idle_returns_only_started_users() {
        let mut users = Users::default();
        for number in 0..4 {
            let mut user = users.take(number).unwrap();
            user.state = (number % 2 == 1).then_some(number);
            users.put_away(number, user);
        }
        let _busy = users.take(3);
        assert_eq!(users.take_idle(1, 3), [(1, 1)]);
        users.fail(3);
        assert_eq!((users.busy(), users.take(3).is_none()), (0, true));
    }

    #[test]
    fn retired_user_retries_start_when_wanted_again() {
        let mut users = Users::<u32>::default();
        for number in 0..2 {
            let _starting = users.take(number);
            users.fail(number);
        }
        users.retire(1, 2, Instant::now());
        assert_eq!((users.failed(), users.take(0).is_none(), users.take(1).is_some()), (1, true, true));
    }
}
