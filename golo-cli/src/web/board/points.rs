//! The charts' data: a row of numbers for each second, without histograms.

use std::fmt::Write as _;
use std::time::Duration;

use golo::engine::Progress;
use golo::engine::histogram::Histogram;
use golo::engine::phases::Phase;
use golo::engine::plan::Plan;
use golo::engine::series::Outcome;
use golo::engine::snapshot::Snapshot;
use golo::report::Point;

/// Number of columns.
const WIDTH: usize = COLUMNS.len();
/// Names of the columns. Times are seconds, durations milliseconds, and everything else is a number or a rate per second.
pub(super) const COLUMNS: [&str; 16] = [
    "t",
    "requests",
    "failed",
    "p50",
    "p95",
    "p99",
    "users",
    "asked",
    "dropped",
    "blocked",
    "dns",
    "connecting",
    "tls handshaking",
    "sending",
    "waiting",
    "receiving",
];
/// Columns of durations, and of users: of several seconds, the largest value counts, since percentiles cannot be added.
const LARGEST: std::ops::RangeInclusive<usize> = 3..=6;
/// Most rows that are kept: two days. If there are more, each pair becomes one.
const MOST: usize = 2 * 86_400;
/// Most rows that are sent at once: two hours. Of a longer run, each row that is sent stands for several seconds.
const SENT: usize = 7_200;

/// A second. Numbers that are unknown are NaN.
type Row = [f32; WIDTH];

/// The rows of a run.
#[derive(Debug, Default)]
pub(super) struct Points {
    rows: Vec<Row>,
    /// Number of times that pairs became one.
    pub(super) halvings: u32,
    until: Duration,
}

/// Sums of the requests, or of the measured steps, of a second.
pub(super) struct Ended<'a> {
    pub(super) count: u64,
    pub(super) failed: u64,
    pub(super) durations: &'a Histogram,
}

impl<'a> Ended<'a> {
    /// Returns the measured steps of a second if `of_steps` is true, else its requests.
    pub(super) fn of(point: &'a Point, of_steps: bool) -> Self {
        let (failed, durations) = match of_steps {
            true => (point.steps_failed, &point.steps),
            false => (point.requests_failed, &point.durations),
        };
        Self { count: durations.count(), failed, durations }
    }
}

impl Points {
    /// Adds a second.
    pub(super) fn push(&mut self, progress: &Progress, ended: &Ended<'_>, dropped: u64, plan: Option<&Plan>) {
        let length = progress.elapsed.saturating_sub(self.until).as_secs_f64();
        self.until = self.until.max(progress.elapsed);
        let rate = |number: u64| if length > 0.0 { (number as f64 / length) as f32 } else { f32::NAN };
        let middle = progress.elapsed.saturating_sub(Duration::from_millis(500));
        let asked = plan.and_then(|plan| plan.rate_at(middle));
        let mut row = [f32::NAN; WIDTH];
        row[..9].copy_from_slice(&[
            progress.elapsed.as_secs_f32(),
            rate(ended.count),
            rate(ended.failed),
            milliseconds(ended.durations.quantile(0.5)),
            milliseconds(ended.durations.quantile(0.95)),
            milliseconds(ended.durations.quantile(0.99)),
            progress.users as f32,
            asked.map_or(f32::NAN, |rate| rate as f32),
            rate(dropped),
        ]);
        row[9..].copy_from_slice(&phases(&progress.second));
        self.rows.push(row);
        if self.rows.len() > MOST {
            self.rows = self.joined(2);
            self.halvings += 1;
        }
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the memory of the rows, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
    }

    /// Returns the rows from number `from` on as JSON: an array of arrays.
    pub(super) fn json(&self, from: usize) -> String {
        json(self.rows.get(from..).unwrap_or_default())
    }

    /// Returns all rows as JSON. Each stands for the returned number of seconds.
    pub(super) fn all_json(&self) -> (String, usize) {
        let seconds = self.rows.len().div_ceil(SENT).max(1);
        let text = if seconds == 1 { json(&self.rows) } else { json(&self.joined(seconds)) };
        (text, seconds << self.halvings)
    }

