//! The plan of a run: validates the requested options and turns them into a plan, or into an error that names the flags
//! in conflict.

mod load;
mod rate;
mod rules;
mod say;
mod scenarios;
mod stage;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::share::Share;

pub(super) use load::greatest_common_divisor;
pub use load::{Load, Model};
pub use rate::Rate;
pub(super) use rate::{TWICE_START, starts};
pub(crate) use scenarios::LONGEST_NAME;
pub use scenarios::{DeclaredScenario, ScenarioArg, ScenarioRequest, ScenarioSettings, check_name};
pub(super) use stage::LONGEST;
pub(crate) use stage::Time;
pub use stage::{Arrivals, Stage, Target, parse_duration};

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

impl Asked {
    /// Returns these options, with those that are not set taken from `below`. Options in `below` that contradict these are
    /// ignored: they belong to another load model.
    #[must_use]
    pub fn over(self, mut below: Self) -> Self {
        let stages = |is: fn(&Target) -> bool| self.stages.iter().any(|stage| is(&stage.target));
        let is_open = self.rate.is_some()
            || self.arrivals.is_some()
            || self.max_users.is_some()
            || stages(|target| matches!(target, Target::Rate(_)));
        let is_closed =
            self.users.is_some() || self.pace.is_some() || stages(|target| matches!(target, Target::Users(_)));
        if is_open {
            (below.users, below.pace) = (None, None);
            below.stages.retain(|stage| matches!(stage.target, Target::Rate(_)));
        }
        if is_closed {
            (below.rate, below.arrivals, below.max_users) = (None, None, None);
            below.stages.retain(|stage| matches!(stage.target, Target::Users(_)));
        }
        if self.duration.is_some() {
            below.stages.clear();
        }
        if !self.stages.is_empty() {
            below.duration = None;
        }
        Self {
            users: self.users.or(below.users),
            pace: self.pace.or(below.pace),
            rate: self.rate.or(below.rate),
            arrivals: self.arrivals.or(below.arrivals),
            max_users: self.max_users.or(below.max_users),
            stages: if self.stages.is_empty() { below.stages } else { self.stages },
            duration: self.duration.or(below.duration),
            iterations: self.iterations.or(below.iterations),
            warm_up: self.warm_up.or(below.warm_up),
            graceful_stop: self.graceful_stop.or(below.graceful_stop),
        }
    }

    /// Returns true if a load is asked for, and not only a duration or times around it.
    #[must_use]
    pub fn asks_for_load(&self) -> bool {
        let around = Self {
            duration: self.duration,
            warm_up: self.warm_up,
            graceful_stop: self.graceful_stop,
            ..Self::default()
        };
        *self != around
    }
}

/// A plan: one load or several, which run side by side or one after the other.
///
/// [`Display`](fmt::Display) describes it in one line: `100 users for 10s`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// At least one.
    loads: Vec<Load>,
}

/// Error for an invalid plan. [`Display`](fmt::Display) names the flags at fault and suggests a fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    message: String,
}

impl Plan {
    /// Creates a plan of one load from the requested options. The default is 25 users for 10 seconds.
    ///
    /// # Errors
    ///
    /// Returns an error if the options are in conflict, ask for no load, or exceed a limit.
    pub fn new(asked: Asked) -> Result<Self, PlanError> {
        Load::new(asked).map(Self::from)
    }

    /// Creates a plan of several loads.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none, or if two loads trigger a scenario of the same name.
    pub fn of_loads(loads: Vec<Load>) -> Result<Self, PlanError> {
        let plan = Self { loads };
        rules::check_plan(&plan)?;
        Ok(plan)
    }

    /// Returns the loads, at least one.
    #[must_use]
    pub fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// Returns the load, if there is only one.
    #[must_use]
    pub fn sole(&self) -> Option<&Load> {
        match &self.loads[..] {
            [load] => Some(load),
            _ => None,
        }
    }

    /// Returns the names of the scenarios, in the order of the loads. Empty for a load test without scenarios.
    pub fn scenarios(&self) -> impl Iterator<Item = &Arc<str>> {
        self.loads.iter().flat_map(|load| load.mix().scenarios()).map(|scenario| &scenario.name)
    }

    /// Returns a plan that is equal until `at` and has this level from then on.
    ///
    /// # Errors
    ///
    /// Returns an error if the level has the wrong unit or exceeds a limit, or if the plan has several loads.
    pub fn adjusted(&self, at: Duration, level: Target) -> Result<Self, PlanError> {
        match self.sole() {
            Some(load) => load.adjusted(at, level).map(Self::from),
            None => Err(format!("the plan has {} loads, so its load cannot be changed", self.loads.len()).into()),
        }
    }

