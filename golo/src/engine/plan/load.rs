//! One load of a plan: users or a rate over time, and the scenarios that share it.

use std::time::Duration;

use super::{Arrivals, Asked, PlanError, Rate, Target, rate, rules, starts};
use crate::engine::curve::Curve;
use crate::engine::mix::Mix;
use crate::engine::share::Share;

/// A load: users or a rate at each time since its start, its duration, and the scenarios that it triggers.
///
/// [`Display`](std::fmt::Display) describes it in one line: `100 users for 10s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub(super) model: Model,
    pub(super) duration: Option<Duration>,
    pub(super) iterations: Option<u64>,
    pub(super) warm_up: Duration,
    pub(super) graceful_stop: Duration,
    /// Distance between the phases of neighbouring users: see [`stride`].
    pub(super) stride: u64,
    /// Time from the start of the run's measured part to the start of this load.
    pub(super) start: Duration,
    pub(super) mix: Mix,
}

/// Load model.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// Closed model: a number of users, each of which starts its next trigger when the last one ends, or once per pace.
    Closed {
        /// Number of users over time.
        users: Curve,
        /// Time between two starts of each user.
        pace: Option<Duration>,
    },
    /// Open model: triggers start at a rate, independently of the target.
    Open {
        /// Rate over time, in [millionths of a start per hour](super::Rate::millionths_per_hour).
        rate: Curve,
        /// Spacing of the starts.
        arrivals: Arrivals,
        /// Maximum number of triggers in flight.
        max_users: u64,
    },
}

impl Load {
    /// Creates a load from the requested options. The default is 25 users for 10 seconds.
    ///
    /// # Errors
    ///
    /// Returns an error if the options are in conflict, ask for no load, or exceed a limit.
    pub fn new(asked: Asked) -> Result<Self, PlanError> {
        rules::check(&asked)?;
        Ok(rules::load(asked))
    }

    /// Creates a load of this model.
    ///
    /// # Errors
    ///
    /// Returns an error if it has no end, asks for no load, or exceeds a limit.
    pub(crate) fn of_model(
        model: Model,
        duration: Option<Duration>,
        iterations: Option<u64>,
        warm_up: Duration,
        graceful_stop: Duration,
    ) -> Result<Self, PlanError> {
        let stride = stride(rules::peak(&model));
        let (start, mix) = (Duration::ZERO, Mix::default());
        let load = Self { model, duration, iterations, warm_up, graceful_stop, stride, start, mix };
        rules::check_load(&load)?;
        Ok(load)
    }

    /// Returns the same load, starting at `start` of the measured part and triggering the scenarios of `mix`. A load that
    /// starts later has no warm-up.
    ///
    /// # Errors
    ///
    /// Returns an error if the load ends too late.
    pub fn of_scenarios(mut self, start: Duration, mix: Mix) -> Result<Self, PlanError> {
        if !start.is_zero() {
            self.warm_up = Duration::ZERO;
        }
        (self.start, self.mix) = (start, mix);
        rules::check_load(&self)?;
        Ok(self)
    }

    /// Returns a load that is equal until `at` and has this level from then on.
    ///
    /// # Errors
    ///
    /// Returns an error if the level has the wrong unit or exceeds a limit.
    pub fn adjusted(&self, at: Duration, level: Target) -> Result<Self, PlanError> {
        let wrong = |right: &str| PlanError { message: format!("`{level}` is in the wrong unit: {right}") };
        let mut model = self.model.clone();
        match (&mut model, level) {
            (Model::Closed { users, .. }, Target::Users(level)) => *users = users.level_from(at, level.min(MANY)),
            (Model::Open { rate, .. }, Target::Rate(level)) => *rate = rate.level_from(at, level.millionths_per_hour()),
            (Model::Closed { .. }, Target::Rate(_)) => return Err(wrong("the plan is in users, so use users")),
            (Model::Open { .. }, Target::Users(_)) => {
                return Err(wrong("the plan is a rate, so use a rate, as in 500/s"));
            }
        }
        // The stride stays the same, so that existing users keep their phases.
        let load = Self { model, ..self.clone() };
        rules::check_load(&load)?;
        Ok(load)
    }

