//! The run second by second, or in longer steps if it was long.

use serde::Serialize;

use crate::engine::Finished;
use crate::engine::histogram::Histogram;
use crate::metrics::output::nanoseconds;
use crate::report::RunOutcome;
use crate::report::figures::figures;
use crate::report::timeline::TimedPoint;

/// Rows of the heat map for each doubling of the duration.
const ROWS: f64 = 4.0;

pub(super) fn timeline(outcome: &RunOutcome) -> impl Serialize {
    let RunOutcome { timeline, finished, .. } = outcome;
    object! {
        step: nanoseconds(timeline.step()),
        points: timeline.timed(finished).map(point).collect::<Vec<_>>(),
        stages: stages(finished),
    }
}

/// Returns the end of each stage of the plan and the value that it leads to: users, or starts per second.
fn stages(finished: &Finished) -> Vec<(u64, f64)> {
    // The loads of a plan with several have stages of their own, and no common value.
    let Some(load) = finished.plan.sole() else { return Vec::new() };
    let (curve, is_open) = (load.curve(), load.is_open());
    let mut end = std::time::Duration::ZERO;
    let ends = curve.stages().iter().map(|&(time, target)| {
        end += time;
        let target = if is_open { load.rate_at(end).unwrap_or_default() } else { target as f64 };
        (nanoseconds(end), target)
    });
    ends.collect()
}

fn point(timed: TimedPoint<'_>) -> impl Serialize {
    let TimedPoint { point, at, asked_rate } = timed;
    object! {
        at: at,
        length: nanoseconds(point.length),
        users: point.users,
        asked_rate: asked_rate,
        due: point.due,
        done: point.done,
        failed: point.failed,
        dropped: point.dropped,
        interrupted: point.interrupted,
        requests: point.durations.count(),
        requests_failed: point.requests_failed,
        received: point.received,
        statuses: point.statuses.iter().map(|(&status, &count)| (status, count)).collect::<Vec<_>>(),
        duration: percentiles(&point.durations),
        steps: point.steps.count(),
        steps_failed: point.steps_failed,
        step_duration: percentiles(&point.steps),
        response: percentiles(&point.response),
        heat: heat(&point.durations),
    }
}

fn percentiles(histogram: &Histogram) -> impl Serialize + use<> {
    let [_, _, p50, p90, p95, p99, _, max] = figures(histogram);
    object! { p50: p50, p90: p90, p95: p95, p99: p99, max: max }
}

/// Returns the durations of requests for the heat map: the lowest value of each row that is not empty, and its count.
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
