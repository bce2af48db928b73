//! Whether a threshold can still hold, whatever comes.

use std::time::Duration;

use super::{
    Threshold,
    metric::Statistic,
    samples::{Measured, Samples},
};
use crate::engine::{
    histogram::{Histogram, rank},
    tags::Numbers,
};

/// More samples than any run brings, and few enough for floats to tell one of them from none.
const MANY: u64 = 1 << 52;
/// Rates are computed in another order than when they are judged, and may be off by so much.
const ROUNDING: f64 = 1e-9;

/// A number of a distribution is known to within such a share of it.
const BUCKET: f64 = 1e-3;

/// The most that the rest of a run may bring to a metric. What is `None` has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// How much longer it takes at most.
    pub time: Option<Duration>,
    /// How many samples a second brings at most: so many for each second of the rest, one that is cut short among
    /// them. Of a counter, by how much it rises.
    pub per_second: Option<u64>,
    /// How many more come at once at the end: what the run cuts off.
    pub cut_off: u64,
    /// How many samples come at most in all.
    pub samples: Option<u64>,
}

/// Every value that a statistic may come to lies between the two.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

impl Threshold {
    /// Whether it may hold in the end: `false` means that it fails whatever comes within `room`.
    ///
    /// The rest of the run brings no more samples than `room` has place for, and at best each of them is the best that
    /// can be imagined: of durations, none at all or an eternity. Between these two lies every value that the statistic
    /// can come to, and where none of them is within the threshold, it can no longer hold. So a maximum that is too
    /// high, a minimum that is too low, a counter that is too high, and a share that is to be all or none and is not,
    /// are lost at once, as is a threshold that may be about requests [in `other`](Self::hidden); an average, a percentile, a share, a rate, or a counter that is too low, only when too little
    /// time or too few samples are left to mend it, and never where nothing limits them.
    ///
    /// It errs on one side only: it may say that a threshold can hold for a little longer than is so, since a histogram
    /// knows a duration to within a thousandth.
    #[must_use]
    pub fn can_hold(&self, measured: &Measured<'_>, room: Room) -> bool {
        // What is in `other` stays there.
        if self.hidden(measured.totals).is_some() {
            return false;
        }
        let range = self.range(measured, room);
        range.is_some_and(|Range { low, high }| self.operator.holds_within(low, high, self.limit.value()))
    }

    /// None where there are no samples, and none can come.
    fn range(&self, measured: &Measured<'_>, room: Room) -> Option<Range> {
        let more = room.most();
        Some(match (self.samples(measured), self.statistic) {
            (Samples::Counter(count), Statistic::Rate) => room.rates(count, measured.rates.time),
            (Samples::Counter(count), _) => Range { low: count as f64, high: count.saturating_add(more) as f64 },
            (Samples::Distribution(histogram), statistic) => durations(&histogram, statistic, more)?,
            (Samples::Share { part, of }, _) => shares(part, of, more)?,
            (Samples::Numbers(all), statistic) => numbers(&all, statistic, more)?,
            (Samples::Nothing { is_lost: true }, _) => return None,
            (Samples::Nothing { is_lost: false }, _) => (more > 0).then_some(Range::ANY)?,
            (Samples::Gauge(None), _) => Range::any(more)?,
            (Samples::Gauge(Some(users)), Statistic::Min) => Range::below(users.fewest as f64, more),
            (Samples::Gauge(Some(users)), _) => Range::above(users.most as f64, more),
        })
    }
}

impl Room {
    /// How many samples may come.
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

    /// What a rate per second may come to: lowest after all the time without a sample; highest if the run ends now, or
    /// when as many samples have come as may, since in between it goes one way.
    fn rates(&self, count: u64, so_far: Duration) -> Range {
        let (now, so_far, more) = (count as f64, so_far.as_secs_f64(), self.most());
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
    /// Every number.
    const ANY: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    fn only(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// Anything, if anything may come.
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

/// With as many samples below all others as may come, and with as many above: the value that has the quantile's rank
/// then, to the end of its bucket.
fn quantiles(histogram: &Histogram, quantile: f64, more: u64) -> Range {
    let rank = rank(quantile, histogram.count().saturating_add(more));
    let low = rank.checked_sub(more).filter(|rank| *rank > 0).and_then(|rank| bucket(histogram, rank));
    let high = bucket(histogram, rank);
    Range { low: low.map_or(0.0, |(low, _)| low as f64), high: high.map_or(f64::INFINITY, |(_, high)| high as f64) }
}

/// The bounds of the bucket that a value is in, by its rank from 1; none where there are fewer values.
fn bucket(histogram: &Histogram, rank: u64) -> Option<(u64, u64)> {
    let mut reached = 0_u64;
    let bucket = histogram.buckets().find(|bucket| {
        reached = reached.saturating_add(bucket.count);
        reached >= rank
    });
    bucket.map(|bucket| (bucket.low, bucket.high))
}

/// Numbers may be below 0, so that an average may come to anything while more can come.
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