    /// Returns the number of users, or the rate, over time.
    #[must_use]
    pub fn curve(&self) -> &Curve {
        match &self.model {
            Model::Closed { users, .. } => users,
            Model::Open { rate, .. } => rate,
        }
    }

    /// Returns the load model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the duration from the load's start, or `None` if only iterations end it.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Returns the total number of triggers after which the load ends.
    #[must_use]
    pub fn iterations(&self) -> Option<u64> {
        self.iterations
    }

    /// Returns how long the opening load runs before the measured part.
    #[must_use]
    pub fn warm_up(&self) -> Duration {
        self.warm_up
    }

    /// Returns the grace period for triggers in flight at the end.
    #[must_use]
    pub fn graceful_stop(&self) -> Duration {
        self.graceful_stop
    }

    /// Returns the time from the start of the measured part to the start of this load.
    #[must_use]
    pub fn start(&self) -> Duration {
        self.start
    }

    /// Returns the end of the load, counted from the start of the measured part, or `None` if only iterations end it.
    #[must_use]
    pub fn end(&self) -> Option<Duration> {
        self.duration.map(|duration| self.start + duration)
    }

    /// Returns the scenarios that the load triggers.
    #[must_use]
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// Returns the share of a member of a run, among the members that have something to do: each needs a user and a
    /// trigger. Returns `None` for the others.
    #[must_use]
    pub fn share(&self, share: Share) -> Option<Share> {
        let most = self.peak_users().min(self.iterations.unwrap_or(u64::MAX)).max(1);
        if share.of() <= most { Some(share) } else { Share::new(share.index(), most) }
    }

    /// Returns the time between two starts of each user, if it is set.
    pub(super) fn pace(&self) -> Option<Duration> {
        match self.model {
            Model::Closed { pace, .. } => pace,
            Model::Open { .. } => None,
        }
    }

