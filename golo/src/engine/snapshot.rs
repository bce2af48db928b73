//! Snapshots: what was measured in some time by somebody. They merge by addition, over workers, agents and time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    errors::{ErrorKind, Errors, Seen},
    histogram::Histogram,
    room::{Priority, Room, SERIES},
    series::{Label, Outcome, Series},
    slowest::Slowest,
    spent::Spent,
    tags::Tags,
};
pub use crate::metrics::check::Check;
use crate::{
    OutputRef,
    metrics::check::{self, Checks},
    support::panic::{self, Stray},
};

/// What was measured of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measure {
    /// From sending the request to the last byte of its body, in nanoseconds.
    pub durations: Histogram,
    /// Bytes of responses' bodies.
    pub received: u64,
    /// Bytes of requests' bodies that were handed to a connection.
    pub sent: u64,
    /// Those of them that ended after the load.
    pub after_load: AfterLoad,
}

/// Requests of a series that ended after the load: after the plan's time, or after the last start. No rate counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AfterLoad {
    /// How many there are.
    pub count: u64,
    /// Bytes of responses' bodies.
    pub received: u64,
    /// Bytes of requests' bodies.
    pub sent: u64,
}

impl AfterLoad {
    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.received = self.received.saturating_add(other.received);
        self.sent = self.sent.saturating_add(other.sent);
    }
}

/// Redirects that requests followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redirects {
    /// How many: the target saw each as a request of its own.
    pub followed: u64,
    /// Requests that followed an unknown number of them, of which one is counted above.
    pub at_least: u64,
}

impl Redirects {
    /// Those of one request.
    pub(super) fn of(output: &OutputRef<'_>) -> Self {
        Self { followed: output.redirects.into(), at_least: output.redirects_are_hidden.into() }
    }

    /// Adds those of other requests.
    pub fn merge(&mut self, other: &Self) {
        self.followed = self.followed.saturating_add(other.followed);
        self.at_least = self.at_least.saturating_add(other.at_least);
    }
}

impl Measure {
    /// Adds what another has.
    pub fn merge(&mut self, other: &Self) {
        self.durations.merge(&other.durations);
        self.received = self.received.saturating_add(other.received);
        self.sent = self.sent.saturating_add(other.sent);
        self.after_load.merge(&other.after_load);
    }
}

/// What became of the triggers that were due.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Triggers {
    /// Starts that the plan asked for.
    pub due: u64,
    /// Triggers that ended, failed ones among them.
    pub done: u64,
    /// Triggers that returned an error or panicked.
    pub failed: u64,
    /// Triggers that panicked.
    pub panicked: u64,
    /// Triggers that were cut off.
    pub interrupted: u64,
    /// Starts that did not happen since as many as are allowed were in flight, or since their user was still busy.
    pub dropped_busy: u64,
    /// Those among [`dropped_busy`](Self::dropped_busy) that would have happened without the load test's own pauses: its
    /// think time and its own work.
    pub dropped_pausing: u64,
    /// Starts that did not happen since their user could not start.
    pub dropped_unready: u64,
    /// Starts that did not happen since the run was stopped before they could.
    pub dropped_stopped: u64,
    /// From the actual start to the end, without think time, in nanoseconds.
    pub service: Histogram,
    /// From when it was due to the end, without think time, in nanoseconds.
    pub response: Histogram,
    /// How the time of triggers that ended was spent; zero if that is not known.
    pub spent: Spent,
    /// Of [`done`](Self::done), triggers that ended after the load.
    pub done_after_load: u64,
}

impl Triggers {
    /// Starts that did not happen.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_busy.saturating_add(self.dropped_unready).saturating_add(self.dropped_stopped)
    }

    fn merge(&mut self, other: &Self) {
        let Self { due, done, failed, panicked, interrupted, done_after_load, .. } = other;
        let Self { dropped_busy, dropped_pausing, dropped_unready, dropped_stopped, .. } = other;
        for (to, from) in [
            (&mut self.due, due),
            (&mut self.done, done),
            (&mut self.failed, failed),
            (&mut self.panicked, panicked),
            (&mut self.interrupted, interrupted),
            (&mut self.dropped_busy, dropped_busy),
            (&mut self.dropped_pausing, dropped_pausing),
            (&mut self.dropped_unready, dropped_unready),
            (&mut self.dropped_stopped, dropped_stopped),
            (&mut self.done_after_load, done_after_load),
        ] {
            *to = to.saturating_add(*from);
        }
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        self.spent.merge(other.spent);
    }
}

