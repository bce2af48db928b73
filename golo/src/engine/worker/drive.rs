//! Runs users: starts their triggers as the plan requires.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::held::{Held, Stage};
use super::lane::Lane;
use super::stalls::own_part;
use crate::engine::errors::ErrorKind;
use crate::engine::plan::Model;
use crate::engine::recorder;
use crate::engine::snapshot::Triggers;
use crate::engine::spent::{Spent, missed_by_pausing};
use crate::engine::trigger::{Outcome, Trigger};
use crate::engine::users::{Busy, Paced, Pauses, User, Users};
use crate::metrics::output::nanoseconds;

impl<T: Trigger> Lane<T> {
    /// Closed model: sets the number of users from `at` on.
    pub(super) fn want(self: &Arc<Self>, wanted: u32, at: Instant) {
        let before = self.wanted.swap(wanted, Relaxed);
        let mut users = self.users();
        for number in before..wanted {
            self.enlist(&mut users, number, at);
        }
        if wanted < before {
            users.retire(wanted, before, at);
            for (number, state) in users.take_idle(wanted, before) {
                // An idle user leaves in the same way as a busy one.
                if let Some(mut user) = users.take(number) {
                    user.state = Some(state);
                    let leaving = leave(Held::new(self, number, user));
                    self.hand_over(&mut users, number, leaving, None);
                }
            }
        }
    }

    /// Makes a user join: at once, or at its first due time from `at` on if it is paced.
    pub(super) fn enlist(self: &Arc<Self>, users: &mut Users<T::User>, number: u32, at: Instant) {
        let first_due = self.first_due(number, at);
        match (users.take(number), first_due) {
            (Some(user), Some(due)) => _ = users.put_until(number, user, due),
            (Some(user), None) => self.spawn(users, number, user, None),
            (None, _) => self.recall(users, number, first_due),
        }
    }

    /// Handles a busy user that is wanted again and due at `next`.
    fn recall(&self, users: &mut Users<T::User>, number: u32, next: Option<Instant>) {
        self.count_missed(users, number);
        if let Some(busy) = users.busy_one(number) {
            (busy.paced, busy.retired) = (next.map(Paced::new), None);
        }
    }

    /// Paced: returns the user's first due time from `at` on. Due times are one pace apart, before the start too.
    fn first_due(&self, number: u32, at: Instant) -> Option<Instant> {
        let plan = &self.run.load;
        let Model::Closed { pace: Some(pace), .. } = plan.model() else { return None };
        let pace = nanoseconds(*pace);
        let first = self.timeline().start + plan.phase(self.share.nth(number.into()));
        Some(match at.checked_duration_since(first) {
            Some(late) => first + Duration::from_nanos(nanoseconds(late).div_ceil(pace).saturating_mul(pace)),
            None => {
                let early = nanoseconds(first - at) / pace * pace;
                first.checked_sub(Duration::from_nanos(early)).unwrap_or(first)
            }
        })
    }

    /// Paced: starts the users that are due and returns the next due time.
    pub(super) fn start_due(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let mut users = self.users();
        while let Some((number, user, due)) = users.take_due(now) {
            self.spawn(&mut users, number, user, Some(due));
        }
        users.next_due()
    }

    /// Open model: starts a trigger that is due, unless too many are in flight.
    pub(super) fn start_one(self: &Arc<Self>, due: Instant, most: u64) {
        if self.is_measured(due) && !self.run.take_iteration() {
            return;
        }
        if self.run.in_flight.fetch_add(1, Relaxed) >= most {
            self.run.in_flight.fetch_sub(1, Relaxed);
            self.count(self.is_measured(due), |triggers| {
                triggers.due += 1;
                triggers.dropped_busy += 1;
            });
            return;
        }
        let mut users = self.users();
        let (number, user) = users.take_free();
        self.spawn(&mut users, number, user, Some(due));
    }

    /// Paced: counts the users that were due by `before` and will not be started.
    pub(super) fn forgo_due(&self, before: Instant) {
        let mut users = self.users();
        while let Some((number, user, due)) = users.take_due(before) {
            if self.run.counts_each_start() {
                self.forgo_one(due);
            }
            if let Some(busy) = users.busy_one(number) {
                busy.paced = self.due_after(due).map(Paced::new);
            }
            self.count_missed(&mut users, number);
            users.put_away(number, user);
        }
    }

    /// Counts a start that was due and does not happen because the run is over. Its delay is golo's own.
    pub(super) fn forgo_one(&self, due: Instant) {
        if self.is_measured(due) {
            self.forgoes(Instant::now().saturating_duration_since(due));
        }
    }

