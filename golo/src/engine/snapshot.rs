//! Snapshots: the measurements of a period. They merge by addition, across workers, agents and time.

mod lean;

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connections::Connections;
use super::errors::{ErrorKind, Errors, Seen};
use super::failures::Failures;
use super::histogram::Histogram;
use super::metrics::Metrics;
use super::mix;
use super::phases::{MeasuredPhases, Phase};
use super::room::{Priority, Room, SERIES};
use super::series::{Label, Outcome, Series};
use super::slowest::Slowest;
use super::spent::Spent;
use super::tags::Tags;
use crate::OutputRef;
pub use crate::metrics::check::Check;
use crate::metrics::check::{self, Checks};
use crate::metrics::tag_set;
use crate::support::panic::{self, Stray};

/// Maximum number of scenarios that are kept apart. A plan has no more.
pub(crate) const SCENARIOS: usize = mix::MOST;

/// Measurements of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measure {
    /// Time from sending the request to the last byte of the response's body, in nanoseconds.
    pub durations: Histogram,
    /// Bytes of response bodies.
    pub received: u64,
    /// Bytes of request bodies that were handed to a connection.
    pub sent: u64,
    /// Part of the requests that ended after the load.
    pub after_load: AfterLoad,
    /// Phases of the requests. `None` if nothing is known of them.
    pub phases: Option<Box<MeasuredPhases>>,
}

/// Requests of a series that ended after the load: after the plan's time, or after the last start. They are left out of
/// rates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AfterLoad {
    /// Number of requests.
    pub count: u64,
    /// Bytes of response bodies.
    pub received: u64,
    /// Bytes of request bodies.
    pub sent: u64,
}

impl AfterLoad {
    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.received = self.received.saturating_add(other.received);
        self.sent = self.sent.saturating_add(other.sent);
    }
}

/// Redirects followed by requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redirects {
    /// Number of redirects. The target received each as a separate request.
    pub followed: u64,
    /// Number of requests that followed an unknown number of redirects. `followed` counts one for each of them.
    pub at_least: u64,
}

impl Redirects {
    /// Returns the redirects of one request.
    pub(super) fn of(output: &OutputRef<'_>) -> Self {
        Self { followed: output.redirects.into(), at_least: output.redirects_are_hidden.into() }
    }

    /// Adds the redirects of other requests.
    pub fn merge(&mut self, other: &Self) {
        self.followed = self.followed.saturating_add(other.followed);
        self.at_least = self.at_least.saturating_add(other.at_least);
    }
}

impl Measure {
    /// Adds the measurements of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.durations.merge(&other.durations);
        self.received = self.received.saturating_add(other.received);
        self.sent = self.sent.saturating_add(other.sent);
        self.after_load.merge(&other.after_load);
        if let Some(phases) = &other.phases {
            self.phases.get_or_insert_default().merge(phases);
        }
    }
}

/// Results of the triggers that were due.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Triggers {
    /// Starts that the plan required.
    pub due: u64,
    /// Triggers that ended, including failed ones.
    pub done: u64,
    /// Triggers that returned an error or panicked.
    pub failed: u64,
    /// Triggers that panicked.
    pub panicked: u64,
    /// Triggers that were cut off.
    pub interrupted: u64,
    /// Starts that did not happen because the maximum number of triggers was in flight, or because their user was still
    /// busy.
    pub dropped_busy: u64,
    /// Part of [`dropped_busy`](Self::dropped_busy) that would have happened without the load test's own pauses: its
    /// think time and its own work.
    pub dropped_pausing: u64,
    /// Starts that did not happen because their user could not start.
    pub dropped_unready: u64,
    /// Starts that did not happen because the run was stopped before.
    pub dropped_stopped: u64,
    /// Time from the actual start to the end, without think time, in nanoseconds.
    pub service: Histogram,
    /// Time from the due time to the end, without think time, in nanoseconds.
    pub response: Histogram,
    /// Time spent in triggers that ended. Zero if unknown.
    pub spent: Spent,
    /// Part of [`done`](Self::done) that ended after the load.
    pub done_after_load: u64,
}

