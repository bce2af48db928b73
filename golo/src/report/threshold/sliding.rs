//! Samples of the last seconds: each second is added when it ends and removed when it is too old.
//!
//! Counts and sums of a histogram can be subtracted, so a second costs as much as it has different durations, however
//! long the window is. Minimum and maximum cannot: they are those of the seconds that are left.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::samples::{Samples, Users};
use crate::engine::histogram::Histogram;
use crate::engine::metrics::Level;
use crate::engine::tags::Numbers;

/// Samples of the last seconds of one threshold.
#[derive(Debug, Clone, Default)]
pub(super) struct Sliding {
    seconds: VecDeque<Second>,
    length: Duration,
    part: u64,
    of: u64,
    sums: [Sum; 2],
}

/// Samples of a second, or of several if there was no report for a while.
#[derive(Debug, Clone)]
struct Second {
    length: Duration,
    amount: Amount,
}

#[derive(Debug, Clone)]
enum Amount {
    Counter(u64),
    Share {
        part: u64,
        of: u64,
    },
    Gauge(Users),
    Sum(f64),
    Level(Level),
    Durations(Packed),
    /// Magnitudes of the numbers below 0, and the other numbers.
    Numbers(Box<[Packed; 2]>),
    Nothing,
}

/// A histogram that takes 6 bytes for each of its buckets.
#[derive(Debug, Clone)]
struct Packed {
    /// Indices of the buckets. There are fewer than 65,536 different ones.
    indices: Box<[u16]>,
    counts: Box<[u32]>,
    sum: u128,
    min: u64,
    max: u64,
}

/// Sum of histograms, without minimum and maximum.
#[derive(Debug, Clone, Default)]
struct Sum {
    buckets: BTreeMap<u16, u64>,
    sum: u128,
}

impl Sliding {
    /// Adds the samples of a second.
    pub(super) fn add(&mut self, samples: &Samples<'_>, length: Duration) {
        let amount = match samples {
            Samples::Counter(count) => Amount::Counter(*count),
            Samples::Share { part, of } => Amount::Share { part: *part, of: *of },
            Samples::Gauge(users) => users.map_or(Amount::Nothing, Amount::Gauge),
            Samples::Sum(sum) => Amount::Sum(*sum),
            Samples::Level(level) => Amount::Level(*level),
            Samples::Distribution(histogram) => Amount::Durations(Packed::of(histogram)),
            Samples::Numbers(numbers) => Amount::Numbers(Box::new(numbers.histograms().map(Packed::of))),
            Samples::Nothing { .. } => Amount::Nothing,
        };
        match &amount {
            Amount::Counter(count) => self.part = self.part.wrapping_add(*count),
            Amount::Share { part, of } => {
                self.part = self.part.wrapping_add(*part);
                self.of = self.of.wrapping_add(*of);
            }
            Amount::Durations(packed) => self.sums[0].add(packed),
            Amount::Numbers(packed) => self.sums.iter_mut().zip(&**packed).for_each(|(sum, packed)| sum.add(packed)),
            Amount::Gauge(_) | Amount::Sum(_) | Amount::Level(_) | Amount::Nothing => {}
        }
        self.length += length;
        self.seconds.push_back(Second { length, amount });
    }

    /// Removes the oldest seconds, as long as the others are at least `length` together.
    pub(super) fn keep(&mut self, length: Duration) {
        while let Some(oldest) = self.seconds.front()
            && self.length.saturating_sub(oldest.length) >= length
            && let Some(Second { length, amount }) = self.seconds.pop_front()
        {
            self.length = self.length.saturating_sub(length);
            match &amount {
                Amount::Counter(count) => self.part = self.part.wrapping_sub(*count),
                Amount::Share { part, of } => {
                    self.part = self.part.wrapping_sub(*part);
                    self.of = self.of.wrapping_sub(*of);
                }
                Amount::Durations(packed) => self.sums[0].remove(packed),
                Amount::Numbers(packed) => {
                    self.sums.iter_mut().zip(&**packed).for_each(|(sum, packed)| sum.remove(packed));
                }
                Amount::Gauge(_) | Amount::Sum(_) | Amount::Level(_) | Amount::Nothing => {}
            }
        }
    }

