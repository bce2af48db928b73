//! Histograms of durations with log-linear buckets, like HdrHistogram. They count any `u64` of nanoseconds, in buckets
//! no wider than 1/1024 of their values. A histogram with few values is small, since there is one for each series,
//! worker and interval.

use std::fmt;

/// Number of bits below the highest bit that distinguish values.
const PRECISION: u32 = 10;
/// Number of buckets that are allocated together.
const CHUNK: usize = 64;
/// Maximum number of values that are stored individually.
const SPARSE: usize = 512;
/// Total number of buckets.
pub const BUCKETS: usize = index(u64::MAX) + 1;
/// Maximum heap memory that [`Histogram::clear`] keeps, in bytes.
const KEPT_BYTES: usize = 8 * 1024;

/// Distribution of durations: their frequencies to within 0.05 %, and their exact count, sum, minimum and maximum.
///
/// Counts and the sum saturate instead of wrapping. An empty histogram uses no heap.
#[derive(Clone)]
pub struct Histogram {
    count: u64,
    sum: u128,
    /// `u64::MAX` if empty.
    min: u64,
    max: u64,
    /// All values in the order recorded, while there are at most [`SPARSE`]. Empty from then on.
    values: Vec<u64>,
    /// For each group of [`CHUNK`] buckets, the number of its chunk plus one, or 0 if it has none. Empty while `values`
    /// is in use.
    table: Vec<u16>,
    chunks: Vec<[u64; CHUNK]>,
}

/// The values from `low` to `high`, both included, that a [`Histogram`] does not distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Lowest value, in nanoseconds.
    pub low: u64,
    /// Highest value, in nanoseconds.
    pub high: u64,
    /// Number of values recorded.
    pub count: u64,
}

impl Histogram {
    /// Creates an empty histogram.
    pub const fn new() -> Self {
        Self { count: 0, sum: 0, min: u64::MAX, max: 0, values: Vec::new(), table: Vec::new(), chunks: Vec::new() }
    }

    /// Restores a stored histogram from pairs of a value and the count of its bucket, and from the exact sum, minimum
    /// and maximum.
    pub(crate) fn restored(
        buckets: impl Iterator<Item = (u64, u64)>,
        (sum, min, max): (impl Into<u128>, u64, u64),
    ) -> Self {
        let mut restored = Self::new();
        buckets.for_each(|(value, count)| restored.record_n(value, count));
        if !restored.is_empty() {
            (restored.sum, restored.min, restored.max) = (sum.into(), min, max);
        }
        restored
    }

    /// Restores a stored histogram from the result of [`indexed`](Self::indexed), and from the exact sum, minimum and
    /// maximum. Indices must be below [`BUCKETS`].
    pub(crate) fn of_indexed(indexed: impl Iterator<Item = (usize, u64)>, exact: (impl Into<u128>, u64, u64)) -> Self {
        Self::restored(indexed.map(|(index, count)| (lowest(index), count)), exact)
    }