impl Triggers {
    /// Returns the number of starts that did not happen.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_busy.saturating_add(self.dropped_unready).saturating_add(self.dropped_stopped)
    }

    /// Returns the number of starts whose end was not reported.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.due.saturating_sub(self.done.saturating_add(self.interrupted).saturating_add(self.dropped()))
    }

    pub(crate) fn merge(&mut self, other: &Self) {
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

/// State of the load generator itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generator {
    /// golo's own delay: time from when a trigger could have started to its actual start, in nanoseconds.
    pub lag: Histogram,
    /// Time in which the workers' threads were not waiting.
    pub busy: Duration,
    /// Total time of the workers' threads.
    pub time: Duration,
    /// Requests from threads other than the workers'.
    pub foreign: u64,
    /// Requests that failed because no file descriptor was left.
    pub without_descriptor: u64,
    /// Requests that failed because no local port was left.
    pub without_port: u64,
    /// Users that could not start.
    pub users_failed: u64,
    /// Users that have started.
    pub users_started: u64,
    /// Panics of the load test outside of triggers.
    pub stray_panics: u64,
    /// Calls of a user's `stop` that were cut off at the end of the grace period.
    pub stops_cut_off: u64,
    /// Triggers that started after the end of the plan because their user was still starting.
    pub overdue: u64,
    /// Triggers started by the warm-up.
    pub warm_up_triggers: u64,
    /// Requests of the warm-up that the target received. Each redirect is one more.
    pub warm_up_requests: u64,
    /// Connections made by the warm-up.
    pub warm_up_connections: u64,
    /// Requests that the target received from users that started or stopped.
    pub user_requests: u64,
    /// Connections made by users that started or stopped.
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

    /// Returns the share of time in which the workers were busy, from 0 to 1.
    #[must_use]
    pub fn busy_share(&self) -> f64 {
        if self.time.is_zero() { 0.0 } else { (self.busy.as_secs_f64() / self.time.as_secs_f64()).min(1.0) }
    }
}

/// Number of requests, or of measured steps, by the way they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Requests that ended, including failed ones.
    pub done: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that the run cut off.
    pub interrupted: u64,
}

impl Ends {
    /// Adds `number` requests with this outcome.
    pub(crate) fn add(&mut self, outcome: Outcome, number: u64) {
        let to = if outcome == Outcome::Interrupted { &mut self.interrupted } else { &mut self.done };
        *to = to.saturating_add(number);
        if outcome.is_failed() {
            self.failed = self.failed.saturating_add(number);
        }
    }

    /// Returns the number of requests that ended or were cut off.
    #[must_use]
    pub fn all(self) -> u64 {
        self.done.saturating_add(self.interrupted)
    }

    /// Returns the number of requests that ended without failing.
    #[must_use]
    pub fn passed(self) -> u64 {
        self.done.saturating_sub(self.failed)
    }
}

/// All measurements of a period: a second of one worker, or a whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Requests by series. [`Self::merge`] adds those past the limits of [`room`](super::room) to `other`.
    pub requests: HashMap<Series, Measure>,
    /// Triggers.
    pub triggers: Triggers,
    /// Triggers of each scenario, by name. Starts that did not happen belong to none, if scenarios share a load.
    pub scenarios: BTreeMap<Arc<str>, Triggers>,
    /// Durations of journeys, in nanoseconds.
    pub journeys: Histogram,
    /// The slowest journeys.
    pub slowest: Slowest,
    /// Time from sending a request to the headers of its response, in nanoseconds, for requests with a whole response.
    /// Only of golo 0.1, which had one histogram for all series. Empty otherwise, see [`Measure::phases`].
    pub waiting: Histogram,
    /// Time to connect, including TLS, in nanoseconds.
    pub connects: Histogram,
    /// Checks by name.
    pub checks: Checks,
    /// Errors of requests and triggers.
    pub errors: Errors,
    /// Redirects followed by requests, for labels that have any.
    pub redirects: BTreeMap<Arc<Label>, Redirects>,
    /// The load generator.
    pub generator: Generator,
    /// Connections of golo's transport.
    pub connections: Connections,
    /// Start times of users that started, in nanoseconds.
    pub user_starts: Histogram,
    /// Delay of triggers whose user was still starting, in nanoseconds. Contains only triggers that waited for that.
    pub start_waits: Histogram,
    /// Tags of the triggers' responses.
    pub tags: Tags,
    /// Number of requests recorded from triggers' tags because the load test printed no `Output`.
    pub requests_from_tags: u64,
    /// Metrics of the load test's own, and durations of groups.
    pub metrics: Metrics,
    /// Number of tags whose value became `other`, because there were too many sets of tags.
    pub tags_beyond: u64,
    /// Samples of failed requests.
    pub failures: Failures,
}