    /// Returns the duration of the measured part, or `None` if only iterations end it.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.loads.iter().map(Load::end).try_fold(Duration::ZERO, |longest, end| Some(longest.max(end?)))
    }

    /// Returns the time before which the plan cannot end, unless its iterations are used up or it is stopped. `None` if only
    /// iterations end it.
    #[must_use]
    pub fn certain_end(&self) -> Option<Duration> {
        match self.sole() {
            Some(load) => load.end(),
            None => self.loads.iter().filter(|load| load.iterations().is_none()).filter_map(Load::end).max(),
        }
    }

    /// Returns the number of triggers of a member with this share, after which it ends.
    #[must_use]
    pub fn iterations_of(&self, share: Share) -> Option<u64> {
        self.sum(|load| match load.share(share) {
            Some(share) => load.iterations().map(|iterations| share.count(iterations)),
            None => Some(0),
        })
    }

    /// Returns the most users of a member with this share.
    #[must_use]
    pub fn peak_users_of(&self, share: Share) -> u64 {
        let peaks = self.loads.iter().filter_map(|load| Some(load.share(share)?.count(load.peak_users())));
        peaks.fold(0, u64::saturating_add)
    }

    /// Returns the total number of triggers after which the plan ends.
    #[must_use]
    pub fn iterations(&self) -> Option<u64> {
        self.sum(Load::iterations)
    }

    /// Adds up a number of each load. Returns `None` if it is unknown for one of them.
    fn sum(&self, number: impl Fn(&Load) -> Option<u64>) -> Option<u64> {
        self.loads.iter().map(number).try_fold(0u64, |sum, number| Some(sum.saturating_add(number?)))
    }

    /// Returns how long the opening load runs before the measured part.
    #[must_use]
    pub fn warm_up(&self) -> Duration {
        self.loads.iter().map(Load::warm_up).max().unwrap_or_default()
    }

    /// Returns the grace period for triggers in flight at the end.
    #[must_use]
    pub fn graceful_stop(&self) -> Duration {
        self.loads.iter().map(Load::graceful_stop).max().unwrap_or_default()
    }

    /// Returns true if each load is a rate, and false if one is a number of users.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.loads.iter().all(Load::is_open)
    }

    /// Returns the sum of the loads' maximum numbers of users.
    #[must_use]
    pub fn peak_users(&self) -> u64 {
        self.loads.iter().fold(0, |sum, load| sum.saturating_add(load.peak_users()))
    }

    /// Closed loads: returns the number of users at `t`. If all loads are open: returns the maximum number of users.
    #[must_use]
    pub fn users_at(&self, t: Duration) -> u64 {
        let is_open = self.is_open();
        let is_counted = |load: &&Load| {
            (is_open || !load.is_open()) && (self.loads.len() == 1 || load.end().is_none_or(|end| t < end))
        };
        let counted = self.loads.iter().filter(is_counted);
        counted.filter_map(|load| Some(load.users_at(t.checked_sub(load.start())?))).fold(0, u64::saturating_add)
    }

    /// Returns the number of starts per second at `t`, or `None` if users start again as soon as a trigger ends.
    #[must_use]
    pub fn rate_at(&self, t: Duration) -> Option<f64> {
        let rate = |load: &Load| match t.checked_sub(load.start()) {
            Some(t) if self.loads.len() == 1 || load.duration().is_none_or(|duration| t < duration) => load.rate_at(t),
            _ => load.rate_at(Duration::ZERO).map(|_| 0.0),
        };
        self.loads.iter().map(rate).try_fold(0.0, |sum, rate| Some(sum + rate?))
    }

    /// Returns the number of triggers to start, or `None` if it does not follow from the plan alone. It does for
    /// constant arrivals over a duration.
    #[must_use]
    pub fn planned_starts(&self) -> Option<u64> {
        self.sum(Load::planned_starts)
    }
}

impl From<Load> for Plan {
    fn from(load: Load) -> Self {
        Self { loads: vec![load] }
    }
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
    use crate::engine::curve::Curve;

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
        assert_eq!(plan.loads()[0].model(), &Model::Closed { users: Curve::constant(25), pace: None });
        assert_eq!((plan.duration(), plan.iterations()), (Some(10 * SECOND), None));
        assert_eq!((plan.warm_up(), plan.graceful_stop()), (Duration::ZERO, 30 * SECOND));
        assert_eq!((plan.is_open(), plan.peak_users(), plan.planned_starts()), (false, 25, None));
        assert_eq!((plan.rate_at(SECOND), plan.loads()[0].phase(3)), (None, Duration::ZERO));
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
        assert_eq!([0, 1, 2].map(|user| plan.loads()[0].phase(user).as_nanos()), [0, 333_333_333, 666_666_666]);
        assert_eq!(plan.rate_at(Duration::ZERO), Some(3.0));
    }
}
