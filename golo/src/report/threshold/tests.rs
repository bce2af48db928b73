mod holding;
mod judging;
mod own;
mod reading;
mod trigger_tags;
mod windows;

use std::sync::Arc;

use super::*;
use crate::engine::errors::ErrorKind;
use crate::engine::series::{Label, Outcome, Series};
use crate::engine::snapshot::Snapshot;
use crate::report::RateTime;

const PASSED: Outcome = Outcome::Answered { status: 200, failed: false };
const FAILED: Outcome = Outcome::Answered { status: 500, failed: true };
const TIMED_OUT: Outcome = Outcome::Failed(ErrorKind::Timeout);

fn threshold(text: &str) -> Threshold {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns a metric as written in a threshold, with a key if it is a tag.
fn subject(metric: Metric) -> String {
    let name = metric.name();
    if metric == Metric::Tag { format!("{name}{{size}}") } else { name.to_owned() }
}

fn series(method: &str, route: &str, outcome: Outcome) -> Series {
    let origin = "http://127.0.0.1:8765";
    Series { label: Arc::new(Label::new(origin, route, method)), outcome }
}

/// Adds requests with these durations, in nanoseconds.
fn request(totals: &mut Snapshot, series: Series, durations: &[u64]) {
    let measure = totals.requests.entry(series).or_default();
    durations.iter().for_each(|&nanos| measure.durations.record(nanos));
}