    /// Joins each `number` rows into one: the mean of rates and phases, and the largest of percentiles and users.
    fn joined(&self, number: usize) -> Vec<Row> {
        let join = |rows: &[Row]| {
            let mut joined = [f32::NAN; WIDTH];
            for (column, to) in joined.iter_mut().enumerate() {
                let known = rows.iter().map(|row| row[column]).filter(|value| !value.is_nan());
                *to = match column {
                    0 => known.last().unwrap_or(f32::NAN),
                    column if LARGEST.contains(&column) => known.reduce(f32::max).unwrap_or(f32::NAN),
                    _ => known.clone().sum::<f32>() / known.count() as f32,
                };
            }
            joined
        };
        self.rows.chunks(number).map(join).collect()
    }
}

/// Returns nanoseconds as milliseconds.
fn milliseconds(nanoseconds: Option<u64>) -> f32 {
    nanoseconds.map_or(f32::NAN, |nanoseconds| (nanoseconds as f64 / 1e6) as f32)
}

/// Returns the mean of each phase over the requests that ended, in milliseconds.
fn phases(second: &Snapshot) -> [f32; Phase::ALL.len()] {
    let mut sums = [(0_u128, 0_u64); Phase::ALL.len()];
    let ended = second.requests.iter().filter(|(series, _)| series.outcome != Outcome::Interrupted);
    for phases in ended.filter_map(|(_, measure)| measure.phases.as_deref()) {
        for ((sum, samples), phase) in sums.iter_mut().zip(Phase::ALL) {
            *sum += phases.recorded(phase).sum();
            *samples += phases.samples(phase);
        }
    }
    sums.map(|(sum, samples)| if samples == 0 { f32::NAN } else { (sum as f64 / samples as f64 / 1e6) as f32 })
}

fn json(rows: &[Row]) -> String {
    let mut text = String::with_capacity(rows.len() * WIDTH * 5 + 2);
    text.push('[');
    for (number, row) in rows.iter().enumerate() {
        text.push_str(if number == 0 { "[" } else { ",[" });
        // Writing into a string cannot fail.
        _ = write!(text, "{}", (f64::from(row[0]) * 1e3).round() / 1e3);
        for value in &row[1..] {
            text.push(',');
            push(&mut text, *value);
        }
        text.push(']');
    }
    text.push(']');
    text
}

/// Writes a number with four digits, or more if it has more before the decimal point.
fn push(text: &mut String, value: f32) {
    if !value.is_finite() {
        text.push_str("null");
        return;
    }
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (3.0 - magnitude).clamp(0.0, 9.0) as usize;
    let from = text.len();
    _ = write!(text, "{value:.decimals$}");
    if decimals > 0 {
        let length = text[from..].trim_end_matches('0').trim_end_matches('.').len();
        text.truncate(from + length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(seconds: usize) -> Points {
        let mut rows = Vec::new();
        for second in 1..=seconds {
            let mut row = [f32::NAN; WIDTH];
            row[..4].copy_from_slice(&[second as f32, second as f32, 0.0, 1.0 / second as f32]);
            rows.push(row);
        }
        Points { rows, ..Points::default() }
    }

    #[test]
    fn numbers_have_four_digits() {
        let mut text = String::new();
        for value in [0.0, 12.0, 0.001_234_56, 1.234_567, 123_456.0, f32::NAN, 99.996] {
            push(&mut text, value);
            text.push(' ');
        }
        assert_eq!(text, "0 12 0.001235 1.235 123456 null 100 ");
    }

    #[test]
    fn long_run_is_sent_in_longer_steps() {
        let (text, step) = points(3_600).all_json();
        assert_eq!((step, text.matches('[').count()), (1, 3_601));
        assert!(text.starts_with("[[1,1,0,1,null,"), "{}", &text[..40]);
        let (text, step) = points(20_000).all_json();
        assert_eq!((step, text.matches('[').count()), (3, 6_668));
        assert!(text.starts_with("[[3,2,0,1,null,"), "the mean of rates, the largest percentile: {}", &text[..40]);
    }

    #[test]
    fn hour_takes_little_memory() {
        let mut points = points(0);
        for second in 1..=3_600 {
            let progress = Progress {
                elapsed: Duration::from_secs(second),
                second: Snapshot::default(),
                users: 25,
                connections: 0,
            };
            points.push(&progress, &Ended { count: 0, failed: 0, durations: &Histogram::new() }, 0, None);
        }
        assert!(points.bytes() <= 512 << 10, "{} bytes", points.bytes());
    }
}
