//! Equal parts of a whole. Users and starts are dealt to the workers in turn.

/// One of `of` parts: the numbers `i` with `i % of == index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: u64,
    of: u64,
}

impl Share {
    /// The whole.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// A part without any of the numbers that occur.
    pub(crate) const NONE: Self = Self { index: u32::MAX as u64 - 1, of: u32::MAX as u64 };

    /// Creates the part `index` of `of` parts. Returns `None` if `index` is not below `of`, or if `of` exceeds 2³² − 1.
    #[must_use]
    pub fn new(index: u64, of: u64) -> Option<Self> {
        (index < of && of <= u32::MAX.into()).then_some(Self { index, of })
    }

    /// Splits this share into `n` parts: its first number goes to the first part, its second to the second, and so on
    /// in turn.
    pub fn split(self, n: u64) -> impl Iterator<Item = Self> {
        (0..n).map(move |part| Self { index: self.index + self.of * part, of: self.of * n })
    }

    /// Returns how many of the numbers below `total` belong to this share.
    #[must_use]
    pub fn count(self, total: u64) -> u64 {
        total.saturating_sub(self.index).div_ceil(self.of)
    }

    /// Returns the `j`-th number of this share, counted from 0. Saturates on overflow.
    #[must_use]
    pub fn nth(self, j: u64) -> u64 {
        self.of.saturating_mul(j).saturating_add(self.index)
    }

    /// Returns true if number `i` belongs to this share.
    #[must_use]
    pub fn contains(self, i: u64) -> bool {
        i % self.of == self.index
    }

    /// Returns the index of this part, from 0.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// Returns the number of parts.
    #[must_use]
    pub fn of(self) -> u64 {
        self.of
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    /// Splits the whole repeatedly, as for agents and their workers.
    fn nested(splits: &[u64]) -> Vec<Share> {
        splits
            .iter()
            .fold(vec![Share::WHOLE], |shares, &n| shares.into_iter().flat_map(|share| share.split(n)).collect())
    }

    #[test]
    fn split_deals_numbers_in_turn() {
        let parts: Vec<_> = Share::WHOLE.split(3).collect();
        assert_eq!(parts.iter().map(|part| part.count(5)).collect::<Vec<_>>(), [2, 2, 1]);
        let second_of_second: Vec<_> = parts[1].split(2).collect();
        assert_eq!((0..3).map(|j| second_of_second[1].nth(j)).collect::<Vec<_>>(), [4, 10, 16]);
        assert_eq!(Share::WHOLE.split(0).count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn parts_add_up_and_differ_by_at_most_one(
            total in 0u64..100_000, splits in proptest::collection::vec(1u64..6, 0..4),
        ) {
            let counts: Vec<u64> = nested(&splits).iter().map(|share| share.count(total)).collect();
            prop_assert_eq!(counts.iter().sum::<u64>(), total);
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }

        #[test]
        fn parts_with_different_splits_add_up(
            total in 0u64..100_000, splits in proptest::collection::vec(1u64..6, 1..6),
        ) {
            let agents = Share::WHOLE.split(splits.len() as u64);
            let counts = agents.zip(&splits).flat_map(|(agent, &workers)| agent.split(workers)).map(|share| share.count(total));
            prop_assert_eq!(counts.sum::<u64>(), total);
        }

        #[test]
        fn nth_returns_the_numbers_that_share_contains(
            total in 0u64..500, splits in proptest::collection::vec(1u64..6, 0..4), which in proptest::num::u64::ANY,
        ) {
            let shares = nested(&splits);
            let share = shares[(which % shares.len() as u64) as usize];
            let numbers: Vec<u64> = (0..share.count(total)).map(|j| share.nth(j)).collect();
            prop_assert_eq!(&numbers, &(0..total).filter(|&i| share.contains(i)).collect::<Vec<_>>());
            prop_assert!(share.nth(share.count(total)) >= total);
            prop_assert!(share.index() < share.of());
        }
    }
}
