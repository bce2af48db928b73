//! Merges the events of all engines of a run: one engine of `golo run`, or one on each agent.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime};

use golo::engine::health::{Descriptors, LostAgent};
use golo::engine::plan::Plan;
use golo::engine::snapshot::Snapshot;
use golo::engine::standstill::Standstill;
use golo::engine::{Finished, Options, Progress, RunEvent};
use golo::pb::engine::{self as pb, event::Event};
use golo::report::Change;
use golo::wire::{self, WireError};

/// The merged measurements of a run.
pub struct MergedRun {
    plan: Plan,
    options: Options,
    parts: Vec<Part>,
    /// Measurements of seconds that were not returned yet, by the number of the second.
    pending: BTreeMap<u64, PendingSecond>,
    /// Number of the last second that was returned.
    seconds: u64,
    totals: Snapshot,
    most_users: u64,
    most_connections: u64,
    /// Events other than seconds that were not returned yet.
    waiting: VecDeque<RunEvent>,
    /// True if an engine has completed the plan.
    is_planned: bool,
    /// Changes of the load.
    changes: Vec<Change>,
}

/// A second that not all engines have reported yet.
#[derive(Default)]
struct PendingSecond {
    snapshot: Snapshot,
    users: u64,
    connections: u64,
}

/// State of one engine's part of the run.
struct Part {
    name: String,
    state: State,
    /// Number of seconds that the engine has reported.
    seconds: u64,
    started_at: Option<SystemTime>,
    /// Reason why the part failed, although its engine reported its end.
    failed: Option<String>,
    /// Number of changes of the load that the engine has reported.
    changes: usize,
}

enum State {
    Running,
    Finished(Box<Finished>),
    Lost(String),
}

impl Part {
    fn is_running(&self) -> bool {
        matches!(self.state, State::Running)
    }
}

impl MergedRun {
    /// Creates an empty run of `plan` with `options`, shared by engines of these names.
    #[must_use]
    pub fn new(plan: Plan, options: Options, names: impl IntoIterator<Item = String>) -> Self {
        let part = |name| Part { name, state: State::Running, seconds: 0, started_at: None, failed: None, changes: 0 };
        Self {
            plan,
            options,
            parts: names.into_iter().map(part).collect(),
            pending: BTreeMap::new(),
            seconds: 0,
            totals: Snapshot::default(),
            most_users: 0,
            most_connections: 0,
            waiting: VecDeque::new(),
            is_planned: false,
            changes: Vec::new(),
        }
    }

    /// Adds an event of the engine number `part`.
    ///
    /// # Errors
    ///
    /// Returns an error if the event is invalid.
    pub fn receive(&mut self, part: usize, event: &Event) -> Result<(), WireError> {
        let part = &mut self.parts[part];
        match event {
            Event::Started(started) => part.started_at = Some(wire::moment(started.at)),
            Event::Second(pb::Second { elapsed, snapshot: Some(piece), .. })
                if piece.piece() == pb::Piece::Followed =>
            {
                // The last piece ends the second.
                let seconds = Duration::from_nanos(*elapsed).as_secs().max(part.seconds + 1);
                let pending = self.pending.entry(seconds.max(self.seconds + 1)).or_default();
                pending.snapshot.merge(&piece.try_into()?);
            }
            Event::Second(second) => {
                let Progress { elapsed, second, users, connections } = wire::progress(second)?;
                part.seconds = elapsed.as_secs();
                let pending = self.pending.entry(part.seconds.max(self.seconds + 1)).or_default();
                pending.snapshot.take(second);
                pending.users += users;
                pending.connections += connections;
            }
            Event::Finished(finished) => {
                let finished = wire::finished(finished, self.options.clone())?;
                // Add the rest to the next second if other engines still report it. Otherwise it belongs to the end.
                let pending = self.pending.entry(part.seconds.max(self.seconds) + 1).or_default();
                pending.snapshot.merge(&finished.rest);
                part.state = State::Finished(Box::new(finished));
            }
            Event::Adjusted(adjusted) => {
                if let Some(load) = &adjusted.load {
                    self.plan = load.try_into()?;
                    // Each engine of a run reports the same changes in the same order.
                    part.changes += 1;
                    if part.changes > self.changes.len() {
                        self.changes.extend(Change::last_of(&self.plan));
                    }
                }
            }
            Event::Planned(planned) => {
                let load = planned.load.as_ref().ok_or_else(|| WireError::missing("load of the completed plan"))?;
                let plan: Plan = load.try_into()?;
                // All engines of a run complete it in the same way.
                if !std::mem::replace(&mut self.is_planned, true) {
                    self.plan = plan.clone();
                    self.waiting.push_front(RunEvent::Planned { plan, thresholds: planned.thresholds.clone() });
                }
            }
            Event::Ready(_) | Event::Accepted(_) | Event::Outputs(_) | Event::SetUp(_) => {}
        }
        Ok(())
    }

