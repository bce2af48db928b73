//! What would let a comparison that is too noisy be told: longer runs, or a larger tolerance.

use serde::Serialize;

use super::rows::Row;

/// Runs of more than a day are no advice.
const LONGEST: f64 = 86_400.0;
/// Nor is a tolerance of more than this.
const LARGEST: f64 = 1.0;

/// Advice for a comparison in which deciding rows are too noisy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Advice {
    /// Estimated number of seconds that each run would have to count; none if no length up to a day is known to do.
    pub(super) seconds: Option<u64>,
    /// The least tolerance with which these runs show no regression, in whole percents; none if it is over 100 %.
    pub(super) tolerance_percent: Option<u64>,
}

impl Advice {
    /// Advice for the rows that decide, of runs of so many seconds. Returns nothing if none of them is too noisy.
    pub(super) fn of(rows: &[Row], seconds: usize) -> Option<Self> {
        let noises = || rows.iter().filter(|row| row.decides).filter_map(|row| row.noise);
        noises().next()?;
        let times = noises().map(|noise| noise.times).fold(1.0, f64::max);
        let worst = noises().map(|noise| noise.worst).fold(0.0, f64::max);
        let longer = seconds as f64 * times;
        Some(Self {
            seconds: (longer <= LONGEST).then(|| longer.ceil() as u64),
            tolerance_percent: (worst <= LARGEST).then(|| (worst * 100.0).ceil() as u64),
        })
    }
}
