//! Decides whether a threshold can still pass.

use std::time::Duration;

use super::Threshold;
use super::metric::Statistic;
use super::samples::{Measured, Samples};
use crate::engine::histogram::{Histogram, rank};
use crate::engine::metrics::Level;
use crate::engine::tags::Numbers;

/// More samples than any run has, and few enough for a float to represent each count exactly.
const MANY: u64 = 1 << 52;
/// Relative error of rates, which are computed here in a different order than when they are judged.
const ROUNDING: f64 = 1e-9;

/// Relative error of a number in a distribution.
const BUCKET: f64 = 1e-3;

/// Limits for the samples that the rest of a run may add to a metric. `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Maximum remaining time.
    pub time: Option<Duration>,
    /// Maximum number of samples per second. A partial second at the end counts as a whole one. For a counter, its
    /// maximum increase.
    pub per_second: Option<u64>,
    /// Maximum number of additional samples at the end, which the run cuts off.
    pub cut_off: u64,
    /// Maximum number of samples in total.
    pub samples: Option<u64>,
}

/// Range of all values that a statistic may reach.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

impl Threshold {
    /// Returns true if the threshold may still pass in the end. `false` means that it fails, no matter what comes
    /// within `room`.
    ///
    /// The rest of the run adds at most as many samples as `room` allows. In the extreme cases each of them has the
    /// best or the worst possible value: a duration of zero, or an infinite one. Every value that the statistic can
    /// reach lies between these extremes. If none of them meets the threshold, it can no longer pass.
    ///
    /// Some thresholds are therefore lost at once: on a maximum that is too high, a minimum that is too low, a counter
    /// that is too high, or a share that must be all or none and is not; also those that may select requests [in
    /// `other`](Self::hidden). A threshold on an average, a percentile, a share, a rate, or a counter that is too low
    /// is lost only when too little time or too few samples are left, and never if nothing limits them.
    ///
    /// The result errs on one side only: it may be true for slightly too long, since a histogram records a duration to
    /// within a thousandth.
    #[must_use]
    pub fn can_hold(&self, measured: &Measured<'_>, room: Room) -> bool {
        // Requests in `other` stay there.
        if self.hidden(measured.totals).is_some() {
            return false;
        }
        let range = self.range(measured, room);
        range.is_some_and(|Range { low, high }| self.operator.holds_within(low, high, self.limit.value()))
    }

    /// Returns `None` if there are no samples and none can come.
    fn range(&self, measured: &Measured<'_>, room: Room) -> Option<Range> {
        let more = room.most();
        Some(match (self.samples(measured), self.statistic) {
            (Samples::Counter(count), Statistic::Rate) => room.rates(count as f64, measured.rates.time),
            (Samples::Counter(count), _) => Range { low: count as f64, high: count.saturating_add(more) as f64 },
            (Samples::Distribution(histogram), statistic) => durations(&histogram, statistic, more)?,
            (Samples::Share { part, of }, _) => shares(part, of, more)?,
            (Samples::Numbers(all), statistic) => numbers(&all, statistic, more)?,
            (Samples::Nothing { is_lost: true }, _) => return None,
            (Samples::Nothing { is_lost: false }, _) => (more > 0).then_some(Range::ANY)?,
            (Samples::Sum(sum), Statistic::Rate) => room.rates(sum, measured.rates.time),
            (Samples::Sum(sum), _) => Range { low: sum * (1.0 - ROUNDING), high: sum * (1.0 + ROUNDING) + more as f64 },
            (Samples::Level(level), statistic) => levels(&level, statistic, more)?,
            (Samples::Gauge(None), _) => Range::any(more)?,
            (Samples::Gauge(Some(users)), Statistic::Min) => Range::below(users.fewest as f64, more),
            (Samples::Gauge(Some(users)), _) => Range::above(users.most as f64, more),
        })
    }
}

impl Room {
    /// Returns the maximum number of samples that may come.
    fn most(&self) -> u64 {
        let by_time = match (self.time, self.per_second) {
            (Some(Duration::ZERO), _) | (_, Some(0)) => Some(self.cut_off),
            (Some(time), Some(each)) => {
                let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
                Some(each.saturating_mul(seconds).saturating_add(self.cut_off))
            }
            _ => None,
        };
        by_time.into_iter().chain(self.samples).min().unwrap_or(MANY).min(MANY)
    }