    /// Records one value.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.note(nanos, 1);
        if self.table.is_empty() && self.values.len() < SPARSE {
            self.values.push(nanos);
            return;
        }
        let index = index(nanos);
        let number = self.table.get(index / CHUNK).copied().unwrap_or(0);
        match self.chunks.get_mut(usize::from(number).wrapping_sub(1)) {
            Some(chunk) => {
                let bucket = &mut chunk[index % CHUNK];
                *bucket = bucket.saturating_add(1);
            }
            None => self.record_in_new_chunk(index),
        }
    }

    /// Records a value `times` times.
    pub fn record_n(&mut self, nanos: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.note(nanos, times);
        match self.sparse_room(times) {
            Some(times) => self.values.extend(std::iter::repeat_n(nanos, times)),
            None => {
                self.spill();
                self.add(index(nanos), times);
            }
        }
    }

    /// Adds all values of `other`. The result does not depend on the order in which histograms are merged.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.is_sparse() && self.sparse_room(other.values.len() as u64).is_some() {
            self.values.extend_from_slice(&other.values);
            return;
        }
        self.spill();
        for &nanos in &other.values {
            self.add(index(nanos), 1);
        }
        for (group, chunk) in other.groups() {
            for (sum, count) in self.chunk(group).iter_mut().zip(chunk) {
                *sum = sum.saturating_add(*count);
            }
        }
    }

    /// Removes all values. Keeps at most 8 KiB of the memory for new values.
    pub fn clear(&mut self) {
        (self.count, self.sum, self.min, self.max) = (0, 0, u64::MAX, 0);
        self.values.clear();
        self.table.clear();
        self.chunks.clear();
        if self.bytes() > KEPT_BYTES {
            self.chunks = Vec::new();
        }
    }

    /// Drops the distribution, and with it all heap memory. Count, sum, minimum and maximum stay exact; quantiles between
    /// them are unknown from then on.
    pub fn keep_figures(&mut self) {
        (self.values, self.table, self.chunks) = (Vec::new(), Vec::new(), Vec::new());
    }

    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the exact sum of all values, in nanoseconds.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// Returns the exact lowest value, or `None` if empty.
    pub fn min(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min)
    }

    /// Returns the exact highest value, or `None` if empty.
    pub fn max(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max)
    }

    /// Returns the mean: the exact sum divided by the count.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum as f64 / self.count as f64)
    }

    /// Returns true if nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the lowest value that at least the share `quantile` (0 to 1) of all values do not exceed: the nearest
    /// rank, without interpolation.
    ///
    /// The result is off by at most 0.05 % and never outside the minimum and maximum. The first and last rank return
    /// the minimum and maximum exactly. Returns `None` if the histogram is empty or `quantile` is NaN.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        self.quantiles(&[quantile]).pop().flatten()
    }

    /// Returns the [`Histogram::quantile`] for each of `quantiles`, in one pass.
    pub fn quantiles(&self, quantiles: &[f64]) -> Vec<Option<u64>> {
        self.at_ranks(&quantiles.iter().map(|&quantile| self.rank(quantile)).collect::<Vec<_>>())
    }

    /// Returns the values of the given ranks, from 1 to the count, in one pass.
    pub(crate) fn at_ranks(&self, ranks: &[Option<u64>]) -> Vec<Option<u64>> {
        let mut ascending: Vec<usize> = (0..ranks.len()).collect();
        ascending.sort_by_key(|&at| ranks[at]);

        let mut answers = ranks.to_vec();
        let mut buckets = self.counts();
        let (mut reached, mut bucket) = (0_u64, 0);
        for at in ascending {
            let Some(rank) = ranks[at] else { continue };
            answers[at] = Some(if rank == 1 {
                self.min
            } else if rank == self.count {
                self.max
            } else {
                while reached < rank {
                    let Some((next, count)) = buckets.next() else { break };
                    bucket = next;
                    reached = reached.saturating_add(count);
                }
                middle(bucket).clamp(self.min, self.max)
            });
        }
        answers
    }

    /// Returns the number of values that are at most `nanos`, or in the same bucket.
    pub fn count_at_or_below(&self, nanos: u64) -> u64 {
        if nanos < self.min {
            return 0;
        }
        let last = index(nanos);
        self.counts().take_while(|&(index, _)| index <= last).fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Returns the buckets that are not empty, in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.counts().map(|(index, count)| Bucket {
            low: lowest(index),
            high: lowest(index) + (width(index) - 1),
            count,
        })
    }

    /// Returns the index and count of each bucket that is not empty, in ascending order.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts()
    }

    /// Returns the heap memory of the histogram, in bytes.
    pub fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<u64>()
            + self.table.capacity() * size_of::<u16>()
            + self.chunks.capacity() * size_of::<[u64; CHUNK]>()
    }

    /// Updates the exact figures.
    #[inline]
    fn note(&mut self, nanos: u64, times: u64) {
        self.count = self.count.saturating_add(times);
        self.sum = self.sum.saturating_add(u128::from(nanos) * u128::from(times));
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    fn is_sparse(&self) -> bool {
        self.table.is_empty()
    }

    /// Returns `more` if that many values can be stored individually.
    fn sparse_room(&self, more: u64) -> Option<usize> {
        let more = usize::try_from(more).ok()?;
        (self.is_sparse() && more <= SPARSE - self.values.len()).then_some(more)
    }

    #[cold]
    #[inline(never)]
    fn record_in_new_chunk(&mut self, index: usize) {
        self.spill();
        self.add(index, 1);
    }

    /// Moves individual values to buckets. The caller must add at least one value afterwards.
    fn spill(&mut self) {
        let mut values = std::mem::take(&mut self.values);
        for &nanos in &values {
            self.add(index(nanos), 1);
        }
        values.clear();
        self.values = values;
    }

    fn add(&mut self, index: usize, times: u64) {
        let bucket = &mut self.chunk(index / CHUNK)[index % CHUNK];
        *bucket = bucket.saturating_add(times);
    }

    fn chunk(&mut self, group: usize) -> &mut [u64; CHUNK] {
        if group >= self.table.len() {
            self.table.reserve_exact(group + 1 - self.table.len());
            self.table.resize(group + 1, 0);
        }
        if self.table[group] == 0 {
            // Doubling the capacity, as `push` does, could waste half of the memory.
            if self.chunks.len() == self.chunks.capacity() {
                self.chunks.reserve_exact((self.chunks.len() / 8).max(4));
            }
            self.chunks.push([0; CHUNK]);
            self.table[group] = self.chunks.len() as u16;
        }
        &mut self.chunks[usize::from(self.table[group]) - 1]
    }

    /// Returns the groups that have a chunk, in ascending order.
    fn groups(&self) -> impl Iterator<Item = (usize, &[u64; CHUNK])> {
        let chunk = |number: u16| self.chunks.get(usize::from(number).wrapping_sub(1));
        self.table.iter().enumerate().filter_map(move |(group, &number)| Some((group, chunk(number)?)))
    }

    /// Returns the index and count of each bucket that is not empty, in ascending order.
    fn counts(&self) -> impl Iterator<Item = (usize, u64)> {
        let mut sparse: Vec<usize> = self.values.iter().map(|&nanos| index(nanos)).collect();
        sparse.sort_unstable();
        let mut sparse = sparse.into_iter().peekable();
        let sparse = std::iter::from_fn(move || {
            let index = sparse.next()?;
            let mut count = 1;
            while sparse.next_if_eq(&index).is_some() {
                count += 1;
            }
            Some((index, count))
        });
        let dense = self.groups().flat_map(|(group, chunk)| (group * CHUNK..).zip(chunk.iter().copied()));
        // One of the two is empty.
        sparse.chain(dense.filter(|&(_, count)| count != 0))
    }

    fn rank(&self, quantile: f64) -> Option<u64> {
        (!self.is_empty() && !quantile.is_nan()).then(|| rank(quantile, self.count))
    }
}

