//! Advice for a comparison that is too noisy: longer runs, or a larger tolerance.

use serde::Serialize;

use super::rows::Row;

/// Maximum advised duration of a run in seconds: a day.
const LONGEST: f64 = 86_400.0;
/// Maximum advised tolerance: 100 %.
const LARGEST: f64 = 1.0;

/// Advice for a comparison with deciding rows that are too noisy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Advice {
    /// Estimated number of counted seconds that each run needs; `None` if even a day would not be enough.
    pub(super) seconds: Option<u64>,
    /// Smallest tolerance, in whole percent, with which these runs show no regression; `None` if it is over 100 %.
    pub(super) tolerance_percent: Option<u64>,
}

impl Advice {
    /// Returns advice from the deciding rows of runs with `seconds` counted seconds. Returns `None` if none of the rows
    /// is too noisy.
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