impl Snapshot {
    /// Returns true if a trigger, a request or a user has started or ended, or the load test has recorded something.
    pub(super) fn has_moved(&self) -> bool {
        let Triggers { due, done, interrupted, .. } = self.triggers;
        let Generator { users_started, users_failed, warm_up_triggers, .. } = self.generator;
        [due, done, interrupted, users_started, users_failed, warm_up_triggers].iter().any(|count| *count > 0)
            || self.requests.values().any(|measure| !measure.durations.is_empty())
            || self.checks.values().any(|check| check.passed + check.failed > 0)
            || !self.metrics.is_empty()
    }

    /// As [`merge`](Self::merge), without copying the requests if there are none yet.
    pub fn take(&mut self, mut other: Self) {
        if self.requests.is_empty() && other.requests.len() <= SERIES {
            self.requests = std::mem::take(&mut other.requests);
        }
        self.merge(&other);
    }

    /// Adds the measurements of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.measure(other.requests.iter());
        self.triggers.merge(&other.triggers);
        for (name, triggers) in &other.scenarios {
            if self.scenarios.len() < SCENARIOS || self.scenarios.contains_key(name) {
                self.scenarios.entry(Arc::clone(name)).or_default().merge(triggers);
            }
        }
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
        self.connections.merge(&other.connections);
        self.user_starts.merge(&other.user_starts);
        self.start_waits.merge(&other.start_waits);
        self.tags.merge(&other.tags);
        self.requests_from_tags = self.requests_from_tags.saturating_add(other.requests_from_tags);
        self.metrics.merge(&other.metrics);
        self.tags_beyond = self.tags_beyond.saturating_add(other.tags_beyond);
        self.failures.merge(&other.failures);
    }

    /// Counts triggers whose end was not reported, because a worker or an agent was lost, as interrupted. `before` is
    /// what was measured before this snapshot.
    pub fn interrupt_untold(&mut self, before: &Self) {
        let mut all = before.triggers.clone();
        all.merge(&self.triggers);
        self.triggers.interrupted = self.triggers.interrupted.saturating_add(all.untold());
        let names: BTreeSet<_> = before.scenarios.keys().chain(self.scenarios.keys()).cloned().collect();
        for name in names {
            let scenario = self.scenarios.entry(Arc::clone(&name)).or_default();
            let mut all = before.scenarios.get(&name).cloned().unwrap_or_default();
            all.merge(scenario);
            scenario.interrupted = scenario.interrupted.saturating_add(all.untold());
        }
    }

    /// Adds the panics outside of triggers that have not been reported yet. `started` is the start of the run's
    /// measured part.
    pub(crate) fn add_stray_panics(&mut self, started: Option<Instant>) {
        for (text, Stray { count, first }) in panic::take() {
            let first = started.map_or(Duration::ZERO, |started| first.saturating_duration_since(started));
            self.errors.add_seen(ErrorKind::StrayPanic, &text, Seen { count, first });
            self.generator.stray_panics = self.generator.stray_panics.saturating_add(count);
        }
    }

    /// Adds the number of tags that were not kept and have not been reported yet.
    pub(crate) fn add_tags_beyond(&mut self) {
        self.tags_beyond = self.tags_beyond.saturating_add(tag_set::take_beyond());
    }

    /// Adds results of a check.
    pub(crate) fn check(&mut self, name: &str, more: Check) {
        check::add(&mut self.checks, name, more);
    }

    /// Adds redirects that requests with this label followed.
    pub(crate) fn redirect(&mut self, label: &Arc<Label>, more: Redirects) {
        if let Some(known) = self.redirects.get_mut(label) {
            return known.merge(&more);
        }
        let is_full = self.redirects.len() >= SERIES;
        let label = if is_full { Arc::new(Label::other(label.priority, label.is_step())) } else { Arc::clone(label) };
        self.redirects.entry(label).or_default().merge(&more);
    }

    /// Adds measurements of series. If there is not enough room, the series with the most requests get it.
    pub(crate) fn measure<'a>(&mut self, more: impl ExactSizeIterator<Item = (&'a Series, &'a Measure)>) {
        if self.requests.len() + more.len() <= SERIES {
            // So few are within every limit.
            return more.for_each(|(series, measure)| _ = self.put(series.clone(), measure));
        }
        let mut room = Room::beside(self.requests.keys().map(|series| &series.label));
        let mut more: Vec<_> = more.collect();
        // Sorted, so that the same series are kept however often a run is merged.
        more.sort_by_cached_key(|(series, measure)| (Reverse(measure.durations.count()), (*series).clone()));
        for (series, measure) in more {
            let has_room = self.requests.contains_key(series) || room.take(&series.label);
            let series = match has_room {
                true => series.clone(),
                false => self.beyond(series, &mut room),
            };
            let label = Arc::clone(&series.label);
            if let Some(before) = self.put(series, measure) {
                room.raise(&label, before, 1);
            }
        }
    }

    /// Returns the series that counts instead of one that is past the limits, taking room for it.
    fn beyond(&self, series: &Series, room: &mut Room) -> Series {
        let untagged = series.untagged();
        let has_room = |series: &Series| self.requests.contains_key(series) || room.take(&series.label);
        untagged.filter(has_room).unwrap_or_else(|| series.beyond())
    }

    /// Adds measurements to a series, creating it if needed. Returns its former priority if it has a higher one now.
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
        // `HashMap` keeps the old key on insert, so the entry was removed first to store the new priority.
        self.requests.insert(Series { label, outcome }, measure);
        Some(before)
    }

    /// Returns the number of requests that ended with any outcome. Requests cut off by the run are not included.
    #[must_use]
    pub fn requests_done(&self) -> u64 {
        self.ends(false).done
    }

    /// Returns the number of requests that count as failed.
    #[must_use]
    pub fn requests_failed(&self) -> u64 {
        self.ends(false).failed
    }

    /// Returns the number of requests that the run cut off.
    #[must_use]
    pub fn requests_interrupted(&self) -> u64 {
        self.ends(false).interrupted
    }

    /// Returns the number of requests, or of measured steps if `of_steps` is true, by the way they ended.
    #[must_use]
    pub fn ends(&self, of_steps: bool) -> Ends {
        let mut ends = Ends::default();
        for (series, measure) in self.requests.iter().filter(|(series, _)| series.is_step() == of_steps) {
            ends.add(series.outcome, measure.durations.count());
        }
        ends
    }

    /// Returns the phases of all requests that ended, without those that the run cut off.
    #[must_use]
    pub fn phases(&self) -> MeasuredPhases {
        let mut all = MeasuredPhases::default();
        let ended = self.requests.iter().filter(|(series, _)| series.outcome != Outcome::Interrupted);
        ended.filter_map(|(_, measure)| measure.phases.as_deref()).for_each(|phases| all.merge(phases));
        all
    }

    /// Returns the time that all requests waited for the first byte of their response, in nanoseconds.
    #[must_use]
    pub fn waits(&self) -> Histogram {
        let mut waits = self.phases().distribution(Phase::Waiting);
        waits.merge(&self.waiting);
        waits
    }

    /// Returns the heap memory of the histograms and samples, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let phases = |measure: &Measure| {
            measure.phases.as_ref().map_or(0, |phases| size_of::<MeasuredPhases>() + phases.bytes())
        };
        let requests: usize = self.requests.values().map(|measure| measure.durations.bytes() + phases(measure)).sum();
        let Triggers { service, response, .. } = &self.triggers;
        let others = [service, response, &self.journeys, &self.waiting, &self.connects, &self.generator.lag];
        let of_users = [&self.user_starts, &self.start_waits];
        let others = others.into_iter().chain(of_users).map(Histogram::bytes).sum::<usize>();
        requests + self.tags.bytes() + self.metrics.bytes() + self.failures.bytes() + others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_scenarios_is_limited() {
        let mut all = Snapshot::default();
        for number in 0..SCENARIOS + 5 {
            let mut one = Snapshot::default();
            one.scenarios.insert(format!("s{number}").into(), Triggers { done: 1, ..Triggers::default() });
            all.merge(&one);
        }
        let again = all.clone();
        all.merge(&again);
        assert_eq!((all.scenarios.len(), all.scenarios["s0"].done), (SCENARIOS, 2));
    }
}
