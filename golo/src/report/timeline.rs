//! The run over time. Points cover one second at first and more later, so that memory does not grow with the run.

use std::{collections::BTreeMap, time::Duration};

use crate::engine::histogram::Histogram;
use crate::engine::series::Outcome;
use crate::engine::snapshot::Snapshot;
use crate::engine::{Finished, Progress};
use crate::metrics::output::nanoseconds;

/// Maximum number of points. If there are more, each pair is merged into one.
const POINTS: usize = 600;
const SECOND: Duration = Duration::from_secs(1);
/// A last point that is shorter than a step divided by this number is merged with the point before it.
const SHORT: u32 = 5;

/// The points so far.
#[derive(Debug, Clone)]
pub struct Timeline {
    points: Vec<Point>,
    step: Duration,
    /// End of the last point.
    until: Duration,
}

/// Measurements of a period of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Length of the point.
    pub length: Duration,
    /// Users at the end of the point; in the open model, triggers in flight.
    pub users: u64,
    /// Starts that the plan asked for.
    pub due: u64,
    /// Triggers that ended.
    pub done: u64,
    /// Triggers that failed.
    pub failed: u64,
    /// Starts that did not happen.
    pub dropped: u64,
    /// Triggers that were cut off.
    pub interrupted: u64,
    /// Requests that failed.
    pub requests_failed: u64,
    /// Bytes of response bodies.
    pub received: u64,
    /// Requests by status; 0 if there was no response.
    pub statuses: BTreeMap<u16, u64>,
    /// Durations of requests, in nanoseconds.
    pub durations: Histogram,
    /// Measured steps that failed.
    pub steps_failed: u64,
    /// Durations of measured steps, in nanoseconds.
    pub steps: Histogram,
    /// Durations of triggers from their due time, in nanoseconds.
    pub response: Histogram,
}

/// A point with its time.
pub(super) struct TimedPoint<'a> {
    pub(super) point: &'a Point,
    /// End of the point, in nanoseconds since the start.
    pub(super) at: u64,
    /// Starts per second that the plan asks for in the middle of the point; `None` if that is after the last start.
    pub(super) asked_rate: Option<f64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { points: Vec::new(), step: SECOND, until: Duration::ZERO }
    }
}

impl Timeline {
    /// Adds a second that has ended, or several if there was no report for a while.
    pub fn add(&mut self, progress: &Progress) {
        let length = progress.elapsed.saturating_sub(self.until);
        self.until = self.until.max(progress.elapsed);
        self.push(Point::of(&progress.second, length, progress.users));
    }

    /// Adds what was measured after the last second, and ends the timeline with the run.
    pub fn finish(&mut self, finished: &Finished) {
        let length = finished.whole_time.saturating_sub(self.until);
        let rest = Point::of(&finished.rest, length, 0);
        if !length.is_zero() || !rest.is_empty() {
            self.push(rest);
        }
        self.cut_at(finished.whole_time);
        self.join_short_end();
    }

    /// Shortens the last points. The engine reports whole seconds, but the last of them may have ended early.
    fn cut_at(&mut self, end: Duration) {
        let whole: Duration = self.points.iter().map(|point| point.length).sum();
        let mut excess = whole.saturating_sub(end);
        for point in self.points.iter_mut().rev() {
            let cut = point.length.min(excess);
            point.length -= cut;
            excess -= cut;
        }
    }

    /// Joins an end that is too short for a rate or a percentile of its own with the point before it.
    fn join_short_end(&mut self) {
        while let [.., before, last] = &mut self.points[..]
            && last.length < self.step / SHORT
        {
            let users = before.users;
            before.merge(last);
            before.users = users;
            self.points.pop();
        }
    }

    fn push(&mut self, point: Point) {
        match self.points.last_mut() {
            Some(last) if last.length < self.step => last.merge(&point),
            _ => self.points.push(point),
        }
        if self.points.len() > POINTS {
            self.step *= 2;
            let pairs = self.points.chunks(2).map(|pair| {
                let mut merged = pair[0].clone();
                pair[1..].iter().for_each(|point| merged.merge(point));
                merged
            });
            self.points = pairs.collect();
        }
    }

    /// Returns the length of a point. The last point may be shorter or longer, and so may points during which a worker
    /// was late.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Returns the points with their time, except points without length in which nothing was measured.
    pub(super) fn timed<'a>(&'a self, finished: &'a Finished) -> impl Iterator<Item = TimedPoint<'a>> {
        let mut at = 0;
        let timed = self.points().map(move |point| {
            let from = at;
            at = from + nanoseconds(point.length);
            let middle = Duration::from_nanos((from + at) / 2);
            let asked_rate = finished.plan.rate_at(middle).filter(|_| middle < finished.load_time);
            TimedPoint { point, at, asked_rate }
        });
        timed.filter(|TimedPoint { point, .. }| !point.length.is_zero() || point.dropped > 0 || !point.is_empty())
    }

    /// Returns the points in order of time.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }
}