    /// Marks an engine as lost for this reason. If it has reported its end already, marks its part as failed.
    pub fn lose(&mut self, part: usize, reason: impl Into<String>) {
        let part = &mut self.parts[part];
        match part.state {
            State::Running => part.state = State::Lost(reason.into()),
            State::Finished(_) => part.failed = Some(reason.into()),
            State::Lost(_) => {}
        }
    }

    /// Marks an engine as finished that was left before it started. It has no measurements.
    pub fn leave(&mut self, part: usize) {
        let finished = Finished::not_started(self.plan.clone(), self.options.clone(), None);
        self.parts[part].state = State::Finished(Box::new(finished));
    }

    /// Adds an event of the run for [`next_event`](Self::next_event), before the next second.
    pub fn push(&mut self, event: RunEvent) {
        self.waiting.push_back(event);
    }

    /// Returns the next event of the run, if there is one.
    pub fn next_event(&mut self) -> Option<RunEvent> {
        self.waiting.pop_front().or_else(|| self.progress().map(RunEvent::Second))
    }

    /// Returns the plan and the thresholds that an engine has completed, once.
    pub fn take_planned(&mut self) -> Option<(Plan, Vec<String>)> {
        self.waiting.front().filter(|event| matches!(event, RunEvent::Planned { .. }))?;
        match self.waiting.pop_front()? {
            RunEvent::Planned { plan, thresholds } => Some((plan, thresholds)),
            _ => None,
        }
    }

    /// Returns the next second, if all running engines have reported it.
    pub fn progress(&mut self) -> Option<Progress> {
        let running = self.parts.iter().filter(|part| part.is_running()).map(|part| part.seconds).min();
        let reported = running.or_else(|| self.parts.iter().map(|part| part.seconds).max())?;
        let first = self.pending.first_entry().filter(|first| *first.key() <= reported)?;
        let (seconds, PendingSecond { snapshot: second, users, connections }) = first.remove_entry();
        self.seconds = seconds;
        self.most_users = self.most_users.max(users);
        self.most_connections = self.most_connections.max(connections);
        self.totals.merge(&second);
        Some(Progress { elapsed: Duration::from_secs(seconds), second, users, connections })
    }