/// Returns the rank of a quantile among `count` values in ascending order, from 1.
pub(crate) fn rank(quantile: f64, count: u64) -> u64 {
    if quantile >= 1.0 {
        return count;
    }
    let exact = quantile * count as f64;
    let nearest = exact.round();
    // 0.07 × 100 is slightly more than 7 in binary, but must be 7.
    let is_whole = (exact - nearest).abs() <= exact * (2.0 * f64::EPSILON);
    let rank = if is_whole { nearest } else { exact.ceil() };
    (rank as u64).clamp(1, count)
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Two histograms are equal if they counted the same, however it is stored.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sum, self.min, self.max) == (other.count, other.sum, other.min, other.max)
            && self.counts().eq(other.counts())
    }
}

impl Eq for Histogram {}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Histogram");
        fields.field("count", &self.count);
        if let [Some(min), Some(p50), Some(p99), Some(max)] = self.quantiles(&[0.0, 0.5, 0.99, 1.0])[..] {
            fields.field("min", &min).field("p50", &p50).field("p99", &p99).field("max", &max);
        }
        fields.finish()
    }
}

/// Returns the index of a value's bucket. Each value below 2,048 has its own bucket; from there on each doubling has
/// 1,024.
#[inline]
const fn index(nanos: u64) -> usize {
    let shift = (nanos | 1 << PRECISION).ilog2() - PRECISION;
    ((shift as usize) << PRECISION) + (nanos >> shift) as usize
}