    /// Returns true if the load is a rate, and false if it is the number of users.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.model, Model::Open { .. })
    }

    /// Returns true if users start again as soon as they are done.
    #[must_use]
    pub fn is_unpaced(&self) -> bool {
        matches!(self.model, Model::Closed { pace: None, .. })
    }

    /// Returns the maximum number of users at any time.
    #[must_use]
    pub fn peak_users(&self) -> u64 {
        match &self.model {
            Model::Closed { users, .. } => users.peak(),
            Model::Open { max_users, .. } => *max_users,
        }
    }

    /// Closed model: returns the number of users at `t`. Open model: returns the maximum number of users.
    #[must_use]
    pub fn users_at(&self, t: Duration) -> u64 {
        match &self.model {
            Model::Closed { users, .. } => users.whole_at(t),
            Model::Open { max_users, .. } => *max_users,
        }
    }

    /// Returns the number of starts per second at `t`, or `None` if users start again as soon as a trigger ends.
    #[must_use]
    pub fn rate_at(&self, t: Duration) -> Option<f64> {
        match &self.model {
            Model::Closed { users, pace } => pace.map(|pace| users.whole_at(t) as f64 / pace.as_secs_f64()),
            Model::Open { rate, .. } => Some(rate::per_second(rate.at(t))),
        }
    }

    /// Returns the level of the load at `t`, as a target to which a load can be changed.
    #[must_use]
    pub fn level_at(&self, t: Duration) -> Target {
        match &self.model {
            Model::Closed { users, .. } => Target::Users(users.whole_at(t)),
            // A rate between two that are allowed is allowed too.
            Model::Open { rate, .. } => Target::Rate(Rate::new(rate.at(t).round() as u64).unwrap_or(Rate::MAX)),
        }
    }

    /// Returns the number of triggers to start, or `None` if it does not follow from the plan alone. It does for
    /// constant arrivals over a duration.
    #[must_use]
    pub fn planned_starts(&self) -> Option<u64> {
        match (&self.model, self.duration) {
            (Model::Open { rate, arrivals: Arrivals::Constant, .. }, Some(duration)) => {
                Some(starts(rate.twice_area(duration)).min(self.iterations.unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    }

    /// Returns the offset of a user's starts within the pace, or zero if the load has no pace.
    ///
    /// All users of the load are spread evenly over one pace. The first few of them are spread almost evenly, and so
    /// are users beyond the peak, who join when the load is adjusted.
    #[must_use]
    pub fn phase(&self, user: u64) -> Duration {
        match &self.model {
            Model::Closed { users, pace: Some(pace) } => phase(*pace, user, users.peak(), self.stride),
            _ => Duration::ZERO,
        }
    }
}

/// A number of users above the limit of any plan.
const MANY: u64 = 1 << 56;

/// Returns the offset of a user among `users` within one pace, in whole nanoseconds.
fn phase(pace: Duration, user: u64, users: u64, stride: u64) -> Duration {
    let users = users.max(1);
    if user >= users {
        // The golden ratio times the user's number, as a fraction of a pace in 2⁶⁴ths.
        let place = u128::from(user.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        return Duration::from_nanos(((pace.as_nanos() * place) >> 64) as u64);
    }
    let place = u128::from(user % users) * u128::from(stride) % u128::from(users);
    // Fits, since a pace is at most a year.
    Duration::from_nanos((pace.as_nanos() * place / u128::from(users)) as u64)
}

/// Returns the distance between the places of two neighbouring users. It is near the golden ratio of all places, so
/// that no gap is much longer than the others, however many users there are so far. It has no divisor in common with
/// `users`, so that each user has its own place.
pub(super) fn stride(users: u64) -> u64 {
    const GOLDEN_SECTION: f64 = 0.618_033_988_749_894_9;
    let near = (users as f64 * GOLDEN_SECTION) as u64;
    (near..users).find(|&stride| greatest_common_divisor(stride, users) == 1).unwrap_or(1)
}

pub(in crate::engine) fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    proptest::proptest! {
        #[test]
        fn phases_are_evenly_spaced_within_the_pace(users in 1..500u64, pace in 1000..u64::MAX >> 9) {
            let pace = Duration::from_nanos(pace);
            let mut phases: Vec<_> = (0..users).map(|user| phase(pace, user, users, stride(users)).as_nanos()).collect();
            phases.sort_unstable();
            let even = (0..users).map(|place| pace.as_nanos() * u128::from(place) / u128::from(users));
            proptest::prop_assert!(even.eq(phases));
        }

        #[test]
        fn users_beyond_the_peak_are_spread(users in 1..1000u64, more in 2..50u64) {
            let joined = users..users + more;
            let mut phases: Vec<_> = joined.map(|user| phase(SECOND, user, users, stride(users)).as_secs_f64()).collect();
            phases.sort_by(f64::total_cmp);
            phases.push(phases[0] + 1.0);
            let longest = phases.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            proptest::prop_assert!(longest * (more as f64) < 3.0 && phases[more as usize - 1] < 1.0, "{longest} between {more}");
        }

        #[test]
        fn first_few_of_many_users_are_spread(users in 500..1_000_000u64, first in 2..50u64) {
            let mut phases: Vec<_> = (0..first).map(|user| phase(SECOND, user, users, stride(users)).as_secs_f64()).collect();
            phases.push(1.0);
            phases.sort_by(f64::total_cmp);
            let longest = phases.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
            // The worst case is 49 of 780 users: the next stride without a common divisor is far from the golden ratio.
            proptest::prop_assert!(longest * (first as f64) < 5.0, "{longest} between {first}");
        }
    }
}