    /// Returns the length of all seconds together.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Returns the samples of all seconds together.
    pub(super) fn samples(&self) -> Samples<'static> {
        // All seconds with samples have the same kind of them.
        let known = self.amounts().find(|amount| !matches!(amount, Amount::Nothing));
        match known {
            None | Some(Amount::Nothing) => Samples::Nothing { is_lost: false },
            Some(Amount::Counter(_)) => Samples::Counter(self.part),
            Some(Amount::Share { .. }) => Samples::Share { part: self.part, of: self.of },
            Some(Amount::Gauge(_)) => Samples::Gauge(self.users()),
            Some(Amount::Sum(_)) => {
                let sums =
                    self.amounts().filter_map(|amount| if let Amount::Sum(sum) = amount { Some(*sum) } else { None });
                Samples::Sum(sums.sum())
            }
            Some(Amount::Level(_)) => self.level().map_or(Samples::Nothing { is_lost: false }, Samples::Level),
            Some(Amount::Durations(_)) => {
                let packed = |amount: &'_ Amount| {
                    if let Amount::Durations(packed) = amount { Some(packed.ends()) } else { None }
                };
                Samples::Distribution(std::borrow::Cow::Owned(
                    self.sums[0].histogram(self.amounts().filter_map(packed)),
                ))
            }
            Some(Amount::Numbers(_)) => {
                let [below, above] = [0, 1].map(|at| {
                    let packed = |amount: &'_ Amount| {
                        if let Amount::Numbers(packed) = amount { Some(packed[at].ends()) } else { None }
                    };
                    self.sums[at].histogram(self.amounts().filter_map(packed))
                });
                Samples::Numbers(Numbers::of(below, above))
            }
        }
    }

    fn amounts(&self) -> impl Iterator<Item = &Amount> {
        self.seconds.iter().rev().map(|second| &second.amount)
    }

    /// Returns the values of a gauge in all seconds.
    fn level(&self) -> Option<Level> {
        let levels =
            self.amounts().filter_map(|amount| if let Amount::Level(level) = amount { Some(*level) } else { None });
        levels.reduce(|mut all, level| {
            all.merge(&level);
            all
        })
    }

    fn users(&self) -> Option<Users> {
        let users =
            self.amounts().filter_map(|amount| if let Amount::Gauge(users) = amount { Some(*users) } else { None });
        users.reduce(|all, users| Users { fewest: all.fewest.min(users.fewest), most: all.most.max(users.most) })
    }
}

impl Packed {
    fn of(histogram: &Histogram) -> Self {
        // No second has so many samples in one bucket that its count does not fit.
        let fits = |(index, count)| Some((u16::try_from(index).ok()?, u32::try_from(count).unwrap_or(u32::MAX)));
        let (indices, counts): (Vec<_>, Vec<_>) = histogram.indexed().filter_map(fits).unzip();
        Self {
            indices: indices.into(),
            counts: counts.into(),
            sum: histogram.sum(),
            min: histogram.min().unwrap_or(u64::MAX),
            max: histogram.max().unwrap_or_default(),
        }
    }

    fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        self.indices.iter().copied().zip(self.counts.iter().copied().map(u64::from))
    }

    /// Returns the minimum and the maximum.
    fn ends(&self) -> (u64, u64) {
        (self.min, self.max)
    }
}

impl Sum {
    fn add(&mut self, packed: &Packed) {
        self.sum = self.sum.wrapping_add(packed.sum);
        for (index, count) in packed.buckets() {
            let sum = self.buckets.entry(index).or_default();
            *sum = sum.wrapping_add(count);
        }
    }

    fn remove(&mut self, packed: &Packed) {
        self.sum = self.sum.wrapping_sub(packed.sum);
        for (index, count) in packed.buckets() {
            if let Some(sum) = self.buckets.get_mut(&index) {
                *sum = sum.wrapping_sub(count);
                if *sum == 0 {
                    self.buckets.remove(&index);
                }
            }
        }
    }

