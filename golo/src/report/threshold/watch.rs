//! Thresholds during a run. The samples so far limit the samples that may still come.

use std::time::Duration;

use super::window::Windows;
use super::{Judged, Measured, Room, Threshold, Users};
use crate::engine::curve::Curve;
use crate::engine::plan::Plan;
use crate::engine::snapshot::{Snapshot, Triggers};
use crate::engine::{Finished, Progress};
use crate::report::RateTime;

/// Number of seconds after which the best second so far is an upper limit for further seconds. The first seconds are
/// those of a cold start.
const KNOWN_AFTER: u64 = 10;
/// Additional time after the grace that a run may take to cut off what is in flight.
const AFTER_GRACE: Duration = Duration::from_secs(2);

/// The thresholds of a run, from its first second to its end.
#[derive(Debug, Clone)]
pub struct Watch {
    plan: Plan,
    thresholds: Vec<Watched>,
    users: Option<Users>,
}

/// A threshold, the number of its samples in the best second so far, and its windows if it is over windows.
#[derive(Debug, Clone)]
struct Watched {
    threshold: Threshold,
    best: u64,
    windows: Option<Windows>,
}

impl Watch {
    /// Returns a watch over the thresholds for a run of this plan.
    #[must_use]
    pub fn new(thresholds: impl IntoIterator<Item = Threshold>, plan: &Plan) -> Self {
        let watched = |threshold| Watched { windows: Windows::of(&threshold, plan), threshold, best: 0 };
        let thresholds = thresholds.into_iter().map(watched).collect();
        Self { plan: plan.clone(), thresholds, users: None }
    }

    /// Continues with another plan and further thresholds. Must be called before the first second.
    pub fn complete(&mut self, plan: &Plan, thresholds: impl IntoIterator<Item = Threshold>) {
        let known = self.thresholds.drain(..).map(|watched| watched.threshold).collect::<Vec<_>>();
        let users = self.users;
        *self = Self::new(known.into_iter().chain(thresholds), plan);
        self.users = users;
    }

    /// Returns true if a threshold is about phases of requests.
    #[must_use]
    pub fn reads_phases(&self) -> bool {
        self.thresholds.iter().any(|watched| watched.threshold.metric.phase().is_some())
    }

    /// Records a second that has ended. Every second must be recorded, even if a lost threshold does not abort the run.
    pub fn second(&mut self, progress: &Progress) {
        self.users = Some(Users::with(self.users, progress.users));
        for watched in &mut self.thresholds {
            watched.best = watched.best.max(watched.threshold.amount(&progress.second));
            if let Some(windows) = &mut watched.windows {
                windows.second(&watched.threshold, progress);
            }
        }
    }

    /// Returns the first threshold that can no longer pass, by the measurements until `elapsed`.
    ///
    /// See [`Threshold::can_hold`]. The limits for the rest of the run are:
    ///
    /// - From the tenth second on, no second is better than the best so far. There is no such limit before, while the
    ///   plan has not yet reached its highest load, and if no second has brought any sample.
    /// - There are no more triggers than the plan has left.
    /// - Nothing comes after the plan's duration and its grace. A rate per second counts nothing after the duration.
    /// - No more requests are cut off than are in flight at the end, with the average number of requests per trigger so
    ///   far.
    ///
    /// A threshold over windows is lost as soon as one of them failed.
    #[must_use]
    pub fn lost(&self, totals: &Snapshot, elapsed: Duration) -> Option<&Threshold> {
        // Rates cover the time of the load, and do not count what ends after it.
        let load = self.plan.duration().map_or(elapsed, |duration| duration.min(elapsed));
        let measured = Measured { totals, rates: RateTime::load(load), users: self.users };
        let lost = self.thresholds.iter().find(|watched| {
            if let Some(windows) = watched.windows.as_ref().filter(|windows| !windows.are_longer_than_load()) {
                // A window that began before an early end of the load and ended after it is not judged in the end.
                let have_failed =
                    !has_ended_early(&self.plan, totals, elapsed) && windows.have_failed(&watched.threshold);
                return have_failed || watched.threshold.hidden(totals).is_some();
            }
            let room = watched.room(&self.plan, totals, elapsed);
            !watched.threshold.can_hold(&measured, room)
        });
        lost.map(|watched| &watched.threshold)
    }

    /// Returns the results of all thresholds for the run that has ended.
    #[must_use]
    pub fn judge(&self, finished: &Finished) -> Vec<Judged> {
        let measured = Measured::of(finished, self.users);
        let judged = |Watched { threshold, windows, .. }: &Watched| {
            let judged = match windows {
                Some(windows) => windows.judge(threshold, finished, self.users),
                None => threshold.judge(&measured),
            };
            match threshold.wrong_scenario(&self.plan, &finished.totals) {
                Some(reason) => Judged { passed: false, reason: Some(reason), ..judged },
                None => judged,
            }
        };
        self.thresholds.iter().map(judged).collect()
    }
}