    /// Counts a start that does not happen because the run is over. `lag` is golo's own delay of it.
    pub(super) fn forgoes(&self, lag: Duration) {
        self.count(true, |triggers| {
            triggers.due += 1;
            triggers.dropped_stopped += 1;
        });
        recorder::with(|recorder| recorder.rest().generator.lag.record(nanoseconds(lag)));
    }

    fn spawn(self: &Arc<Self>, users: &mut Users<T::User>, number: u32, user: User<T::User>, due: Option<Instant>) {
        let mut held = Held::new(self, number, user);
        held.waits(due.is_some_and(|due| self.is_measured(due)));
        let next = due.and_then(|due| self.due_after(due));
        self.hand_over(users, number, drive(held, due), next);
    }

    /// Hands the user to a task. The user is due again at `next`.
    fn hand_over(
        &self,
        users: &mut Users<T::User>,
        number: u32,
        task: impl Future<Output = ()> + Send + 'static,
        next: Option<Instant>,
    ) {
        let handle = tokio::spawn(task).abort_handle();
        if let Some(busy) = users.busy_one(number) {
            *busy = Busy::new(handle, next.map(Paced::new));
        }
    }

    /// Paced: returns the due time that follows `due`.
    fn due_after(&self, due: Instant) -> Option<Instant> {
        let Model::Closed { pace, .. } = self.run.load.model() else { return None };
        pace.map(|pace| due + pace)
    }

    fn is_measured(&self, due: Instant) -> bool {
        due >= self.timeline().start
    }

    /// Returns true if the plan allows another trigger. In the open model this was checked when the trigger was due.
    fn is_allowed(&self) -> bool {
        self.run.load.is_open() || self.run.take_iteration()
    }

    /// Returns true if a user may start another trigger.
    pub(super) fn goes_on(&self, number: u32, now: Instant) -> bool {
        number < self.wanted.load(Relaxed)
            && self.stopped.get().is_none()
            && !self.run.commander.is_over()
            && self.timeline().end.is_none_or(|end| now < end)
    }

    /// Returns true if the run was asked to stop. Triggers that have not started then do not start, even if they were
    /// due before.
    fn is_stopped(&self) -> bool {
        self.run.commander.is_over() && self.run.commander.told().stopped.is_some()
    }

    /// Paced: returns the next due time of a user that has ended a trigger with these `pauses`, golo's own part of its
    /// delay by now, and the think time that delayed it. Returns `None` if the user is to start no other trigger.
    fn take_next(&self, number: u32, now: Instant, pauses: Pauses) -> Option<(Instant, Duration, Duration)> {
        let mut users = self.users();
        if let Some(paced) = users.busy_one(number).and_then(|busy| busy.paced.as_mut()) {
            paced.add(pauses);
        }
        if !self.goes_on(number, now) {
            self.count_missed(&mut users, number);
            return None;
        }
        let paced = users.busy_one(number)?.paced.as_mut()?;
        let own_part = self.own_part(paced, now);
        let (next, thinking) = (paced.next, paced.pauses.thinking);
        paced.next = self.due_after(next)?;
        Some((next, own_part, thinking))
    }

    /// Returns golo's own part of a paced user's delay at `now`.
    fn own_part(&self, paced: &mut Paced, now: Instant) -> Duration {
        // No trigger waited longer than that, unless it waited more than once.
        paced.stood += self.stalls().longest(paced.since, now);
        paced.since = now;
        own_part(now.saturating_duration_since(paced.next), paced.stood)
    }

    /// Paced: counts the starts that a user missed while it was busy as dropped.
    pub(super) fn count_missed(&self, users: &mut Users<T::User>, number: u32) {
        let Model::Closed { pace: Some(pace), .. } = self.run.load.model() else { return };
        let Some(busy) = users.busy_one(number).filter(|_| self.run.counts_each_start()) else { return };
        let Some(mut paced) = busy.paced.take() else { return };
        let (timeline, now) = (self.timeline(), Instant::now());
        let ends = [timeline.end, self.stopped.get().copied(), self.run.commander.told().over(), busy.retired];
        let until = ends.into_iter().flatten().fold(now, Instant::min);
        let busy = until.saturating_duration_since(paced.next) + pace.saturating_mul(paced.done);
        paced.next = self.measured_from(paced.next, *pace);
        let count = nanoseconds(until.saturating_duration_since(paced.next)).div_ceil(nanoseconds(*pace));
        if count == 0 {
            return;
        }
        let pausing = missed_by_pausing(count, paced.done.into(), busy, paced.pauses.all);
        let lag = self.own_part(&mut paced, now);
        self.count(true, |triggers| {
            triggers.due += count;
            triggers.dropped_busy += count;
            triggers.dropped_pausing += pausing;
        });
        if !lag.is_zero() {
            recorder::with(|recorder| recorder.rest().generator.lag.record_n(nanoseconds(lag), count));
        }
    }

