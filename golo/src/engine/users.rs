//! The users of one worker: who is there, who is busy, and when each of them is due.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

use tokio::task::AbortHandle;

/// A user between its triggers.
pub(super) struct User<U> {
    /// `None` until it has started, and after a panic.
    pub(super) state: Option<U>,
    /// How many triggers it has had.
    pub(super) iteration: u64,
}

impl<U> User<U> {
    fn new() -> Self {
        Self { state: None, iteration: 0 }
    }
}

enum Slot<U> {
    Absent,
    /// Waits until it is due, or for anything where it is not.
    Idle {
        user: User<U>,
        due: Option<Instant>,
    },
    Busy {
        handle: Option<AbortHandle>,
        retired: Option<Instant>,
    },
    /// Could not start, and does not run.
    Failed,
}

/// Users by their number on this worker. An idle one costs a slot, and no task.
pub(super) struct Users<U> {
    slots: Vec<Slot<U>>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Those whom any trigger may have: in the open model.
    free: Vec<u32>,
    busy: usize,
    failed: usize,
}

impl<U> Default for Users<U> {
    fn default() -> Self {
        Self { slots: Vec::new(), due: BinaryHeap::new(), free: Vec::new(), busy: 0, failed: 0 }
    }
}

impl<U> Users<U> {
    /// Takes the user `number` to be driven: one that is idle, or a new one. `None` where it is busy or has failed.
    pub(super) fn take(&mut self, number: u32) -> Option<User<U>> {
        let slot = self.slot(number);
        let user = match slot {
            Slot::Absent => User::new(),
            Slot::Idle { .. } => match std::mem::replace(slot, Slot::Absent) {
                Slot::Idle { user, .. } => user,
                _ => User::new(),
            },
            Slot::Busy { .. } | Slot::Failed => return None,
        };
        *self.slot(number) = Slot::Busy { handle: None, retired: None };
        self.busy += 1;
        Some(user)
    }

    /// Takes a user who is free, or one more.
    pub(super) fn take_free(&mut self) -> (u32, User<U>) {
        let number = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.take(number) {
            Some(user) => (number, user),
            // Nobody is free and busy; and if one were, one more is as good.
            None => {
                let number = self.slots.len() as u32;
                (number, self.take(number).unwrap_or_else(User::new))
            }
        }
    }

    /// Takes the next user who is due by `now`, and when it was.
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

    /// When the next user is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Remembers how a busy user can be cut off.
    pub(super) fn driven_by(&mut self, number: u32, handle: AbortHandle) {
        // It may have ended by now.
        if let Slot::Busy { handle: known, .. } = self.slot(number) {
            *known = Some(handle);
        }
    }

    /// A busy user is idle again, until `due`. Says whether it is now the next to be due.
    pub(super) fn put_until(&mut self, number: u32, user: User<U>, due: Instant) -> bool {
        self.busy -= usize::from(matches!(self.slot(number), Slot::Busy { .. }));
        let is_next = self.next_due().is_none_or(|next| due < next);
        *self.slot(number) = Slot::Idle { user, due: Some(due) };
        self.due.push(Reverse((due, number)));
        is_next
    }

    /// A busy user is idle again, and any trigger may have it.
    pub(super) fn put_free(&mut self, number: u32, user: User<U>) {
        self.put_away(number, user);
        self.free.push(number);
    }

    /// A busy user is idle again, and nobody is to have it.
    pub(super) fn put_away(&mut self, number: u32, user: User<U>) {
        self.leave(number, Slot::Idle { user, due: None });
    }

    /// A busy user is there no more.
    pub(super) fn remove(&mut self, number: u32) {
        self.leave(number, Slot::Absent);
    }

    /// A busy user could not start.
    pub(super) fn fail(&mut self, number: u32) {
        self.leave(number, Slot::Failed);
        self.failed += 1;
    }

    fn leave(&mut self, number: u32, slot: Slot<U>) {
        self.busy -= usize::from(matches!(self.slot(number), Slot::Busy { .. }));
        *self.slot(number) = slot;
    }

    /// Takes every idle user `from` here `to` there who has anything to be stopped; the others are dropped.
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

    /// Those `from` here `to` there who are busy are not wanted any more from `at` on.
    pub(super) fn retire(&mut self, from: u32, to: u32, at: Instant) {
        for slot in self.slots.iter_mut().take(to as usize).skip(from as usize) {
            if let Slot::Busy { retired, .. } = slot {
                *retired = Some(at);
            }
        }
    }

    /// A user who is still busy is wanted again.
    pub(super) fn recall(&mut self, number: u32) {
        if let Slot::Busy { retired, .. } = self.slot(number) {
            *retired = None;
        }
    }

    /// When a busy user was last told that it is not wanted any more.
    pub(super) fn retired(&mut self, number: u32) -> Option<Instant> {
        match self.slot(number) {
            Slot::Busy { retired, .. } => *retired,
            _ => None,
        }
    }

    /// Cuts off everyone who is busy.
    pub(super) fn abort(&self) {
        for slot in &self.slots {
            if let Slot::Busy { handle: Some(handle), .. } = slot {
                handle.abort();
            }
        }
    }

    /// How many are busy.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// How many could not start, and do not run.
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
    fn users_are_taken_in_the_order_in_which_they_are_due() {
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
    fn who_was_removed_and_came_again_is_due_once() {
        let (start, mut users) = with_due(&[1]);
        users.take_idle(0, 1);
        let user = users.take(0).unwrap();
        users.put_until(0, user, start + Duration::from_secs(5));
        assert!(users.take_due(start + Duration::from_secs(2)).is_none(), "the old time is none any more");
        assert!(users.take_due(start + Duration::from_secs(5)).is_some());
        assert!(users.take(0).is_none(), "busy");
    }

    #[test]
    fn the_last_one_freed_is_lent_first_and_a_new_one_when_nobody_is_free() {
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
    fn only_those_who_have_started_are_to_be_stopped() {
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
    fn who_is_wanted_again_while_busy_is_not_leaving_any_more() {
        let now = Instant::now();
        let mut users = Users::<u32>::default();
        let _busy = users.take(0);
        users.retire(0, 1, now);
        assert_eq!(users.retired(0), Some(now));
        users.recall(0);
        assert_eq!(users.retired(0), None);
    }
}