impl Watched {
    fn room(&self, plan: &Plan, totals: &Snapshot, elapsed: Duration) -> Room {
        let is_rate = self.threshold.is_rate_of(totals);
        if is_rate && has_ended_early(plan, totals, elapsed) {
            // The time that the rate will cover is not known exactly.
            return Room::default();
        }
        // The rates of a plan that may be ended by its iterations may cover its whole time.
        let grace = if is_rate && plan.iterations().is_none() { Duration::ZERO } else { plan.graceful_stop() };
        let end = plan.duration().map(|duration| duration + grace + AFTER_GRACE);
        let is_known = self.best > 0 && elapsed.as_secs() >= KNOWN_AFTER && !is_yet_to_rise(plan, elapsed);
        let is_one_a_trigger = self.threshold.metric.is_one_a_trigger();
        Room {
            time: end.map(|end| end.saturating_sub(elapsed)),
            per_second: is_known.then_some(self.best),
            cut_off: if self.threshold.metric.counts_cut_off() { in_flight_at_end(plan, totals) } else { 0 },
            samples: triggers_left(plan, &totals.triggers).filter(|_| is_one_a_trigger),
        }
    }
}

/// Returns true if the load ended before its time, because it was stopped or its iterations were used up.
fn has_ended_early(plan: &Plan, totals: &Snapshot, elapsed: Duration) -> bool {
    let triggers = &totals.triggers;
    let is_used_up = plan.iterations().is_some_and(|iterations| triggers.due >= iterations);
    let has_time = plan.duration().is_none_or(|duration| elapsed < duration);
    let is_over = triggers.done_after_load > 0 || totals.requests.values().any(|measure| measure.after_load.count > 0);
    is_used_up || (is_over && (has_time || plan.iterations().is_some()))
}

/// Returns the maximum number of requests that may be in flight at the end.
fn in_flight_at_end(plan: &Plan, totals: &Snapshot) -> u64 {
    let triggers = &totals.triggers;
    let ended = triggers.done.saturating_add(triggers.dropped()).saturating_add(triggers.interrupted);
    let in_flight = triggers.due.saturating_sub(ended);
    let to_come = plan.planned_starts().map_or(u64::MAX, |starts| starts.saturating_sub(triggers.due));
    let most = plan.peak_users().min(in_flight.saturating_add(to_come));
    let requests = totals.ends(false).done.saturating_add(totals.ends(true).done);
    // The requests of a trigger may be in flight together.
    let each = if triggers.done == 0 { u64::MAX } else { requests.div_ceil(triggers.done).max(1) };
    most.saturating_mul(each)
}

/// Returns the number of triggers that may still end, if the plan limits it.
fn triggers_left(plan: &Plan, triggers: &Triggers) -> Option<u64> {
    let (all, gone) = match plan.iterations() {
        // A start that did not happen may be repeated.
        Some(iterations) => (iterations, 0),
        None => (plan.planned_starts()?, triggers.dropped().saturating_add(triggers.interrupted)),
    };
    Some(all.saturating_sub(triggers.done).saturating_sub(gone))
}

/// Returns true if the plan has not yet reached its highest load at `elapsed`.
fn is_yet_to_rise(plan: &Plan, elapsed: Duration) -> bool {
    plan.loads().iter().any(|load| match elapsed.checked_sub(load.start()) {
        Some(elapsed) => reached(load.curve(), elapsed) < load.curve().peak() as f64,
        None => true,
    })
}

