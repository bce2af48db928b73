//! Scenarios that share a load, dealt by their weights.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::seq::SliceRandom as _;
use rand::{SeedableRng as _, rngs::SmallRng};

use super::plan::{PlanError, greatest_common_divisor};
use super::share::Share;

/// Largest sum of the weights, after division by their greatest common divisor.
const LARGEST: u64 = 1_000_000;
/// Largest number of scenarios that share a load.
pub(crate) const MOST: usize = 1000;

/// A scenario with its weight among those that share a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// Name of the scenario.
    pub name: Arc<str>,
    /// Number of its triggers among as many triggers as the sum of all weights.
    pub weight: u32,
}

/// The scenarios that share a load. Empty for a load test without scenarios.
///
/// [`Display`](fmt::Display) writes them with their weights: `browse 70, search 25, buy 5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mix(Arc<[Weighted]>);

impl Mix {
    /// Creates the mix of these scenarios. Those of weight 0 are left out.
    ///
    /// # Errors
    ///
    /// Returns an error if a name occurs twice, if no scenario has a weight, or if there are too many.
    pub fn new(scenarios: impl IntoIterator<Item = Weighted>) -> Result<Self, PlanError> {
        let all: Vec<_> = scenarios.into_iter().filter(|scenario| scenario.weight > 0).collect();
        if all.is_empty() {
            return Err("no scenario has a weight above 0: nothing would be triggered".into());
        }
        if all.len() > MOST {
            return Err(format!("more than {MOST} scenarios").into());
        }
        for (number, scenario) in all.iter().enumerate() {
            if all[..number].iter().any(|other| other.name == scenario.name) {
                return Err(format!("two scenarios have the name `{}`", scenario.name).into());
            }
        }
        let mix = Self(all.into());
        match mix.smallest_weights().sum() {
            ..=LARGEST => Ok(mix),
            size => {
                Err(format!("the weights have the sum {size}: use smaller ones, with a sum of {LARGEST} at most")
                    .into())
            }
        }
    }

    /// Creates the mix of a load that triggers one scenario only.
    #[must_use]
    pub fn of_one(name: impl Into<Arc<str>>) -> Self {
        Self([Weighted { name: name.into(), weight: 1 }].into())
    }

    /// Returns the scenarios.
    #[must_use]
    pub fn scenarios(&self) -> &[Weighted] {
        &self.0
    }

    /// Returns the name of scenario number `scenario`.
    pub(crate) fn name(&self, scenario: usize) -> Option<&Arc<str>> {
        self.0.get(scenario).map(|scenario| &scenario.name)
    }

    /// Returns the name of the scenario that all triggers have, if there is only one.
    pub(super) fn sole(&self) -> Option<&Arc<str>> {
        let [sole] = &*self.0 else { return None };
        Some(&sole.name)
    }

    /// Returns the weights, divided by their greatest common divisor.
    fn smallest_weights(&self) -> impl Iterator<Item = u64> {
        let weights = || self.0.iter().map(|scenario| u64::from(scenario.weight));
        let divisor = weights().fold(0, greatest_common_divisor).max(1);
        weights().map(move |weight| weight / divisor)
    }

    /// Returns the order of the scenarios of a member with this share of `triggers` triggers.
    pub(crate) fn deck(&self, seed: u64, share: Share, triggers: Option<u64>) -> Deck {
        let mut order = Vec::new();
        if self.0.len() > 1 {
            for (number, weight) in self.smallest_weights().enumerate() {
                order.resize(order.len() + weight as usize, number as u16);
            }
            order.shuffle(&mut SmallRng::seed_from_u64(seed));
        }
        let first = first_position(share, triggers, order.len() as u64);
        Deck { order: order.into(), first, measured: AtomicU64::new(0), others: AtomicU64::new(0) }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.sole() {
            return f.write_str(name);
        }
        for (number, Weighted { name, weight }) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {weight}")?;
        }
        Ok(())
    }
}

/// Returns the position in the order of scenarios at which a member begins.
///
/// If the number of triggers is known, members follow one another, so that together they deal exactly the order of the
/// whole run. Otherwise they are spread over the order.
fn first_position(share: Share, triggers: Option<u64>, size: u64) -> u64 {
    let (index, of) = (share.index(), share.of());
    match triggers {
        Some(all) => (all / of).saturating_mul(index).saturating_add(index.min(all % of)),
        None => (u128::from(size) * u128::from(index) / u128::from(of)) as u64,
    }
}

