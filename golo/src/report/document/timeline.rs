//! The run second by second, or in longer steps if it was long.

use serde::Serialize;

use crate::{
    engine::{Finished, histogram::Histogram, plan::Model},
    metrics::output::nanoseconds,
    report::timeline::{Point, Timeline},
};

/// Rows of the heat map for each doubling of the duration.
const ROWS: f64 = 4.0;

#[derive(Debug, Serialize)]
pub(in crate::report) struct Points {
    /// Length of each point except the last.
    pub(in crate::report) step: u64,
    pub(in crate::report) points: Vec<OnePoint>,
    /// End of each stage of the plan and the value that it leads to: users, or starts per second.
    pub(in crate::report) stages: Vec<(u64, f64)>,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct OnePoint {
    /// End of the point.
    pub(in crate::report) at: u64,
    /// Length of the point.
    pub(in crate::report) length: u64,
    /// Users at the end of the point; in the open model, triggers in flight.
    pub(in crate::report) users: u64,
    /// Starts per second that the plan asks for in the middle of the point; `None` if that is after the last start.
    pub(in crate::report) asked_rate: Option<f64>,
    pub(in crate::report) due: u64,
    pub(in crate::report) done: u64,
    pub(in crate::report) failed: u64,
    pub(in crate::report) dropped: u64,
    pub(in crate::report) interrupted: u64,
    pub(in crate::report) requests: u64,
    pub(in crate::report) requests_failed: u64,
    pub(in crate::report) received: u64,
    /// Requests that ended, by status; 0 if there was no response.
    pub(in crate::report) statuses: Vec<(u16, u64)>,
    /// Time from sending a request to the last byte of its response.
    pub(in crate::report) duration: Percentiles,
    /// Measured steps that ended.
    pub(in crate::report) steps: u64,
    pub(in crate::report) steps_failed: u64,
    /// Durations of measured steps.
    pub(in crate::report) step_duration: Percentiles,
    /// Durations of triggers, from their due time.
    pub(in crate::report) response: Percentiles,
    /// Durations of requests for the heat map: the lowest value of each row, and its count. Four rows make a doubling.
    pub(in crate::report) heat: Vec<(u64, u64)>,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Percentiles {
    pub(in crate::report) p50: Option<u64>,
    pub(in crate::report) p90: Option<u64>,
    pub(in crate::report) p95: Option<u64>,
    pub(in crate::report) p99: Option<u64>,
    pub(in crate::report) max: Option<u64>,
}

impl Points {
    pub(super) fn of(finished: &Finished, timeline: &Timeline) -> Self {
        let mut at = 0;
        let points = timeline.points().map(|point| {
            let from = at;
            at = from + nanoseconds(point.length);
            let middle = std::time::Duration::from_nanos((from + at) / 2);
            let asked_rate = finished.plan.rate_at(middle).filter(|_| middle < finished.load_time);
            OnePoint::of(point, from, at, asked_rate)
        });
        let points = points.filter(|point| !point.is_nothing()).collect();
        Self { step: nanoseconds(timeline.step()), points, stages: stages(finished) }
    }
}

/// Returns the ends of the plan's stages.
fn stages(finished: &Finished) -> Vec<(u64, f64)> {
    let (curve, is_open) = match finished.plan.model() {
        Model::Closed { users, .. } => (users, false),
        Model::Open { rate, .. } => (rate, true),
    };
    let mut end = std::time::Duration::ZERO;
    let ends = curve.stages().iter().map(|&(time, target)| {
        end += time;
        let target = if is_open { finished.plan.rate_at(end).unwrap_or_default() } else { target as f64 };
        (nanoseconds(end), target)
    });
    ends.collect()
}

impl OnePoint {
    fn of(point: &Point, from: u64, at: u64, asked_rate: Option<f64>) -> Self {
        Self {
            at,
            length: at - from,
            users: point.users,
            asked_rate,
            due: point.due,
            done: point.done,
            failed: point.failed,
            dropped: point.dropped,
            interrupted: point.interrupted,
            requests: point.durations.count(),
            requests_failed: point.requests_failed,
            received: point.received,
            statuses: point.statuses.iter().map(|(&status, &count)| (status, count)).collect(),
            duration: Percentiles::of(&point.durations),
            steps: point.steps.count(),
            steps_failed: point.steps_failed,
            step_duration: Percentiles::of(&point.steps),
            response: Percentiles::of(&point.response),
            heat: heat(&point.durations),
        }
    }

    /// Returns true if the point has no length and nothing was measured in it.
    fn is_nothing(&self) -> bool {
        let Self { length, due, done, dropped, interrupted, requests, steps, .. } = self;
        [length, due, done, dropped, interrupted, requests, steps].into_iter().all(|number| *number == 0)
    }
}

impl Percentiles {
    fn of(histogram: &Histogram) -> Self {
        let quantiles = histogram.quantiles(&[0.5, 0.9, 0.95, 0.99]);
        let quantile = |number: usize| quantiles.get(number).copied().flatten();
        Self { p50: quantile(0), p90: quantile(1), p95: quantile(2), p99: quantile(3), max: histogram.max() }
    }
}

/// Returns the rows of the heat map that are not empty.
fn heat(histogram: &Histogram) -> Vec<(u64, u64)> {
    let mut rows: Vec<(u64, u64)> = Vec::new();
    for bucket in histogram.buckets() {
        let row = ((bucket.low.max(1) as f64).log2() * ROWS).floor();
        let low = (row / ROWS).exp2().round() as u64;
        match rows.last_mut() {
            Some((known, count)) if *known == low => *count += bucket.count,
            _ => rows.push((low, bucket.count)),
        }
    }
    rows
}