/// How the generator itself was doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generator {
    /// From when a trigger could have started to when it did, in nanoseconds: golo's own delay.
    pub lag: Histogram,
    /// Time in which the workers' threads were not waiting for anything.
    pub busy: Duration,
    /// Time that the workers' threads had.
    pub time: Duration,
    /// Requests from threads that are no worker's.
    pub foreign: u64,
    /// Requests that found no descriptor left.
    pub without_descriptor: u64,
    /// Requests that found no local port left.
    pub without_port: u64,
    /// Users that could not start.
    pub users_failed: u64,
    /// Users that have started.
    pub users_started: u64,
    /// Panics of the load test outside of triggers.
    pub stray_panics: u64,
    /// Calls of a user's `stop` that the end of the grace cut off.
    pub stops_cut_off: u64,
    /// Triggers that started after the end of the plan because their user was still starting.
    pub overdue: u64,
    /// Triggers that the warm-up started.
    pub warm_up_triggers: u64,
    /// Requests that the target saw of the warm-up: each redirect is one more.
    pub warm_up_requests: u64,
    /// Connections that the warm-up made.
    pub warm_up_connections: u64,
    /// Requests that the target saw of users that started and stopped.
    pub user_requests: u64,
    /// Connections that users made as they started and stopped.
    pub user_connections: u64,
}

impl Generator {
    fn merge(&mut self, other: &Self) {
        self.lag.merge(&other.lag);
        self.busy = self.busy.saturating_add(other.busy);
        self.time = self.time.saturating_add(other.time);
        for (to, from) in [
            (&mut self.foreign, other.foreign),
            (&mut self.without_descriptor, other.without_descriptor),
            (&mut self.without_port, other.without_port),
            (&mut self.users_failed, other.users_failed),
            (&mut self.users_started, other.users_started),
            (&mut self.warm_up_triggers, other.warm_up_triggers),
            (&mut self.warm_up_requests, other.warm_up_requests),
            (&mut self.warm_up_connections, other.warm_up_connections),
            (&mut self.user_requests, other.user_requests),
            (&mut self.user_connections, other.user_connections),
            (&mut self.stray_panics, other.stray_panics),
            (&mut self.stops_cut_off, other.stops_cut_off),
            (&mut self.overdue, other.overdue),
        ] {
            *to = to.saturating_add(from);
        }
    }

    /// The share of their time in which the workers were busy, from 0 to 1.
    #[must_use]
    pub fn busy_share(&self) -> f64 {
        if self.time.is_zero() { 0.0 } else { (self.busy.as_secs_f64() / self.time.as_secs_f64()).min(1.0) }
    }
}

/// How requests, or measured steps, ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Those that ended, failed ones among them.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that the run cut off.
    pub interrupted: u64,
}

impl Ends {
    /// Adds so many that ended so.
    pub(crate) fn add(&mut self, outcome: Outcome, number: u64) {
        let to = if outcome == Outcome::Interrupted { &mut self.interrupted } else { &mut self.done };
        *to = to.saturating_add(number);
        if outcome.is_failed() {
            self.failed = self.failed.saturating_add(number);
        }
    }

    /// Those that ended or were cut off.
    #[must_use]
    pub fn all(self) -> u64 {
        self.done.saturating_add(self.interrupted)
    }

    /// Those that ended as they should.
    #[must_use]
    pub fn passed(self) -> u64 {
        self.done.saturating_sub(self.failed)
    }
}

/// Everything that was measured in some time: a second of one worker, or a whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Requests by series. [`Self::merge`] puts those past the limits of [`room`](super::room) into `other`.
    pub requests: HashMap<Series, Measure>,
    /// Triggers.
    pub triggers: Triggers,
    /// How long journeys took, in nanoseconds.
    pub journeys: Histogram,
    /// The slowest journeys.
    pub slowest: Slowest,
    /// From sending a request to its response's headers, in nanoseconds, of those whose response came whole. One for all
    /// series, since one for each would double what they cost.
    pub waiting: Histogram,
    /// How long connecting took, TLS and all, in nanoseconds.
    pub connects: Histogram,
    /// Checks by name.
    pub checks: Checks,
    /// Errors of requests and triggers.
    pub errors: Errors,
    /// Redirects that requests followed, of the labels that have any.
    pub redirects: BTreeMap<Arc<Label>, Redirects>,
    /// The generator.
    pub generator: Generator,
    /// How long users took to start, in nanoseconds, of those that did.
    pub user_starts: Histogram,
    /// How late triggers started because their user was still starting, in nanoseconds. Those that did not wait for that
    /// are not in it.
    pub start_waits: Histogram,
    /// Tags of the triggers' responses.
    pub tags: Tags,
    /// Requests that are made of triggers' tags, since the load test printed no `Output`.
    pub requests_from_tags: u64,
}