    /// Returns the first due time in the measured part, of due times one pace apart from `due` on.
    fn measured_from(&self, due: Instant, pace: Duration) -> Instant {
        let early = self.timeline().start.saturating_duration_since(due);
        due + Duration::from_nanos(nanoseconds(early).div_ceil(nanoseconds(pace)).saturating_mul(nanoseconds(pace)))
    }

    /// Records that a trigger starts at `now`, delayed by `waited` because its user was still starting.
    fn record_wait(&self, waited: Duration, now: Instant) {
        let is_overdue = self.timeline().end.is_some_and(|end| now >= end);
        recorder::with(|recorder| {
            let rest = recorder.rest();
            rest.start_waits.record(nanoseconds(waited));
            rest.generator.overdue += u64::from(is_overdue);
        });
    }

    /// Counts something that concerns triggers that have not started. If several scenarios share the load, it is not
    /// known which of them they would have been.
    pub(super) fn count(&self, is_measured: bool, count: impl FnOnce(&mut Triggers)) {
        if is_measured {
            recorder::with(|recorder| recorder.triggers(self.run.load.mix().sole(), count));
        }
    }
}

/// Starts a user of the opening load. Its triggers start later.
pub(super) async fn start_opening_user<T: Trigger>(mut held: Held<T>) {
    if start(&mut held).await {
        held.put(Users::put_away);
    } else {
        held.put(|users, number, _| users.fail(number));
    }
}

/// Runs a user until it is idle or not wanted any more. Without a due time, each trigger starts at once.
async fn drive<T: Trigger>(mut held: Held<T>, mut due: Option<Instant>) {
    let lane = Arc::clone(&held.lane);
    let has_users = lane.run.trigger.has_users();
    let mut now = Instant::now();
    // golo's own delay. It does not include the time in which the user was busy when it was due.
    let mut lag = due.map(|due| now.saturating_duration_since(due));
    // Think time of the previous triggers, as far as it delays this one.
    let mut thought_before = Duration::ZERO;
    loop {
        if due.is_none() && !lane.goes_on(held.number, now) {
            return end(held).await;
        }
        let mut from = due.unwrap_or(now);
        let is_measured = lane.is_measured(from);
        held.waits(is_measured);
        let mut waited = None;
        if !held.has_started() {
            if !start(&mut held).await {
                return unready(held);
            }
            if has_users {
                let ready = Instant::now();
                match due {
                    // The response time of a due start includes every wait.
                    Some(_) => waited = Some(ready - now),
                    None => from = ready,
                }
                now = ready;
                if due.is_none() && !lane.goes_on(held.number, now) {
                    return end(held).await;
                }
            }
        }
        if due.is_some() && lane.is_stopped() {
            held.forgoes(lag);
            return end(held).await;
        }
        if is_measured && !lane.is_allowed() {
            return end(held).await;
        }
        held.begins(is_measured, lag);
        if let Some(waited) = waited.filter(|_| is_measured) {
            lane.record_wait(waited, now);
        }
        let Some(outcome) = trigger(&mut held, is_measured).await else { return };
        held.stage = Stage::Uncounted;
        let started = std::mem::replace(&mut now, Instant::now());
        if outcome.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Panic) {
            held.discard();
        }
        let spent = outcome.requesting.map(|requesting| Spent::of(now - started, requesting, outcome.thought));
        // Without the split of the time, golo itself may have caused the pause.
        let pauses =
            spent.map_or_else(Pauses::default, |spent| Pauses { thinking: spent.thinking, all: spent.pausing() });
        if is_measured {
            let delayed = thought_before.min(started.saturating_duration_since(from));
            record(held.scenario(), outcome, spent, now, now - started, (now - from).saturating_sub(delayed));
        }
        if due.is_some() {
            if lane.run.load.is_open() {
                return held.put(Users::put_free);
            }
            let Some((next, own_part, thinking)) = lane.take_next(held.number, now, pauses) else {
                return end(held).await;
            };
            if next > now {
                return held.put(|users, number, user| {
                    if users.put_until(number, user, next) {
                        lane.changed.notify_one();
                    }
                });
            }
            (due, lag, thought_before) = (Some(next), Some(own_part), thinking);
            held.waits(lane.is_measured(next));
        }
        // A load test that never waits for anything must not keep other tasks from running.
        tokio::task::coop::consume_budget().await;
    }
}

