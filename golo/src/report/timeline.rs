//! The run over time: a point a second, and longer ones as it goes on, so that its memory does not grow with it.

use std::{collections::BTreeMap, time::Duration};

use crate::engine::{Finished, Progress, histogram::Histogram, series::Outcome, snapshot::Snapshot};

/// Most points. When there are more, each two become one.
const POINTS: usize = 600;
const SECOND: Duration = Duration::from_secs(1);

/// The points so far.
#[derive(Debug, Clone)]
pub struct Timeline {
    points: Vec<Point>,
    step: Duration,
    /// Until when there are points.
    until: Duration,
}

/// What was measured in some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// How long it is.
    pub length: Duration,
    /// Users at its end; in the open model, triggers in flight.
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
    /// Bytes of responses' bodies.
    pub received: u64,
    /// Requests by their status; 0 where no response came.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests, in nanoseconds.
    pub durations: Histogram,
    /// Triggers, from when they were due, in nanoseconds.
    pub response: Histogram,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { points: Vec::new(), step: SECOND, until: Duration::ZERO }
    }
}

impl Timeline {
    /// Adds a second that is over, or several where nothing came for a while.
    pub fn add(&mut self, progress: &Progress) {
        let length = progress.elapsed.saturating_sub(self.until);
        self.until = self.until.max(progress.elapsed);
        self.push(Point::of(&progress.second, length, progress.users));
    }

    /// Adds what was measured after the last second.
    pub fn finish(&mut self, finished: &Finished) {
        let length = finished.whole_time.saturating_sub(self.until);
        let rest = Point::of(&finished.rest, length, 0);
        if !length.is_zero() || !rest.is_empty() {
            self.push(rest);
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

    /// How long each point is, but for the last, and for those in which a worker was late.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.step
    }

    /// In their order.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }
}

impl Point {
    fn of(second: &Snapshot, length: Duration, users: u64) -> Self {
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
                Outcome::Answered { status, .. } => status,
                Outcome::Failed(_) => 0,
                Outcome::Interrupted => continue,
            };
            let count = measure.durations.count();
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
        self.due == 0 && self.done == 0 && self.interrupted == 0 && self.durations.is_empty()
    }

    /// Adds the one after it.
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
            (&mut self.received, later.received),
        ] {
            *sum += more;
        }
        for (status, count) in &later.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.durations.merge(&later.durations);
        self.response.merge(&later.response);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: u64, done: u64) -> Progress {
        let mut second = Snapshot::default();
        second.triggers.done = done;
        second.triggers.response.record_n(number, done);
        Progress { elapsed: Duration::from_secs(number), second, users: number }
    }

    #[test]
    fn a_long_run_has_no_more_points_and_loses_nothing() {
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

    #[test]
    fn a_second_that_nobody_told_of_is_part_of_the_next() {
        let mut timeline = Timeline::default();
        for number in [1, 4, 5] {
            timeline.add(&second(number, 1));
        }
        let lengths: Vec<_> = timeline.points().map(|point| point.length.as_secs()).collect();
        assert_eq!(lengths, [1, 3, 1]);
    }
}