impl Snapshot {
    /// Adds what another has measured.
    pub fn merge(&mut self, other: &Self) {
        self.measure(other.requests.iter());
        self.triggers.merge(&other.triggers);
        self.journeys.merge(&other.journeys);
        self.slowest.merge(&other.slowest);
        self.waiting.merge(&other.waiting);
        self.connects.merge(&other.connects);
        for (name, more) in &other.checks {
            self.check(name, *more);
        }
        self.errors.merge(&other.errors);
        for (label, redirects) in &other.redirects {
            self.redirect(label, *redirects);
        }
        self.generator.merge(&other.generator);
        self.user_starts.merge(&other.user_starts);
        self.start_waits.merge(&other.start_waits);
        self.tags.merge(&other.tags);
        self.requests_from_tags = self.requests_from_tags.saturating_add(other.requests_from_tags);
    }

    /// Adds the panics outside of triggers that nothing has told of yet, of a run that `started` then.
    pub(crate) fn add_stray_panics(&mut self, started: Option<Instant>) {
        for (text, Stray { count, first }) in panic::take() {
            let first = started.map_or(Duration::ZERO, |started| first.saturating_duration_since(started));
            self.errors.add_seen(ErrorKind::StrayPanic, &text, Seen { count, first });
            self.generator.stray_panics = self.generator.stray_panics.saturating_add(count);
        }
    }

    /// Adds how a check went.
    pub(crate) fn check(&mut self, name: &str, more: Check) {
        check::add(&mut self.checks, name, more);
    }

    /// Adds redirects that requests of a label followed.
    pub(crate) fn redirect(&mut self, label: &Arc<Label>, more: Redirects) {
        if let Some(known) = self.redirects.get_mut(label) {
            return known.merge(&more);
        }
        let is_full = self.redirects.len() >= SERIES;
        let label = if is_full { Arc::new(Label::other(label.priority, label.is_step())) } else { Arc::clone(label) };
        self.redirects.entry(label).or_default().merge(&more);
    }

    /// Adds what was measured of some series. If there is not room for all of them, those with most requests have it.
    pub(crate) fn measure<'a>(&mut self, more: impl ExactSizeIterator<Item = (&'a Series, &'a Measure)>) {
        if self.requests.len() + more.len() <= SERIES {
            // So few are within every limit.
            return more.for_each(|(series, measure)| _ = self.put(series.clone(), measure));
        }
        let mut room = Room::beside(self.requests.keys().map(|series| &series.label));
        let mut more: Vec<_> = more.collect();
        // The same ones however often a run is put together.
        more.sort_by_cached_key(|(series, measure)| (Reverse(measure.durations.count()), (*series).clone()));
        for (series, measure) in more {
            let has_room = self.requests.contains_key(series) || room.take(&series.label);
            let series = match has_room {
                true => series.clone(),
                false => series.beyond(),
            };
            let label = Arc::clone(&series.label);
            if let Some(before) = self.put(series, measure) {
                room.raise(&label, before, 1);
            }
        }
    }

    /// Adds to a series, which is there from now on. Returns the priority that it had, if it has a higher one now.
    fn put(&mut self, series: Series, more: &Measure) -> Option<Priority> {
        let label = Arc::clone(&series.label);
        let outcome = series.outcome;
        let (before, measure) = match self.requests.entry(series) {
            Entry::Vacant(new) => {
                new.insert(more.clone());
                return None;
            }
            Entry::Occupied(mut known) => {
                known.get_mut().merge(more);
                let before = known.key().label.priority;
                if before >= label.priority {
                    return None;
                }
                (before, known.remove())
            }
        };
        // A map keeps its first key.
        self.requests.insert(Series { label, outcome }, measure);
        Some(before)
    }

    /// Requests that ended, whatever their outcome; those that the run cut off are not among them.
    #[must_use]
    pub fn requests_done(&self) -> u64 {
        self.ends(false).done
    }

    /// Requests that count as failed.
    #[must_use]
    pub fn requests_failed(&self) -> u64 {
        self.ends(false).failed
    }

    /// Requests that the run cut off.
    #[must_use]
    pub fn requests_interrupted(&self) -> u64 {
        self.ends(false).interrupted
    }

    /// Counts how requests ended, or measured steps.
    #[must_use]
    pub fn ends(&self, of_steps: bool) -> Ends {
        let mut ends = Ends::default();
        for (series, measure) in self.requests.iter().filter(|(series, _)| series.is_step() == of_steps) {
            ends.add(series.outcome, measure.durations.count());
        }
        ends
    }

    /// Bytes of memory that its histograms hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let requests: usize = self.requests.values().map(|measure| measure.durations.bytes()).sum();
        let Triggers { service, response, .. } = &self.triggers;
        let others = [service, response, &self.journeys, &self.waiting, &self.connects, &self.generator.lag];
        let of_users = [&self.user_starts, &self.start_waits];
        let others = others.into_iter().chain(of_users).map(Histogram::bytes).sum::<usize>();
        requests + self.tags.bytes() + others
    }
}