fn shift(index: usize) -> usize {
    (index >> PRECISION).saturating_sub(1)
}

fn lowest(index: usize) -> u64 {
    ((index - (shift(index) << PRECISION)) as u64) << shift(index)
}

fn width(index: usize) -> u64 {
    1 << shift(index)
}

fn middle(index: usize) -> u64 {
    lowest(index) + width(index) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        for &nanos in values {
            histogram.record(nanos);
        }
        histogram
    }

    /// Creates the same histogram, but always with buckets.
    fn dense(values: &[u64]) -> Histogram {
        let mut histogram = of(values);
        if let Some(&nanos) = values.first().filter(|_| histogram.is_sparse()) {
            histogram.spill();
            assert!(histogram.values.is_empty());
            assert!(histogram.counts().any(|(at, _)| at == index(nanos)));
        }
        histogram
    }

    /// Generates durations from 1 ns to 1 h. Each order of magnitude is equally likely.
    fn nanos() -> impl Strategy<Value = u64> {
        (0.0..=(HOUR as f64).ln()).prop_map(|exponent| (exponent.exp() as u64).clamp(1, HOUR))
    }

    /// Generates few and many values, in wide and narrow ranges.
    fn values() -> impl Strategy<Value = Vec<u64>> {
        prop_oneof![
            prop::collection::vec(nanos(), 1..40),
            prop::collection::vec(nanos(), 1..1500),
            prop::collection::vec(1_000_000_u64..1_010_000, 400..900),
            prop::collection::vec(any::<u64>(), 1..700),
        ]
    }

    fn lognormal(count: usize, median: f64, sigma: f64) -> Vec<u64> {
        let mut state = 7_u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        };
        let mut normal = move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        (0..count).map(|_| (median * (sigma * normal()).exp()) as u64).collect()
    }

    #[test]
    fn buckets_are_adjacent_and_narrow() {
        let last = index(u64::MAX);
        assert_eq!(last, 56_319);
        for at in 0..=last {
            let (low, high) = (lowest(at), lowest(at) + (width(at) - 1));
            assert_eq!((index(low), index(high), index(middle(at))), (at, at, at));
            assert!(width(at) == 1 || width(at) <= low / 1024, "{low}");
            assert_eq!(high.checked_add(1).map(index), (at < last).then_some(at + 1));
        }
        assert_eq!([index(2047), index(2048), index(2049), index(2050)], [2047, 2048, 2048, 2049]);
    }

    #[test]
    fn empty_histogram_has_no_values_and_no_heap() {
        let empty = Histogram::default();
        assert_eq!((empty.count(), empty.sum(), empty.min(), empty.max(), empty.mean()), (0, 0, None, None, None));
        assert_eq!((empty.quantile(0.5), empty.count_at_or_below(u64::MAX), empty.bytes()), (None, 0, 0));
        assert_eq!(empty.buckets().next(), None);
        assert_eq!(format!("{empty:?}"), "Histogram { count: 0 }");
        assert_eq!(of(&[1]).quantile(f64::NAN), None);

        let mut still_empty = Histogram::new();
        still_empty.record_n(7, 0);
        still_empty.merge(&empty);
        assert_eq!(still_empty, empty);
        assert_eq!(still_empty.bytes(), 0);
    }

    #[test]
    fn extreme_values_are_recorded() {
        for histogram in [of(&[0, 1, u64::MAX]), dense(&[0, 1, u64::MAX])] {
            assert_eq!(histogram.quantiles(&[-1.0, 0.0, 0.5, 1.0, 2.0]), [0, 0, 1, u64::MAX, u64::MAX].map(Some));
            assert_eq!(histogram.sum(), u128::from(u64::MAX) + 1);
            assert_eq!(histogram.buckets().last().map(|bucket| (bucket.high, bucket.count)), Some((u64::MAX, 1)));
            assert_eq!([0, 1, 2, u64::MAX].map(|nanos| histogram.count_at_or_below(nanos)), [1, 2, 2, 3]);
            assert_eq!(
                format!("{histogram:?}"),
                format!("Histogram {{ count: 3, min: 0, p50: 1, p99: {0}, max: {0} }}", u64::MAX)
            );
        }
    }

    #[test]
    fn counts_saturate() {
        let mut histogram = Histogram::new();
        histogram.record_n(5, u64::MAX);
        histogram.record_n(5, 2);
        histogram.record(9_000);
        let copy = histogram.clone();
        histogram.merge(&copy);
        assert_eq!(histogram.count(), u64::MAX);
        assert_eq!(histogram.quantiles(&[0.0, 0.5, 0.999, 1.0]), [5, 5, 5, 9_000].map(Some));
        assert_eq!(histogram.count_at_or_below(u64::MAX), u64::MAX);

        histogram.record_n(u64::MAX, u64::MAX);
        histogram.record_n(u64::MAX, u64::MAX);
        assert_eq!(histogram.sum(), u128::MAX);
    }

    #[test]
    fn quantile_of_a_decimal_is_the_exact_rank() {
        let hundred = of(&(1..=100).collect::<Vec<_>>());
        for percent in 1..=100 {
            assert_eq!(hundred.quantile(percent as f64 / 100.0), Some(percent));
        }
        assert_eq!(hundred.quantile(0.501), Some(51));
    }

    #[test]
    fn sparse_and_dense_histograms_give_the_same_results() {
        for count in [1, 511, 512, 513, 514] {
            let values = lognormal(count, 1e6, 1.0);
            let (one, other) = (of(&values), dense(&values));
            assert_eq!(one.is_sparse(), count <= 512);
            assert!(!other.is_sparse());
            assert_eq!(one, other);
            assert!(one.buckets().eq(other.buckets()));
            let quantiles: Vec<f64> = (0..=1000).map(|permille| permille as f64 / 1000.0).collect();
            assert_eq!(one.quantiles(&quantiles), other.quantiles(&quantiles));
            for &nanos in &values {
                assert_eq!(one.count_at_or_below(nanos), other.count_at_or_below(nanos));
            }
        }
    }

    #[test]
    fn cleared_histogram_is_like_new_and_keeps_little_memory() {
        let values = lognormal(10_000, 1e6, 0.5);
        let mut histogram = of(&values);
        histogram.clear();
        assert_eq!(histogram, Histogram::new());
        assert!(histogram.bytes() <= KEPT_BYTES);
        assert!(histogram.values.capacity() >= SPARSE);
        for &nanos in &values {
            histogram.record(nanos);
        }
        assert_eq!(histogram, of(&values));

        let mut narrow = of(&[1_000_000; 1_000]);
        let before = narrow.bytes();
        narrow.clear();
        assert_eq!(narrow.bytes(), before);

        let mut widest = Histogram::new();
        for bit in 0..64 {
            widest.record_n(1 << bit, 9);
        }
        widest.record(u64::MAX);
        widest.clear();
        assert!(widest.bytes() <= KEPT_BYTES);
    }

    #[test]
    fn memory_is_bounded() {
        let kib = |values: &[u64]| of(values).bytes().div_ceil(1024);
        assert!(size_of::<Histogram>() <= 128);
        assert_eq!(of(&[1; 512]).bytes(), 4096);
        assert!(kib(&[1_000_000; 10_000]) <= 7);
        assert!(kib(&lognormal(10_000, 1e6, 0.1)) <= 20);
        assert!(kib(&lognormal(10_000, 1e6, 0.5)) < 64);
        assert!(kib(&lognormal(1_000_000, 1e6, 0.5)) < 80);
        assert!(kib(&lognormal(1_000_000, 5e7, 1.0)) < 128);
    }

    proptest! {
        #[test]
        fn quantiles_are_close_and_other_figures_are_exact(values in values(), permille in 0_u64..=1000) {
            let histogram = of(&values);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let count = sorted.len() as u64;
            prop_assert_eq!(histogram.count(), count);
            prop_assert_eq!(histogram.sum(), values.iter().map(|&nanos| u128::from(nanos)).sum::<u128>());
            prop_assert_eq!((histogram.min(), histogram.max()), (sorted.first().copied(), sorted.last().copied()));

            let rank = (permille * count).div_ceil(1000).max(1);
            let exact = sorted[rank as usize - 1];
            let answer = histogram.quantile(permille as f64 / 1000.0).unwrap();
            prop_assert!(answer.abs_diff(exact) as f64 <= exact as f64 * 0.0005, "{} for {}", answer, exact);
            prop_assert!(histogram.quantile(0.99) <= histogram.max());

            let same_bucket = lowest(index(exact)) + (width(index(exact)) - 1);
            let below = sorted.partition_point(|&nanos| nanos <= same_bucket) as u64;
            prop_assert_eq!(histogram.count_at_or_below(exact), below);
        }

        #[test]
        fn quantiles_equal_each_single_quantile(values in values(), quantiles in prop::collection::vec(-0.1_f64..1.1, 0..20)) {
            let histogram = of(&values);
            let each: Vec<_> = quantiles.iter().map(|&quantile| histogram.quantile(quantile)).collect();
            prop_assert_eq!(histogram.quantiles(&quantiles), each);
        }

        #[test]
        fn buckets_match_hdrhistogram(values in prop::collection::vec(nanos(), 1..1500)) {
            let mut oracle = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HOUR, 3).unwrap();
            for &nanos in &values {
                oracle.record(nanos).unwrap();
            }
            let ours: Vec<_> = of(&values).buckets().map(|bucket| (bucket.low, bucket.high, bucket.count)).collect();
            let theirs: Vec<_> = oracle
                .iter_recorded()
                .map(|at| at.value_iterated_to())
                .map(|high| (oracle.lowest_equivalent(high), oracle.highest_equivalent(high), oracle.count_at(high)))
                .collect();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn merged_parts_equal_the_whole(values in values(), parts in 1_usize..8, turn in 0_usize..8, seed in any::<u64>()) {
            let mut split = vec![Histogram::new(); parts];
            for (at, &nanos) in values.iter().enumerate() {
                split[(seed.rotate_left(at as u32) % parts as u64) as usize].record(nanos);
            }
            split.rotate_left(turn % parts);
            let merge = |parts: &[Histogram]| {
                let mut all = Histogram::new();
                parts.iter().for_each(|part| all.merge(part));
                all
            };
            let (left, right) = split.split_at(turn % parts);
            let mut halves = merge(right);
            halves.merge(&merge(left));
            let whole = dense(&values);
            prop_assert_eq!(merge(&split), whole.clone());
            prop_assert_eq!(halves, whole);
        }

        #[test]
        fn record_n_equals_repeated_record(values in prop::collection::vec((nanos(), 0_u64..200), 1..12)) {
            let mut histogram = Histogram::new();
            let mut repeated = Histogram::new();
            for &(nanos, times) in &values {
                histogram.record_n(nanos, times);
                (0..times).for_each(|_| repeated.record(nanos));
            }
            prop_assert_eq!(histogram, repeated);
        }
    }
}