    /// Returns the range of a rate per second. It is lowest if the remaining time passes without a sample. It is
    /// highest if the run ends now or when the maximum number of samples has come, since it is monotonic in between.
    fn rates(&self, now: f64, so_far: Duration) -> Range {
        let (so_far, more) = (so_far.as_secs_f64(), self.most());
        let left = self.time.map_or(f64::INFINITY, |time| time.as_secs_f64());
        let rate = |count: f64, time: f64| if count == 0.0 { 0.0 } else { count / time };
        let low = rate(now, so_far + left);
        let high = match self.per_second {
            _ if more == 0 => rate(now, so_far),
            None => rate(now + more as f64, so_far),
            Some(each) => {
                let each = each as f64;
                let in_all = self.samples.unwrap_or(MANY).min(MANY) as f64;
                let rate_after = |time: f64| rate(now + (each + each * time).min(in_all), so_far + time);
                rate_after(0.0).max(rate_after((in_all / each - 1.0).max(0.0).min(left)))
            }
        };
        Range { low: low * (1.0 - ROUNDING), high: high * (1.0 + ROUNDING) }
    }
}

impl Range {
    /// All numbers.
    const ANY: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    fn only(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// Returns the range of all durations, if samples may still come.
    fn any(more: u64) -> Option<Self> {
        (more > 0).then_some(Self { low: 0.0, high: f64::INFINITY })
    }

    fn below(high: f64, more: u64) -> Self {
        Self { low: if more > 0 { 0.0 } else { high }, high }
    }

    fn above(low: f64, more: u64) -> Self {
        Self { low, high: if more > 0 { f64::INFINITY } else { low } }
    }
}

fn shares(part: u64, of: u64, more: u64) -> Option<Range> {
    let all = of.saturating_add(more);
    let share = |part: u64| part as f64 / all as f64;
    (all > 0).then(|| Range { low: share(part), high: share(part.saturating_add(more)) })
}

fn durations(histogram: &Histogram, statistic: Statistic, more: u64) -> Option<Range> {
    let (Some(min), Some(max)) = (histogram.min(), histogram.max()) else { return Range::any(more) };
    let mean = |count: u64| histogram.sum() as f64 / count as f64;
    let count = histogram.count();
    Some(match statistic {
        Statistic::Min => Range::below(min as f64, more),
        Statistic::Max => Range::above(max as f64, more),
        Statistic::Avg if more == 0 => Range::only(mean(count)),
        Statistic::Avg => Range { low: mean(count.saturating_add(more)), high: f64::INFINITY },
        _ if more == 0 => Range::only(histogram.quantile(statistic.quantile()?)? as f64),
        _ => quantiles(histogram, statistic.quantile()?, more),
    })
}

/// Returns the range of a quantile. The extremes have all further samples below, or above, all existing ones. Each
/// bound is that of the bucket with the quantile's rank.
fn quantiles(histogram: &Histogram, quantile: f64, more: u64) -> Range {
    let rank = rank(quantile, histogram.count().saturating_add(more));
    let low = rank.checked_sub(more).filter(|rank| *rank > 0).and_then(|rank| bucket(histogram, rank));
    let high = bucket(histogram, rank);
    Range { low: low.map_or(0.0, |(low, _)| low as f64), high: high.map_or(f64::INFINITY, |(_, high)| high as f64) }
}

/// Returns the bounds of the bucket with the value of this rank, which starts at 1; `None` if there are fewer values.
fn bucket(histogram: &Histogram, rank: u64) -> Option<(u64, u64)> {
    let mut reached = 0_u64;
    let bucket = histogram.buckets().find(|bucket| {
        reached = reached.saturating_add(bucket.count);
        reached >= rank
    });
    bucket.map(|bucket| (bucket.low, bucket.high))
}

/// Returns the range of a statistic of a gauge.
fn levels(level: &Level, statistic: Statistic, more: u64) -> Option<Range> {
    let now = statistic.of_level(level)?;
    Some(match statistic {
        _ if more == 0 => Range::only(now),
        Statistic::Min => Range { low: f64::NEG_INFINITY, high: now },
        Statistic::Max => Range { low: now, high: f64::INFINITY },
        _ => Range::ANY,
    })
}

/// Returns the range of a statistic of numbers. As they may be negative, an average may reach any value while samples
/// can come.
fn numbers(numbers: &Numbers, statistic: Statistic, more: u64) -> Option<Range> {
    let (Some(min), Some(max)) = (numbers.min(), numbers.max()) else { return (more > 0).then_some(Range::ANY) };
    Some(match statistic {
        Statistic::Avg if more == 0 => Range::only(numbers.mean()?),
        Statistic::Avg => Range::ANY,
        Statistic::Min => Range { low: if more > 0 { f64::NEG_INFINITY } else { min }, high: min },
        Statistic::Max => Range { low: max, high: if more > 0 { f64::INFINITY } else { max } },
        _ if more == 0 => Range::only(numbers.quantile(statistic.quantile()?)?),
        _ => {
            let rank = rank(statistic.quantile()?, numbers.count().saturating_add(more));
            let low = rank.checked_sub(more).and_then(|rank| numbers.at_rank(rank));
            let high = numbers.at_rank(rank);
            Range {
                low: low.map_or(f64::NEG_INFINITY, |low| low - low.abs() * BUCKET),
                high: high.map_or(f64::INFINITY, |high| high + high.abs() * BUCKET),
            }
        }
    })
}