    /// Returns the plan, with the last change of its load.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the changes of the load, in the order of their times.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = self.changes.clone();
        changes.sort_by_key(|change| change.at);
        changes
    }

    /// Returns everything that was measured up to the last returned second.
    #[must_use]
    pub fn totals(&self) -> &Snapshot {
        &self.totals
    }

    /// Returns true if the engine has reported its end.
    #[must_use]
    pub fn has_finished(&self, part: usize) -> bool {
        matches!(self.parts[part].state, State::Finished(_))
    }

    /// Returns true if every engine was lost or has failed.
    #[must_use]
    pub fn have_all_failed(&self) -> bool {
        let has_failed = |part: &Part| matches!(part.state, State::Lost(_)) || part.failed.is_some();
        self.parts.iter().all(has_failed)
    }

    /// Returns true if no engine is running any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.parts.iter().any(Part::is_running)
    }

    /// Returns the lost engines, each with its name, the number of seconds it has reported, and the reason.
    pub fn lost(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.parts.iter().filter_map(|part| match &part.state {
            State::Lost(reason) => Some((&*part.name, part.seconds, &**reason)),
            _ => None,
        })
    }

    /// Returns all measurements after the end of the run. Engines that are still running count as lost.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let mut rest = Snapshot::default();
        self.pending.values().for_each(|pending| rest.merge(&pending.snapshot));
        self.totals.merge(&rest);
        let started_at = self.parts.iter().filter_map(|part| part.started_at).min();
        let plan = self.plan.clone();
        let mut merged = Finished { rest, started_at, ..Finished::not_started(plan, self.options.clone(), None) };
        (merged.most_users, merged.most_connections) = (self.most_users, self.most_connections);
        let is_one = self.parts.len() == 1;
        let lost = |part: &Part, from: Duration, reason: &str| {
            let agent = LostAgent { name: part.name.clone(), from, reason: reason.to_owned() };
            (!is_one).then_some(agent)
        };
        let mut first_reason = None;
        let mut not_started = Vec::new();
        let mut workers = 0;
        for part in &self.parts {
            let named = |text: &str| if is_one { text.to_owned() } else { format!("{}: {text}", part.name) };
            match &part.state {
                State::Finished(finished) => {
                    merge(&mut merged, finished);
                    workers += finished.options.workers;
                    merged.health.lost.extend(finished.health.lost.iter().map(|reason| named(reason)));
                    if let Some(reason) = &finished.not_started {
                        not_started.extend(lost(part, Duration::ZERO, reason));
                        first_reason.get_or_insert_with(|| named(reason));
                    } else if let Some(reason) = &part.failed {
                        merged.health.lost_agents.extend(lost(part, finished.load_time, reason));
                    }
                }
                State::Running | State::Lost(_) => {
                    workers += 1;
                    // The reported seconds are the time that was measured.
                    let reported = Duration::from_secs(part.seconds);
                    // The grace period is not part of the load time.
                    let load = merged.plan.duration().map_or(reported, |duration| duration.min(reported));
                    merged.load_time = merged.load_time.max(load);
                    merged.whole_time = merged.whole_time.max(reported);
                    let reason = if let State::Lost(reason) = &part.state { reason } else { "it did not end" };
                    merged.health.lost_agents.extend(lost(part, reported, reason));
                }
            }
        }
        merged.options.workers = workers;
        if is_one || not_started.len() == self.parts.len() {
            merged.not_started = first_reason;
        } else {
            merged.health.lost_agents.extend(not_started);
        }
        if self.parts.iter().any(|part| !matches!(part.state, State::Finished(_))) {
            // The lost engines have not reported the end of these triggers.
            self.totals.interrupt_untold(&Snapshot::default());
        }
        merged.totals = self.totals;
        merged
    }
}

/// Merges the end of one engine's part.
fn merge(merged: &mut Finished, part: &Finished) {
    merged.started_at = merged.started_at.into_iter().chain(part.started_at).min();
    merged.load_time = merged.load_time.max(part.load_time);
    merged.whole_time = merged.whole_time.max(part.whole_time);
    merged.tells_after_load &= part.tells_after_load;
    merged.most_users = merged.most_users.max(part.most_users);
    merged.most_connections = merged.most_connections.max(part.most_connections);
    for proxy in &part.proxies {
        if !merged.proxies.contains(proxy) {
            merged.proxies.push(proxy.clone());
        }
    }
    let health = &mut merged.health;
    if let Some(lag) = part.health.worst_lag
        && health.worst_lag.is_none_or(|worst| lag.is_worse_than(&worst))
    {
        health.worst_lag = Some(lag);
    }
    health.standstill = Standstill::longer(health.standstill, part.health.standstill);
    // Of several machines, report the one that has the smallest share of descriptors left.
    let used = |descriptors: &Descriptors| match descriptors.limit {
        Some(limit) => descriptors.open as f64 / limit.max(1) as f64,
        None => 0.0,
    };
    health.is_unoptimised |= part.health.is_unoptimised;
    let ours = part.health.descriptors;
    if health.descriptors == Descriptors::default() || used(&health.descriptors) < used(&ours) {
        health.descriptors = ours;
    }
}

