//! The plan of a run: validates the requested options and turns them into a plan, or into an error that names the flags
//! in conflict.

mod rate;
mod rules;
mod say;
mod stage;

use std::{fmt, time::Duration};

pub use rate::Rate;
pub(super) use rate::{TWICE_START, starts};
pub(super) use stage::LONGEST;
pub(crate) use stage::Time;
pub use stage::{Arrivals, Stage, Target, parse_duration};

use super::curve::Curve;

/// Requested options, merged from flags, environment and file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// `--users`
    pub users: Option<u64>,
    /// `--pace`
    pub pace: Option<Duration>,
    /// `--rate`
    pub rate: Option<Rate>,
    /// `--arrivals`
    pub arrivals: Option<Arrivals>,
    /// `--max-users`
    pub max_users: Option<u64>,
    /// Each `--stage`
    pub stages: Vec<Stage>,
    /// `--duration`
    pub duration: Option<Duration>,
    /// `--iterations`
    pub iterations: Option<u64>,
    /// `--warm-up`
    pub warm_up: Option<Duration>,
    /// `--graceful-stop`
    pub graceful_stop: Option<Duration>,
}

/// A plan: the load at each time since the start of the measured part, and its duration.
///
/// [`Display`](fmt::Display) describes it in one line: `100 users for 10s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    model: Model,
    duration: Option<Duration>,
    iterations: Option<u64>,
    warm_up: Duration,
    graceful_stop: Duration,
    /// Distance between the phases of neighbouring users: see [`stride`].
    stride: u64,
}

/// Load model of a plan.
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
        /// Rate over time, in [millionths of a start per hour](Rate::millionths_per_hour).
        rate: Curve,
        /// Spacing of the starts.
        arrivals: Arrivals,
        /// Maximum number of triggers in flight.
        max_users: u64,
    },
}

/// Error for an invalid plan. [`Display`](fmt::Display) names the flags at fault and suggests a fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    message: String,
}

impl Plan {
    /// Creates a plan from the requested options. The default is 25 users for 10 seconds.
    ///
    /// # Errors
    ///
    /// Returns an error if the options are in conflict, ask for no load, or exceed a limit.
    pub fn new(asked: Asked) -> Result<Self, PlanError> {
        rules::check(&asked)?;
        Ok(rules::plan(asked))
    }

    /// Creates a plan of this model.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan has no end, asks for no load, or exceeds a limit.
    pub(crate) fn of_model(
        model: Model,
        duration: Option<Duration>,
        iterations: Option<u64>,
        warm_up: Duration,
        graceful_stop: Duration,
    ) -> Result<Self, PlanError> {
        let plan = Self { stride: stride(rules::peak(&model)), model, duration, iterations, warm_up, graceful_stop };
        rules::check_plan(&plan)?;
        Ok(plan)
    }

    /// Returns a plan that is equal until `at` and has this level from then on.
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
        let stride = self.stride;
        Ok(Self { stride, ..Self::of_model(model, self.duration, self.iterations, self.warm_up, self.graceful_stop)? })
    }

    /// Returns the number of users, or the rate, over time.
    pub(super) fn curve(&self) -> &Curve {
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

    /// Returns the duration of the measured part, or `None` if only iterations end it.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// Returns the total number of triggers after which the plan ends.
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

    /// Returns the time between two starts of each user, if it is set.
    fn pace(&self) -> Option<Duration> {
        match self.model {
            Model::Closed { pace, .. } => pace,
            Model::Open { .. } => None,
        }
    }

    /// Returns true if the plan sets the rate, and false if it sets the number of users.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.model, Model::Open { .. })
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

    /// Returns the offset of a user's starts within the pace, or zero if the plan has no pace.
    ///
    /// All users of the plan are spread evenly over one pace. The first few of them are spread almost evenly, and so
    /// are users beyond the peak, who join when the plan is adjusted.
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
fn stride(users: u64) -> u64 {
    const GOLDEN_SECTION: f64 = 0.618_033_988_749_894_9;
    let near = (users as f64 * GOLDEN_SECTION) as u64;
    (near..users).find(|&stride| greatest_common_divisor(stride, users) == 1).unwrap_or(1)
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PlanError {}

impl From<String> for PlanError {
    fn from(message: String) -> Self {
        Self { message }
    }
}

impl From<&str> for PlanError {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn stages(text: &str) -> Vec<Stage> {
        text.split(',').map(|stage| stage.parse().unwrap()).collect()
    }

    fn rate(text: &str) -> Option<Rate> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn default_plan_is_25_users_for_10_seconds() {
        let plan = Plan::new(Asked::default()).unwrap();
        assert_eq!(plan.model(), &Model::Closed { users: Curve::constant(25), pace: None });
        assert_eq!((plan.duration(), plan.iterations()), (Some(10 * SECOND), None));
        assert_eq!((plan.warm_up(), plan.graceful_stop()), (Duration::ZERO, 30 * SECOND));
        assert_eq!((plan.is_open(), plan.peak_users(), plan.planned_starts()), (false, 25, None));
        assert_eq!((plan.rate_at(SECOND), plan.phase(3)), (None, Duration::ZERO));
    }

    #[test]
    fn iterations_need_no_duration() {
        let plan = Plan::new(Asked { iterations: Some(1000), ..Asked::default() }).unwrap();
        assert_eq!((plan.duration(), plan.iterations()), (None, Some(1000)));
        let plan = Plan::new(Asked { iterations: Some(9), duration: Some(SECOND), ..Asked::default() }).unwrap();
        assert_eq!((plan.duration(), plan.iterations()), (Some(SECOND), Some(9)));
    }

    #[test]
    fn stages_set_the_duration_and_start_from_zero_or_a_given_load() {
        let plan = Plan::new(Asked { stages: stages("10s:100,5s:0"), ..Asked::default() }).unwrap();
        assert_eq!((plan.duration(), plan.peak_users()), (Some(15 * SECOND), 100));
        assert_eq!([0, 5, 15].map(|second| plan.users_at(second * SECOND)), [0, 50, 0]);

        let plan = Plan::new(Asked { rate: rate("60/m"), stages: stages("10s:2/s"), ..Asked::default() }).unwrap();
        assert_eq!((plan.duration(), plan.is_open(), plan.peak_users()), (Some(10 * SECOND), true, 10_000));
        assert!((plan.rate_at(5 * SECOND).unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(plan.planned_starts(), Some(15));
        let limited = Plan::new(Asked { iterations: Some(7), stages: stages("10s:2/s"), ..Asked::default() });
        assert_eq!(limited.unwrap().planned_starts(), Some(7));
    }

    #[test]
    fn poisson_plan_has_no_planned_number_of_starts() {
        let asked = Asked { rate: rate("100/s"), ..Asked::default() };
        assert_eq!(Plan::new(asked.clone()).unwrap().planned_starts(), Some(1000));
        let poisson = Plan::new(Asked { arrivals: Some(Arrivals::Poisson), ..asked });
        assert_eq!(poisson.unwrap().planned_starts(), None);
    }

    #[test]
    fn paced_users_spread_over_the_first_pace() {
        let plan = Plan::new(Asked { users: Some(3), pace: Some(SECOND), ..Asked::default() }).unwrap();
        assert_eq!([0, 1, 2].map(|user| plan.phase(user).as_nanos()), [0, 333_333_333, 666_666_666]);
        assert_eq!(plan.rate_at(Duration::ZERO), Some(3.0));
    }

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
