//! Metrics of load tests per second, as rows for SQL. The records contain them whole.

use golo::engine::metrics::{Metrics, Value};
use golo::engine::series::TagPairs;
use rusqlite::{Connection, params};

use super::{StoreError, columns::integer};

/// Columns of a value after its count.
#[derive(Default)]
struct Figures {
    sum: Option<f64>,
    last: Option<f64>,
    avg: Option<f64>,
    min: Option<f64>,
    /// p50, p95 and p99.
    quantiles: [Option<f64>; 3],
    max: Option<f64>,
    failed: Option<u64>,
}

/// Percentiles with a column of their own.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

impl Figures {
    fn of(value: &Value) -> Self {
        match value {
            Value::Counter(sum) => Self { sum: Some(sum.sum()), ..Self::default() },
            Value::Gauge(level) => {
                Self { last: Some(level.last), min: Some(level.min), max: Some(level.max), ..Self::default() }
            }
            Value::Trend(numbers) => Self {
                avg: numbers.mean(),
                min: numbers.min(),
                quantiles: three(&numbers.quantiles(&QUANTILES)),
                max: numbers.max(),
                ..Self::default()
            },
            Value::Rate(share) => Self { sum: Some(share.part as f64), ..Self::default() },
            Value::Group(group) => {
                let milliseconds = |nanos: Option<u64>| nanos.map(|nanos| nanos as f64 / 1e6);
                let durations = &group.durations;
                let quantiles: Vec<_> = durations.quantiles(&QUANTILES).into_iter().map(milliseconds).collect();
                Self {
                    avg: durations.mean().map(|nanos| nanos / 1e6),
                    min: milliseconds(durations.min()),
                    quantiles: three(&quantiles),
                    max: milliseconds(durations.max()),
                    failed: Some(group.failed),
                    ..Self::default()
                }
            }
        }
    }
}

fn three(quantiles: &[Option<f64>]) -> [Option<f64>; 3] {
    std::array::from_fn(|at| quantiles.get(at).copied().flatten())
}

/// Stores the metrics of a second of a part.
pub(super) fn add(connection: &Connection, part: i64, second: u64, metrics: &Metrics) -> Result<(), StoreError> {
    if metrics.is_empty() {
        return Ok(());
    }
    let second = integer(second);
    let mut insert = connection.prepare_cached(
        "INSERT INTO metrics (part, second, name, kind, unit, tags, count, sum, last, avg, min, p50, p95, p99, max, failed)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )?;
    for (name, metric) in metrics.iter() {
        let kind = metric.kind().name();
        let unit = if kind == "group" { "ms" } else { metric.unit().unwrap_or_default() };
        for (tags, value) in metric.all() {
            let Figures { sum, last, avg, min, quantiles: [p50, p95, p99], max, failed } = Figures::of(value);
            let count = integer(match value {
                Value::Group(group) => group.durations.count(),
                value => value.count(),
            });
            let (tags, failed) = (tags.map(json), failed.map(integer));
            let stored = insert.execute(params![
                part, second, name, kind, unit, tags, count, sum, last, avg, min, p50, p95, p99, max, failed
            ])?;
            if stored == 0 {
                return Err(StoreError::refused("a metric occurs in two pieces of a snapshot"));
            }
        }
    }
    Ok(())
}

/// Returns tags as a JSON object.
pub(super) fn json(tags: &TagPairs) -> String {
    let object: serde_json::Map<_, _> =
        tags.iter().map(|(key, value)| (key.to_owned(), serde_json::Value::from(value))).collect();
    serde_json::Value::Object(object).to_string()
}

/// Reads tags from a JSON object.
pub(super) fn tags(json: &str) -> Result<TagPairs, serde_json::Error> {
    if json == "{}" {
        return Ok(TagPairs::default());
    }
    let object: std::collections::BTreeMap<String, String> = serde_json::from_str(json)?;
    Ok(object.into_iter().collect())
}
