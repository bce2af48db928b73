//! Conversion of numbers and histograms to SQLite columns.

use golo::engine::histogram::Histogram;
use rusqlite::types::{Null, ToSqlOutput};
use rusqlite::{Params, Row};

/// Percentiles with a column of their own.
pub(super) const QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// Converts to an SQLite integer. Larger values become the maximum.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a column written with [`integer`].
pub(super) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(|value: i64| value.max(0).unsigned_abs())
}

/// As [`number`], for a column that may be null.
pub(super) fn optional(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<u64>> {
    row.get(at).map(|value: Option<i64>| value.map(|value| value.max(0).unsigned_abs()))
}

/// Statistics of durations, one per column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Durations {
    /// Sum; the mean is this divided by the count.
    pub sum_ns: u64,
    /// Minimum. This and all following are `None` if there are no durations.
    pub min_ns: Option<u64>,
    /// Median. Percentiles use nearest rank, as in reports.
    pub p50_ns: Option<u64>,
    /// 90th percentile.
    pub p90_ns: Option<u64>,
    /// 95th percentile.
    pub p95_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile.
    pub p999_ns: Option<u64>,
    /// Maximum.
    pub max_ns: Option<u64>,
}

impl Durations {
    /// Number of columns.
    pub(super) const COLUMNS: usize = 8;

    /// Computes the statistics of a histogram.
    pub(super) fn of(histogram: &Histogram) -> Self {
        let quantiles = histogram.quantiles(&QUANTILES);
        let quantile = |at: usize| quantiles.get(at).copied().flatten();
        Self {
            sum_ns: u64::try_from(histogram.sum()).unwrap_or(u64::MAX),
            min_ns: histogram.min(),
            p50_ns: quantile(0),
            p90_ns: quantile(1),
            p95_ns: quantile(2),
            p99_ns: quantile(3),
            p999_ns: quantile(4),
            max_ns: histogram.max(),
        }
    }

    /// Reads the statistics from the columns that begin at `at`.
    pub(super) fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            sum_ns: number(row, at)?,
            min_ns: optional(row, at + 1)?,
            p50_ns: optional(row, at + 2)?,
            p90_ns: optional(row, at + 3)?,
            p95_ns: optional(row, at + 4)?,
            p99_ns: optional(row, at + 5)?,
            p999_ns: optional(row, at + 6)?,
            max_ns: optional(row, at + 7)?,
        })
    }

    /// Returns the column values in order.
    pub(super) fn columns(&self) -> [Option<i64>; Self::COLUMNS] {
        let Self { sum_ns, min_ns, p50_ns, p90_ns, p95_ns, p99_ns, p999_ns, max_ns } = *self;
        [Some(sum_ns), min_ns, p50_ns, p90_ns, p95_ns, p99_ns, p999_ns, max_ns].map(|value| value.map(integer))
    }
}

/// Parameters of a statement, in order.
pub(super) struct Parameters(Vec<ToSqlOutput<'static>>);

impl Parameters {
    /// Creates parameters from numbers.
    pub(super) fn of(numbers: impl IntoIterator<Item = i64>) -> Self {
        Self(Vec::with_capacity(32)).numbers(numbers)
    }

    /// Appends numbers.
    pub(super) fn numbers(mut self, numbers: impl IntoIterator<Item = i64>) -> Self {
        self.0.extend(numbers.into_iter().map(ToSqlOutput::from));
        self
    }

    /// Appends the columns of durations.
    pub(super) fn durations(mut self, durations: &Durations) -> Self {
        self.0.extend(durations.columns().map(nullable));
        self
    }

    /// Appends a number or null.
    pub(super) fn optional(mut self, value: Option<i64>) -> Self {
        self.0.push(nullable(value));
        self
    }

    /// Appends bytes or null.
    pub(super) fn blob(mut self, bytes: Option<Vec<u8>>) -> Self {
        self.0.push(bytes.map_or(ToSqlOutput::from(Null), ToSqlOutput::from));
        self
    }

    /// Returns the parameters for a statement.
    pub(super) fn all(&self) -> impl Params {
        rusqlite::params_from_iter(&self.0)
    }
}

fn nullable(value: Option<i64>) -> ToSqlOutput<'static> {
    value.map_or(ToSqlOutput::from(Null), ToSqlOutput::from)
}