/// The order in which a load triggers its scenarios: the same one again and again. Any run of as many triggers as the
/// order is long therefore has each scenario exactly as often as its weight says.
#[derive(Debug)]
pub(crate) struct Deck {
    /// Numbers of the scenarios. Empty if there is only one, or none.
    order: Box<[u16]>,
    first: u64,
    /// Number of measured triggers dealt so far.
    measured: AtomicU64,
    /// Number of triggers of the warm-up dealt so far.
    others: AtomicU64,
}

impl Deck {
    /// Deals a trigger and returns the number of its scenario. Triggers of the warm-up do not change the order of the
    /// measured ones.
    pub(crate) fn deal(&self, is_measured: bool) -> usize {
        if self.order.is_empty() {
            return 0;
        }
        let dealt = if is_measured { &self.measured } else { &self.others };
        let position = self.first.wrapping_add(dealt.fetch_add(1, Relaxed)) % self.order.len() as u64;
        self.order[position as usize].into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn mix(weights: &[u32]) -> Mix {
        let weighted = |(number, &weight): (usize, &u32)| Weighted { name: format!("s{number}").into(), weight };
        Mix::new(weights.iter().enumerate().map(weighted)).unwrap()
    }

    fn counts(decks: &[Deck], scenarios: usize, triggers: impl Fn(usize) -> u64) -> Vec<u64> {
        let mut counts = vec![0; scenarios];
        for (member, deck) in decks.iter().enumerate() {
            (0..triggers(member)).for_each(|_| counts[deck.deal(true)] += 1);
        }
        counts
    }

    #[test]
    fn weights_are_dealt_exactly() {
        let mix = mix(&[70, 25, 5]);
        assert_eq!(mix.smallest_weights().sum::<u64>(), 20);
        let deck = mix.deck(7, Share::WHOLE, None);
        deck.deal(false);
        assert_eq!(counts(&[deck], 3, |_| 100), [70, 25, 5]);
        let other = mix.deck(8, Share::WHOLE, None);
        assert_ne!(mix.deck(7, Share::WHOLE, None).order, other.order, "each seed has its own order");
    }

    #[test]
    fn wrong_mix_is_an_error() {
        let wrong = |weights: &[(&str, u32)]| {
            Mix::new(weights.iter().map(|&(name, weight)| Weighted { name: name.into(), weight }))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(wrong(&[("a", 0)]), "no scenario has a weight above 0: nothing would be triggered");
        assert_eq!(wrong(&[("a", 1), ("a", 2)]), "two scenarios have the name `a`");
        assert!(wrong(&[("a", u32::MAX), ("b", 1)]).starts_with("the weights have the sum 4294967296"));
        assert!(Mix::new([Weighted { name: "a".into(), weight: u32::MAX }]).is_ok(), "its weight means nothing");
    }

    proptest::proptest! {
        #[test]
        fn any_window_of_the_sum_of_weights_is_exact(
            weights in proptest::collection::vec(1u32..30, 1..6), skipped in 0u64..100, seed in proptest::num::u64::ANY,
        ) {
            let deck = mix(&weights).deck(seed, Share::WHOLE, None);
            (0..skipped).for_each(|_| _ = deck.deal(true));
            let sum = weights.iter().map(|&weight| u64::from(weight)).sum();
            let expected: Vec<_> = weights.iter().map(|&weight| u64::from(weight)).collect();
            prop_assert_eq!(counts(&[deck], weights.len(), |_| sum), expected);
        }

        #[test]
        fn members_together_deal_as_one(
            weights in proptest::collection::vec(1u32..30, 1..6), members in 1u64..8, triggers in 1u64..2000,
        ) {
            let mix = mix(&weights);
            let shares: Vec<_> = Share::WHOLE.split(members).collect();
            let decks: Vec<_> = shares.iter().map(|share| mix.deck(3, *share, Some(triggers))).collect();
            let whole = counts(&[mix.deck(3, Share::WHOLE, Some(triggers))], weights.len(), |_| triggers);
            prop_assert_eq!(counts(&decks, weights.len(), |member| shares[member].count(triggers)), whole);
        }

        #[test]
        fn members_of_unknown_length_are_spread(members in 1u64..8, size in 8u64..1000) {
            let firsts: Vec<_> = Share::WHOLE.split(members).map(|share| first_position(share, None, size)).collect();
            prop_assert!(firsts.windows(2).all(|pair| pair[0] < pair[1]) && firsts[members as usize - 1] < size);
        }
    }
}