    /// Returns the histogram of seconds that have these minima and maxima.
    fn histogram(&self, ends: impl Iterator<Item = (u64, u64)>) -> Histogram {
        let (min, max) = ends.fold((u64::MAX, 0), |(min, max), second| (min.min(second.0), max.max(second.1)));
        let buckets = self.buckets.iter().map(|(&index, &count)| (usize::from(index), count));
        Histogram::of_indexed(buckets, (self.sum, min, max))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::histogram::BUCKETS;

    const SECOND: Duration = Duration::from_secs(1);

    fn histogram(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    fn durations() -> impl Strategy<Value = Vec<Vec<u64>>> {
        let nanos = prop_oneof![0..50_u64, any::<u64>().prop_map(|nanos| nanos >> 20), Just(1_000_000)];
        prop::collection::vec(prop::collection::vec(nanos, 0..30), 0..40)
    }

    #[test]
    fn index_of_every_bucket_fits() {
        assert!(BUCKETS <= usize::from(u16::MAX) + 1);
    }

    proptest! {
        #[test]
        fn window_equals_its_merged_seconds(seconds in durations(), length in 1..12_usize) {
            let mut sliding = Sliding::default();
            let mut numbers = Sliding::default();
            for (at, values) in seconds.iter().enumerate() {
                let second = histogram(values);
                sliding.add(&Samples::Distribution(Cow::Borrowed(&second)), SECOND);
                numbers.add(&Samples::Numbers(Numbers::of(second.clone(), second)), SECOND);
                sliding.keep(SECOND * length as u32);
                numbers.keep(SECOND * length as u32);
                let merged = histogram(&seconds[(at + 1).saturating_sub(length)..=at].concat());
                prop_assert_eq!(sliding.length(), SECOND * (at + 1).min(length) as u32);
                let Samples::Distribution(window) = sliding.samples() else { panic!("no distribution") };
                prop_assert_eq!(&*window, &merged);
                for quantile in [0.0, 0.5, 0.9, 0.99, 1.0] {
                    prop_assert_eq!(window.quantile(quantile), merged.quantile(quantile));
                }
                let Samples::Numbers(window) = numbers.samples() else { panic!("no numbers") };
                prop_assert_eq!(window, Numbers::of(merged.clone(), merged));
            }
        }

        #[test]
        fn counters_shares_and_users_of_a_window_are_exact(
            seconds in prop::collection::vec((0..1000_u64, 1..4_u32), 1..40), length in 1..12_u32,
        ) {
            let (mut counter, mut share, mut users) = (Sliding::default(), Sliding::default(), Sliding::default());
            for (at, &(count, time)) in seconds.iter().enumerate() {
                counter.add(&Samples::Counter(count), SECOND * time);
                share.add(&Samples::Share { part: count / 2, of: count }, SECOND * time);
                users.add(&Samples::Gauge(Some(Users { fewest: count, most: count + 1 })), SECOND * time);
                for sliding in [&mut counter, &mut share, &mut users] {
                    sliding.keep(SECOND * length);
                }
                // The shortest suffix that is at least as long as the window, or everything.
                let from = (0..=at).rev().find(|&from| seconds[from..=at].iter().map(|second| second.1).sum::<u32>() >= length);
                let window = &seconds[from.unwrap_or(0)..=at];
                let sum = |of: fn(u64) -> u64| window.iter().map(|second| of(second.0)).sum::<u64>();
                prop_assert_eq!(counter.length(), SECOND * window.iter().map(|second| second.1).sum::<u32>());
                let is_sum = matches!(counter.samples(), Samples::Counter(all) if all == sum(|count| count));
                prop_assert!(is_sum);
                let Samples::Share { part, of } = share.samples() else { panic!("no share") };
                prop_assert_eq!((part, of), (sum(|count| count / 2), sum(|count| count)));
                let Samples::Gauge(Some(users)) = users.samples() else { panic!("no users") };
                let counts = || window.iter().map(|second| second.0);
                prop_assert_eq!((users.fewest, users.most), (counts().min().unwrap(), counts().max().unwrap() + 1));
            }
        }
    }

    #[test]
    fn sums_and_levels_of_a_window_are_those_of_its_seconds() {
        let (mut sums, mut levels) = (Sliding::default(), Sliding::default());
        for second in 1..=4_u32 {
            sums.add(&Samples::Sum(f64::from(second)), SECOND);
            let value = f64::from(second);
            levels.add(
                &Samples::Level(Level { count: 1, last: value, min: value, max: value, at: second.into() }),
                SECOND,
            );
            sums.keep(2 * SECOND);
            levels.keep(2 * SECOND);
        }
        assert!(matches!(sums.samples(), Samples::Sum(sum) if sum == 7.0));
        let Samples::Level(level) = levels.samples() else { panic!("no level") };
        assert_eq!((level.count, level.last, level.min, level.max), (2, 4.0, 3.0, 4.0));
    }

    #[test]
    fn seconds_without_samples_are_part_of_a_window() {
        let mut sliding = Sliding::default();
        sliding.add(&Samples::Share { part: 1, of: 2 }, SECOND);
        sliding.add(&Samples::Nothing { is_lost: false }, SECOND);
        sliding.keep(2 * SECOND);
        assert!(matches!(sliding.samples(), Samples::Share { part: 1, of: 2 }));
        sliding.add(&Samples::Nothing { is_lost: false }, SECOND);
        sliding.keep(2 * SECOND);
        assert!(matches!(sliding.samples(), Samples::Nothing { is_lost: false }));
    }

    #[test]
    fn hour_of_varied_seconds_takes_little_memory() {
        let mut sliding = Sliding::default();
        // 10,000 requests a second from 1 to 11 ms.
        let second = histogram(&(0..10_000).map(|nth| 1_000_000 + nth * 1_000).collect::<Vec<_>>());
        (0..4000).for_each(|_| {
            sliding.add(&Samples::Distribution(Cow::Borrowed(&second)), SECOND);
            sliding.keep(3600 * SECOND);
        });
        let bytes = |second: &Second| match &second.amount {
            Amount::Durations(packed) => packed.indices.len() * 6 + size_of::<Second>(),
            _ => 0,
        };
        let all: usize = sliding.seconds.iter().map(bytes).sum();
        assert_eq!(sliding.seconds.len(), 3600);
        assert!(all < 100 << 20, "{all} bytes");
    }
}