/// Returns the highest value until `elapsed`.
fn reached(curve: &Curve, elapsed: Duration) -> f64 {
    let mut time = Duration::ZERO;
    let ends = curve.stages().iter().map_while(|(stage, target)| {
        time += *stage;
        (time <= elapsed).then_some(*target as f64)
    });
    ends.fold(curve.at(Duration::ZERO).max(curve.at(elapsed)), f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::metrics::{Sum, Value};
    use crate::engine::plan::Asked;
    use crate::engine::series::TagPairs;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(asked: Asked) -> Plan {
        Plan::new(Asked { graceful_stop: Some(Duration::ZERO), ..asked }).unwrap()
    }

    fn minute() -> Plan {
        plan(Asked { duration: Some(60 * SECOND), ..Asked::default() })
    }

    fn watch(threshold: &str, plan: &Plan) -> Watch {
        Watch::new([threshold.parse().unwrap()], plan)
    }

    /// Records seconds in which `done` triggers end and `failed` of them fail. Returns the second after which the
    /// threshold was lost.
    fn lost_after(watch: &mut Watch, seconds: u64, done: u64, failed: u64) -> Option<u64> {
        let mut totals = Snapshot::default();
        (1..=seconds).find(|&elapsed| {
            let mut second = Snapshot::default();
            (second.triggers.done, second.triggers.failed) = (done, failed);
            totals.merge(&second);
            let elapsed = Duration::from_secs(elapsed);
            watch.second(&Progress { elapsed, second, users: 25, connections: 0 });
            watch.lost(&totals, elapsed).is_some()
        })
    }

    #[test]
    fn irreparable_threshold_is_lost_at_once_and_rate_when_too_little_is_left() {
        let lost = |threshold: &str| lost_after(&mut watch(threshold, &minute()), 60, 10, 5);
        assert_eq!(lost("iterations count<15"), Some(2));
        assert_eq!(lost("iteration_failed rate<=0%"), Some(1));
        assert_eq!(lost("vus max<25"), Some(1));
        assert_eq!(lost("iteration_failed rate<50%"), None, "good ones may come until the end");
        // Of 620 at the end, and 25 that are cut off, 129 may fail.
        assert_eq!(lost("iteration_failed rate<20%"), Some(26));
        // 600 in a minute, and 20 in the additional time for cutting off.
        assert_eq!((lost("iterations count>=700"), lost("iterations count>=620")), (Some(10), None));
    }

    #[test]
    fn cold_start_and_future_load_are_waited_for() {
        let stages = "20s:10,20s:20,20s:0".split(',').map(|stage| stage.parse().unwrap()).collect();
        let ramp = plan(Asked { stages, ..Asked::default() });
        assert_eq!(lost_after(&mut watch("iterations count>1000", &ramp), 60, 10, 0), Some(40));
        let yet_to_rise = |second| is_yet_to_rise(&ramp, second * SECOND);
        assert_eq!([0, 20, 39, 40, 59].map(yet_to_rise), [true, true, true, false, false]);
        assert_eq!(lost_after(&mut watch("iterations count>1000", &minute()), 60, 0, 0), None, "none has come yet");
    }

    #[test]
    fn plan_of_iterations_limits_remaining_triggers() {
        let iterations = plan(Asked { iterations: Some(100), ..Asked::default() });
        assert_eq!(lost_after(&mut watch("iteration_failed rate<10%", &iterations), 10, 10, 5), Some(2));
        assert_eq!(
            lost_after(&mut watch("iterations rate>20", &iterations), 10, 10, 0),
            Some(6),
            "even if all ended now"
        );
        let open = plan(Asked { rate: Some("10/s".parse().unwrap()), duration: Some(10 * SECOND), ..Asked::default() });
        assert_eq!(lost_after(&mut watch("iterations count>100", &open), 10, 10, 0), Some(1));
        let triggers = Triggers { done: 10, dropped_busy: 5, interrupted: 1, ..Triggers::default() };
        assert_eq!((triggers_left(&open, &triggers), triggers_left(&iterations, &triggers)), (Some(84), Some(90)));
        assert_eq!(triggers_left(&minute(), &triggers), None);
    }

    /// Simulates a run of ten requests per second for `load` seconds, after which `late` requests end in each second.
    /// Returns the second after which the threshold was lost.
    fn lost_with_grace(threshold: &str, plan: &Plan, (load, late): (u64, u64)) -> Option<u64> {
        let mut watch = watch(threshold, plan);
        let mut totals = Snapshot::default();
        (1..=load + 30).find(|&elapsed| {
            let mut second = Snapshot::default();
            let is_late = elapsed > load;
            (second.triggers.due, second.triggers.done) = if is_late { (0, late) } else { (10, 10) };
            second.triggers.done_after_load = if is_late { late } else { 0 };
            totals.merge(&second);
            let elapsed = Duration::from_secs(elapsed);
            watch.second(&Progress { elapsed, second, users: 25, connections: 0 });
            watch.lost(&totals, elapsed).is_some()
        })
    }

    #[test]
    fn rate_covers_the_load_and_not_the_grace() {
        let grace = Asked { graceful_stop: Some(30 * SECOND), ..Asked::default() };
        let minute = Plan::new(Asked { duration: Some(60 * SECOND), ..grace.clone() }).unwrap();
        assert_eq!(lost_with_grace("iterations rate>=10", &minute, (60, 1)), None, "10/s in its time");
        assert_eq!(lost_with_grace("iterations rate<=10", &minute, (60, 100)), None, "what ends later is in no rate");
        assert_eq!(lost_with_grace("iterations rate>11", &minute, (60, 100)), Some(11));
        // Once the iterations are used up, the time that the rate covers is not known exactly.
        let used_up = Plan::new(Asked { iterations: Some(600), ..grace }).unwrap();
        assert_eq!(lost_with_grace("iterations rate>=10", &used_up, (60, 0)), None);
        // If the load was stopped otherwise, the rate covers the time until then.
        assert_eq!(lost_with_grace("iterations rate>=10", &minute, (20, 1)), None);
    }

    #[test]
    fn rate_of_an_own_counter_covers_the_load_too() {
        let grace = Asked { graceful_stop: Some(30 * SECOND), ..Asked::default() };
        let minute = Plan::new(Asked { duration: Some(60 * SECOND), ..grace }).unwrap();
        // A run of ten orders per second is stopped after 20 s, and one more trigger ends in each second of the grace.
        let mut watch = watch("orders rate>=10/s", &minute);
        let mut totals = Snapshot::default();
        let lost = (1..=40).find(|&elapsed| {
            let mut second = Snapshot::default();
            let is_late = elapsed > 20;
            second.triggers.done_after_load = u64::from(is_late);
            let millionths = if is_late { 1_000_000 } else { 10_000_000 };
            let sum = Sum { count: 1, millionths, after_load: if is_late { millionths } else { 0 } };
            second.metrics.add("orders", None, Some(&TagPairs::default()), &Value::Counter(sum));
            totals.merge(&second);
            watch.second(&Progress { elapsed: elapsed * SECOND, second, users: 25, connections: 0 });
            watch.lost(&totals, elapsed * SECOND).is_some()
        });
        assert_eq!(lost, None);
    }

    #[test]
    fn requests_in_flight_may_be_cut_off() {
        let asked = Asked { rate: Some("10/s".parse().unwrap()), duration: Some(60 * SECOND), ..Asked::default() };
        let plan = Plan::new(Asked { max_users: Some(500), ..asked }).unwrap();
        let mut totals = Snapshot::default();
        (totals.triggers.due, totals.triggers.done, totals.triggers.dropped_busy) = (300, 100, 50);
        let label = std::sync::Arc::new(crate::engine::series::Label::new("http://a", "/", "GET"));
        let outcome = crate::engine::series::Outcome::Answered { status: 200, failed: false };
        let series = crate::engine::series::Series { label, outcome };
        totals.requests.entry(series).or_default().durations.record_n(1, 250);
        // 150 are in flight and 300 are still to come, with three requests each.
        assert_eq!(in_flight_at_end(&plan, &totals), 450 * 3);
        totals.triggers.due = 600;
        assert_eq!(in_flight_at_end(&plan, &totals), 450 * 3);
        totals.triggers.done = 500;
        assert_eq!(in_flight_at_end(&plan, &totals), 50);
        totals.triggers.done = 0;
        assert_eq!(in_flight_at_end(&plan, &totals), u64::MAX, "how many requests a trigger makes is not known");
    }

    #[test]
    fn phases_are_judged_during_the_run() {
        let lost = |threshold: &str, connecting: u64| {
            let mut watch = watch(threshold, &minute());
            let mut totals = Snapshot::default();
            (1..=60).find(|&elapsed| {
                let mut second = Snapshot::default();
                let label = std::sync::Arc::new(crate::engine::series::Label::new("http://a", "/", "GET"));
                let outcome = crate::engine::series::Outcome::Answered { status: 200, failed: false };
                let measure = second.requests.entry(crate::engine::series::Series { label, outcome }).or_default();
                measure.durations.record_n(9, 10);
                let connecting = Duration::from_nanos(connecting);
                let phases = crate::Phases { connecting, ..crate::Phases::default() };
                (0..10).for_each(|_| measure.phases.get_or_insert_default().record(&phases));
                totals.merge(&second);
                let elapsed = Duration::from_secs(elapsed);
                watch.second(&Progress { elapsed, second, users: 25, connections: 0 });
                watch.lost(&totals, elapsed).is_some()
            })
        };
        assert_eq!(lost("http_req_connecting{route:/} max<5ns", 7), Some(1));
        assert_eq!(lost("http_req_connecting max<5ns", 0), None);
        // Of 620 at the end, half would have to be below.
        assert_eq!(lost("http_req_connecting med<5ns", 7), Some(32));
        assert_eq!(lost("http_req_dns max>0", 7), None, "more may come");
    }

    #[test]
    fn lowest_and_highest_number_of_users_is_recorded() {
        let mut watch = watch("vus min>=5", &minute());
        for users in [25, 5, 9] {
            watch.second(&Progress { elapsed: SECOND, second: Snapshot::default(), users, connections: 0 });
        }
        assert_eq!(watch.users, Some(Users { fewest: 5, most: 25 }));
    }
}