#[cfg(test)]
mod tests {
    use golo::engine::plan::Asked;
    use golo::engine::share::Share;

    use super::*;

    fn merged(parts: usize) -> MergedRun {
        let plan = Plan::new(Asked::default()).unwrap();
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        MergedRun::new(plan, options, (0..parts).map(|part| format!("agent-{part}")))
    }

    fn second(elapsed: u64, done: u64) -> Event {
        let triggers = pb::Triggers { due: done + 1, done, ..pb::Triggers::default() };
        let snapshot = pb::Snapshot { triggers: Some(triggers), ..pb::Snapshot::default() };
        Event::Second(pb::Second {
            elapsed: elapsed * 1_000_000_000,
            users: 2,
            snapshot: Some(snapshot),
            connections: 3,
        })
    }

    fn finished(written: pb::Finished) -> Event {
        let load = Some((&Plan::new(Asked::default()).unwrap()).into());
        Event::Finished(pb::Finished { workers: 2, load, ..written })
    }

    #[test]
    fn second_is_returned_once_all_engines_have_reported_it() {
        let mut run = merged(2);
        run.receive(0, &second(1, 10)).unwrap();
        run.receive(0, &second(2, 10)).unwrap();
        assert!(run.progress().is_none());
        run.receive(1, &second(1, 5)).unwrap();
        let progress = run.progress().unwrap();
        assert_eq!((progress.elapsed.as_secs(), progress.users, progress.second.triggers.done), (1, 4, 15));
        assert_eq!(progress.connections, 6);
        assert!(run.progress().is_none());
        run.lose(1, "it is gone");
        assert_eq!(run.progress().unwrap().elapsed.as_secs(), 2, "the lost engine is not waited for");
        assert_eq!(run.totals().triggers.done, 25);
        assert_eq!(run.finish().most_connections, 6, "those of both in the first second");
    }

    #[test]
    fn end_is_merged_over_all_engines() {
        let mut run = merged(2);
        run.receive(0, &second(1, 10)).unwrap();
        let lag = |p99| Some(pb::Lag { from: 3, p99, limit: 10 });
        let rest = pb::Snapshot {
            triggers: Some(pb::Triggers { done: 1, interrupted: 1, due: 1, ..pb::Triggers::default() }),
            ..pb::Snapshot::default()
        };
        run.receive(
            0,
            &finished(pb::Finished {
                load_time: 3,
                whole_time: 7,
                worst_lag: lag(2),
                rest: Some(rest),
                ..Default::default()
            }),
        )
        .unwrap();
        assert!(!run.is_over());
        run.receive(
            1,
            &finished(pb::Finished {
                load_time: 4,
                whole_time: 5,
                worst_lag: lag(5),
                started_at: Some(9),
                ..Default::default()
            }),
        )
        .unwrap();
        assert!(run.is_over());
        let end = run.finish();
        assert_eq!((end.load_time.as_nanos(), end.whole_time.as_nanos(), end.options.workers), (4, 7, 4));
        assert_eq!(end.health.worst_lag.unwrap().p99.as_nanos(), 5);
        assert_eq!((end.totals.triggers.done, end.totals.triggers.interrupted), (11, 1));
        assert_eq!((end.rest.triggers.done, end.started_at), (11, Some(wire::moment(9))));
        assert_eq!((end.not_started, end.health.lost), (None, vec![]));
    }