async fn trigger<T: Trigger>(held: &mut Held<T>, is_measured: bool) -> Option<Outcome> {
    let (lane, number) = (Arc::clone(&held.lane), held.number);
    let scenario = held.scenario().map(|name| name.to_string());
    let User { state, iteration } = held.user.as_mut()?;
    let context = lane.context(number, *iteration, scenario);
    *iteration += 1;
    Some(lane.run.trigger.trigger(context, state.as_mut()?, is_measured).await)
}

/// Records a trigger that ended at `ended`.
fn record(
    scenario: Option<&Arc<str>>,
    outcome: Outcome,
    spent: Option<Spent>,
    ended: Instant,
    service: Duration,
    response: Duration,
) {
    recorder::with(|recorder| {
        let is_after_load = recorder.is_after_load(ended);
        let is_failed = outcome.failure.is_some();
        let has_panicked = outcome.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Panic);
        recorder.triggers(scenario, |triggers| {
            triggers.done += 1;
            triggers.done_after_load += u64::from(is_after_load);
            triggers.service.record(nanoseconds(service.saturating_sub(outcome.thought)));
            triggers.response.record(nanoseconds(response.saturating_sub(outcome.thought)));
            triggers.spent.merge(spent.unwrap_or_default());
            triggers.failed += u64::from(is_failed);
            triggers.panicked += u64::from(has_panicked);
        });
        if let Some(failure) = outcome.failure.filter(|failure| !failure.is_recorded) {
            recorder.error(failure.kind, &failure.text);
        }
        recorder.journeys(outcome.journeys);
        recorder.rest().tags.record(&outcome.tags, is_failed);
    });
}

/// Handles a user that has run its last trigger.
async fn end<T: Trigger>(mut held: Held<T>) {
    held.waits(false);
    if held.lane.run.load.is_open() {
        held.put(Users::put_free);
    } else if held.number < held.lane.wanted.load(Relaxed) {
        held.put(Users::put_away);
    } else {
        // Boxed, so that the future of every running user does not reserve space for it.
        Box::pin(leave(held)).await;
    }
}

/// Stops a user that is not wanted any more.
async fn leave<T: Trigger>(mut held: Held<T>) {
    let (lane, number) = (Arc::clone(&held.lane), held.number);
    if let Some(state) = held.user.as_mut().and_then(|user| user.state.take()) {
        lane.users().leaves(number);
        lane.tell_if_stopped();
        lane.run.trigger.stop(state).await;
    }
    held.put(|users, number, _| {
        lane.count_missed(users, number);
        users.remove(number);
    });
    // The plan may want the user again by now.
    let now = Instant::now();
    if lane.goes_on(number, now) {
        lane.enlist(&mut lane.users(), number, now);
        lane.changed.notify_one();
    }
}

/// Counts a start that did not happen because its user could not start.
fn unready<T: Trigger>(held: Held<T>) {
    held.lane.count(held.stage == Stage::Due, |triggers| {
        triggers.due += 1;
        triggers.dropped_unready += 1;
    });
    match held.lane.run.load.is_open() {
        true => held.put(Users::put_free),
        false => {
            let lane = Arc::clone(&held.lane);
            held.put(|users, number, _| match number < lane.wanted.load(Relaxed) {
                true => users.fail(number),
                false => users.remove(number),
            });
            // This may have been the last user.
            lane.changed.notify_one();
        }
    }
}

/// Starts a user. Returns true if it has started.
async fn start<T: Trigger>(held: &mut Held<T>) -> bool {
    let (lane, number) = (Arc::clone(&held.lane), held.number);
    let Some(user) = &mut held.user else { return false };
    let mix = lane.run.load.mix();
    let scenario = mix.sole().map(|name| name.to_string());
    let context = lane.context(number, user.iteration, scenario);
    let begun = Instant::now();
    match lane.run.trigger.start(&context, mix).await {
        Ok(state) => {
            user.state = Some(state);
            let has_users = lane.run.trigger.has_users();
            recorder::with(|recorder| {
                let rest = recorder.rest();
                rest.generator.users_started += 1;
                if has_users {
                    rest.user_starts.record(nanoseconds(begun.elapsed()));
                }
            });
            true
        }
        Err(reason) => {
            recorder::with(|recorder| {
                recorder.rest().generator.users_failed += 1;
                recorder.error(ErrorKind::Start, &reason);
            });
            false
        }
    }
}