impl Point {
    /// Returns the point of a period of this length, at whose end there were `users` users.
    #[must_use]
    pub fn of(second: &Snapshot, length: Duration, users: u64) -> Self {
        let triggers = &second.triggers;
        let mut point = Self {
            length,
            users,
            due: triggers.due,
            done: triggers.done,
            failed: triggers.failed,
            dropped: triggers.dropped(),
            interrupted: triggers.interrupted,
            response: triggers.response.clone(),
            ..Self::default()
        };
        for (series, measure) in &second.requests {
            let status = match series.outcome {
                Outcome::Interrupted => continue,
                outcome => outcome.status().unwrap_or_default(),
            };
            let count = measure.durations.count();
            if series.is_step() {
                point.steps.merge(&measure.durations);
                point.steps_failed += if series.outcome.is_failed() { count } else { 0 };
                continue;
            }
            if series.outcome.is_failed() {
                point.requests_failed += count;
            }
            *point.statuses.entry(status).or_default() += count;
            point.received += measure.received;
            point.durations.merge(&measure.durations);
        }
        point
    }

    fn is_empty(&self) -> bool {
        self.due == 0 && self.done == 0 && self.interrupted == 0 && self.durations.is_empty() && self.steps.is_empty()
    }

    /// Adds the point that follows this one.
    fn merge(&mut self, later: &Self) {
        self.length += later.length;
        self.users = later.users;
        for (sum, more) in [
            (&mut self.due, later.due),
            (&mut self.done, later.done),
            (&mut self.failed, later.failed),
            (&mut self.dropped, later.dropped),
            (&mut self.interrupted, later.interrupted),
            (&mut self.requests_failed, later.requests_failed),
            (&mut self.steps_failed, later.steps_failed),
            (&mut self.received, later.received),
        ] {
            *sum += more;
        }
        for (status, count) in &later.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.durations.merge(&later.durations);
        self.steps.merge(&later.steps);
        self.response.merge(&later.response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Options;
    use crate::engine::plan::{Asked, Plan};
    use crate::user::share::Share;

    fn second(number: u64, done: u64) -> Progress {
        let mut second = Snapshot::default();
        second.triggers.done = done;
        second.triggers.response.record_n(number, done);
        Progress { elapsed: Duration::from_secs(number), second, users: number, connections: 0 }
    }

    #[test]
    fn long_run_has_limited_points_and_loses_nothing() {
        let mut timeline = Timeline::default();
        for number in 1..=10_000 {
            timeline.add(&second(number, number));
            assert!(timeline.points.len() <= POINTS);
        }
        assert_eq!(timeline.step(), 32 * SECOND);
        let points: Vec<_> = timeline.points().collect();
        assert_eq!(points.iter().map(|point| point.done).sum::<u64>(), 10_000 * 10_001 / 2);
        assert_eq!(points.iter().map(|point| point.length).sum::<Duration>(), 10_000 * SECOND);
        assert!(points[..points.len() - 1].iter().all(|point| point.length == 32 * SECOND));
        assert_eq!((points[0].users, points[0].response.max()), (32, Some(32)));
    }

    /// Returns a run that ended after `millis`, with `done` triggers after its last second.
    fn ended(millis: u64, done: u64) -> Finished {
        let plan = Plan::new(Asked::default()).unwrap();
        let options = Options { job_name: String::new(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let rest = second(0, done).second;
        Finished { rest, whole_time: Duration::from_millis(millis), ..Finished::not_started(plan, options, None) }
    }

    #[test]
    fn short_end_is_joined_with_the_last_second() {
        for (seconds, whole, expected) in [
            // A few milliseconds of the grace, no time at all, a second that ended early, and an end that is long
            // enough.
            (vec![1, 2], 2_007, vec![(1_000, 1, 1), (1_007, 4, 2)]),
            (vec![1, 2], 2_000, vec![(1_000, 1, 1), (1_000, 4, 2)]),
            (vec![1, 2, 3], 2_010, vec![(1_000, 1, 1), (1_010, 5, 2)]),
            (vec![1, 2], 2_500, vec![(1_000, 1, 1), (1_000, 1, 2), (500, 3, 0)]),
            (vec![1], 4, vec![(4, 4, 1)]),
            (vec![], 3, vec![(3, 3, 0)]),
        ] {
            let mut timeline = Timeline::default();
            for number in &seconds {
                timeline.add(&second(*number, 1));
            }
            timeline.finish(&ended(whole, 3));
            let points = timeline.points().map(|point| (point.length.as_millis(), point.done, point.users));
            assert_eq!(points.collect::<Vec<_>>(), expected, "{seconds:?}, {whole}");
        }
    }

    #[test]
    fn second_without_report_is_part_of_the_next() {
        let mut timeline = Timeline::default();
        for number in [1, 4, 5] {
            timeline.add(&second(number, 1));
        }
        let lengths: Vec<_> = timeline.points().map(|point| point.length.as_secs()).collect();
        assert_eq!(lengths, [1, 3, 1]);
    }
}
