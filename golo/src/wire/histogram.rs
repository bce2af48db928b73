//! Histograms: the buckets that are not empty, and the exact figures.

use super::WireError;
use crate::engine::histogram::{BUCKETS, Histogram};
use crate::pb::engine as pb;

impl From<&Histogram> for pb::Histogram {
    fn from(histogram: &Histogram) -> Self {
        let mut before = 0;
        let (gaps, counts) = histogram
            .indexed()
            .map(|(index, count)| {
                let gap = index - std::mem::replace(&mut before, index);
                (gap as u32, count)
            })
            .unzip();
        Self {
            sum: u64::try_from(histogram.sum()).unwrap_or(u64::MAX),
            min: histogram.min().unwrap_or_default(),
            max: histogram.max().unwrap_or_default(),
            gaps,
            counts,
        }
    }
}

impl TryFrom<&pb::Histogram> for Histogram {
    type Error = WireError;

    fn try_from(written: &pb::Histogram) -> Result<Self, WireError> {
        let pb::Histogram { sum, min, max, gaps, counts } = written;
        if gaps.len() != counts.len() {
            return Err(WireError::new(format!("a histogram of {} buckets and {} counts", gaps.len(), counts.len())));
        }
        if min > max {
            return Err(WireError::new(format!("a histogram whose minimum, {min}, is above its maximum, {max}")));
        }
        let last = gaps.iter().fold(0u64, |sum, gap| sum + u64::from(*gap));
        if last >= BUCKETS as u64 {
            return Err(WireError::new(format!("a histogram with bucket {last}: there are {BUCKETS}")));
        }
        let mut index = 0;
        let indexed = gaps.iter().zip(counts).map(|(gap, count)| {
            index += *gap as usize;
            (index, *count)
        });
        Ok(Self::of_indexed(indexed, (*sum, *min, *max)))
    }
}

/// Reads a histogram. If it is absent, nothing was counted.
pub(super) fn read(written: Option<&pb::Histogram>) -> Result<Histogram, WireError> {
    written.map_or_else(|| Ok(Histogram::new()), Histogram::try_from)
}

/// Writes a histogram; `None` if nothing was counted.
pub(super) fn write(histogram: &Histogram) -> Option<pb::Histogram> {
    (!histogram.is_empty()).then(|| histogram.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    proptest! {
        #[test]
        fn written_histogram_reads_as_equal(values in prop::collection::vec(any::<u64>().prop_map(|value| value >> (value % 64)), 0..2000)) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            let written = pb::Histogram::from(&histogram).encode_to_vec();
            let read = Histogram::try_from(&pb::Histogram::decode(&*written).unwrap()).unwrap();
            let fits = u64::try_from(histogram.sum()).is_ok();
            prop_assert!(!fits || read == histogram);
            prop_assert_eq!(read.quantile(0.99), histogram.quantile(0.99));
        }

        #[test]
        fn arbitrary_histogram_never_panics(
            sum in any::<u64>(), min in any::<u64>(), max in any::<u64>(),
            gaps in prop::collection::vec(0..100_000u32, 0..5), counts in prop::collection::vec(any::<u64>(), 0..5),
        ) {
            let read = Histogram::try_from(&pb::Histogram { sum, min, max, gaps, counts });
            let _ = read.map(|mut read| {
                read.merge(&read.clone());
                read.quantiles(&[0.0, 0.5, 1.0])
            });
        }
    }

    #[test]
    fn invalid_histogram_is_an_error() {
        let wrong = |histogram: pb::Histogram| Histogram::try_from(&histogram).unwrap_err().to_string();
        let one = pb::Histogram { gaps: vec![1], ..pb::Histogram::default() };
        assert_eq!(wrong(one), "a histogram of 1 buckets and 0 counts");
        let turned = pb::Histogram { min: 2, max: 1, ..pb::Histogram::default() };
        assert_eq!(wrong(turned), "a histogram whose minimum, 2, is above its maximum, 1");
        let beyond = pb::Histogram { gaps: vec![1_000_000], counts: vec![1], ..pb::Histogram::default() };
        assert!(wrong(beyond).starts_with("a histogram with bucket 1000000: there are "));
    }
}