    #[test]
    fn lost_engine_is_named_with_its_missing_time() {
        let mut run = merged(2);
        run.receive(0, &second(1, 10)).unwrap();
        run.receive(1, &second(1, 10)).unwrap();
        run.receive(0, &finished(pb::Finished::default())).unwrap();
        run.lose(1, "the connection was lost");
        assert_eq!(run.lost().collect::<Vec<_>>(), [("agent-1", 1, "the connection was lost")]);
        let end = run.finish();
        assert_eq!(end.health.lost_agents, [lost("agent-1", Duration::from_secs(1), "the connection was lost")]);
        assert_eq!((end.totals.triggers.due, end.totals.triggers.interrupted), (22, 2), "their end was not reported");
        assert_eq!(end.options.workers, 3);
    }

    #[test]
    fn run_has_not_started_if_no_part_has_started() {
        let not_started =
            || finished(pb::Finished { not_started: Some("no user could start".to_owned()), ..Default::default() });
        let mut run = merged(2);
        run.receive(0, &not_started()).unwrap();
        run.receive(1, &not_started()).unwrap();
        assert_eq!(run.finish().not_started.unwrap(), "agent-0: no user could start");
        let mut run = merged(2);
        run.receive(0, &not_started()).unwrap();
        run.receive(1, &finished(pb::Finished::default())).unwrap();
        let end = run.finish();
        let expected = [lost("agent-0", Duration::ZERO, "no user could start")];
        assert_eq!((end.not_started, &end.health.lost_agents[..]), (None, &expected[..]));
    }

    #[test]
    fn grace_period_of_lost_part_does_not_count_as_load_time() {
        let mut run = merged(2);
        let planned = Plan::new(Asked::default()).unwrap().duration().unwrap();
        for part in 0..2 {
            run.receive(part, &second(planned.as_secs() + 20, 10)).unwrap();
        }
        run.receive(0, &finished(pb::Finished { load_time: 1, tells_after_load: true, ..Default::default() })).unwrap();
        run.lose(1, "the connection was lost");
        let end = run.finish();
        assert_eq!((end.load_time, end.whole_time), (planned, planned + Duration::from_secs(20)));
        assert!(end.tells_after_load);
    }

    #[test]
    fn rates_follow_older_golo_if_any_part_is_older() {
        let mut run = merged(2);
        run.receive(0, &finished(pb::Finished { tells_after_load: true, ..Default::default() })).unwrap();
        run.receive(1, &finished(pb::Finished::default())).unwrap();
        assert!(!run.finish().tells_after_load);
    }

    #[test]
    fn seconds_that_waited_for_lost_engine_are_returned_one_by_one() {
        let mut run = merged(2);
        run.receive(1, &second(1, 1)).unwrap();
        for elapsed in 1..5 {
            run.receive(0, &second(elapsed, elapsed)).unwrap();
        }
        run.receive(0, &finished(pb::Finished { load_time: 4_500_000_000, ..Default::default() })).unwrap();
        let returned = |run: &mut MergedRun| {
            std::iter::from_fn(|| run.progress())
                .map(|progress| (progress.elapsed.as_secs(), progress.second.triggers.done, progress.users))
                .collect::<Vec<_>>()
        };
        assert_eq!(returned(&mut run), [(1, 2, 4)]);
        run.lose(1, "it is gone");
        assert_eq!(returned(&mut run), [(2, 2, 2), (3, 3, 2), (4, 4, 2)]);
        assert!(run.is_over());
        assert_eq!(run.finish().totals.triggers.done, 11);
    }

    #[test]
    fn failed_part_counts_as_lost_although_it_finished() {
        let mut run = merged(2);
        run.receive(0, &finished(pb::Finished { load_time: 2_000_000_000, ..Default::default() })).unwrap();
        run.receive(1, &finished(pb::Finished { load_time: 9_000_000_000, ..Default::default() })).unwrap();
        run.lose(0, "the load test was killed");
        let end = run.finish();
        assert_eq!(end.health.lost_agents, [lost("agent-0", Duration::from_secs(2), "the load test was killed")]);
        assert_eq!(end.load_time, Duration::from_secs(9));
    }

    fn lost(name: &str, from: Duration, reason: &str) -> LostAgent {
        LostAgent { name: name.to_owned(), from, reason: reason.to_owned() }
    }
}
