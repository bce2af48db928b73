//! One-line descriptions of plans and loads for people.

use std::{fmt, time::Duration};

use super::{Arrivals, Load, Model, Plan, Rate, stage::Time};
use crate::engine::curve::Curve;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(load) = self.sole() {
            return load.fmt(f);
        }
        for (number, load) in self.loads.iter().enumerate() {
            write!(f, "{}{}: {load}", if number == 0 { "" } else { "; " }, load.mix)?;
        }
        Ok(())
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let curve = match &self.model {
            Model::Closed { users: curve, .. } | Model::Open { rate: curve, .. } => curve,
        };
        let is_staged = !curve.stages().is_empty();
        if let Some(iterations) = self.iterations {
            write!(f, "{}", counted(iterations, "iteration"))?;
            f.write_str(match (is_staged, self.is_open()) {
                (true, _) => " in ",
                (false, true) => " at ",
                (false, false) => " by ",
            })?;
        }
        if is_staged {
            self.stages(curve, f)?
        } else {
            f.write_str(&self.load(curve.start()))?
        }
        match self.model {
            Model::Open { arrivals: Arrivals::Poisson, .. } => f.write_str(" (poisson)")?,
            Model::Closed { pace: Some(pace), .. } => write!(f, ", one start each {}", Time(pace))?,
            _ => {}
        }
        if let Some(duration) = self.duration.filter(|_| !is_staged) {
            let comma = if matches!(self.model, Model::Closed { pace: Some(_), .. }) { "," } else { "" };
            let at_most = if self.iterations.is_some() { "at most " } else { "" };
            write!(f, "{comma} for {at_most}{}", Time(duration))?;
        }
        if let Model::Open { max_users, .. } = self.model {
            write!(f, ", at most {max_users} in flight")?;
        }
        if !self.warm_up.is_zero() {
            write!(f, ", after a warm-up of {}", Time(self.warm_up))?;
        }
        if !self.start.is_zero() {
            write!(f, ", from {} on", Time(self.start))?;
        }
        Ok(())
    }
}

impl Plan {
    /// Returns the time of the last [change](Self::adjusted) of this plan, since the start of the measured part, and its
    /// load from then on, such as `20 users`. Returns `None` for a plan with several loads, which cannot be changed.
    #[must_use]
    pub fn last_change(&self) -> Option<(Duration, String)> {
        let load = self.sole()?;
        let curve = load.curve();
        let level = curve.stages().last().map_or(curve.start(), |stage| stage.1);
        Some((curve.length(), load.load(level)))
    }
}

impl Load {
    fn stages(&self, curve: &Curve, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_open() {
            true => write!(f, "stages {}", self.load(curve.start()))?,
            false => write!(f, "stages {}", curve.start())?,
        }
        curve.stages().iter().try_for_each(|&(time, target)| write!(f, " → {} in {}", self.load(target), Time(time)))
    }

    /// Formats one value of the load's curve.
    fn load(&self, value: u64) -> String {
        if self.is_open() { Rate::new(value).unwrap_or(Rate::MAX).to_string() } else { counted(value, "user") }
    }
}

fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Target};
    use super::*;

    #[test]
    fn plan_is_described_in_one_line() {
        let rate = |text: &str| Some(text.parse().unwrap());
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let stages = |text: &str| text.split(',').map(|stage| stage.parse().unwrap()).collect();
        let nothing = Asked::default;
        for (said, asked) in [
            ("25 users for 10s", nothing()),
            ("1 user for 1m30s", Asked { users: Some(1), duration: seconds(90), ..nothing() }),
            ("25 users, one start each 1s, for 30s", Asked { pace: seconds(1), duration: seconds(30), ..nothing() }),
            (
                "500/s for 1m, at most 10000 in flight",
                Asked { rate: rate("500/s"), duration: seconds(60), ..nothing() },
            ),
            (
                "1.5/m (poisson) for 10s, at most 1 in flight",
                Asked { rate: rate("90/h"), arrivals: Some(Arrivals::Poisson), max_users: Some(1), ..nothing() },
            ),
            ("stages 0 → 100 users in 30s → 0 users in 10s", Asked { stages: stages("30s:100,10s:0"), ..nothing() }),
            (
                "stages 10/s → 100/s in 30s → 100/s in 1m, at most 10000 in flight, after a warm-up of 5s",
                Asked { rate: rate("10/s"), stages: stages("30s:100/s,1m:100/s"), warm_up: seconds(5), ..nothing() },
            ),
            (
                "stages 5 → 1 user in 30s, one start each 2s",
                Asked { users: Some(5), stages: stages("30s:1"), pace: seconds(2), ..nothing() },
            ),
            ("1000 iterations by 25 users", Asked { iterations: Some(1000), ..nothing() }),
            (
                "1 iteration by 25 users, one start each 1s, for at most 10s",
                Asked { iterations: Some(1), pace: seconds(1), duration: seconds(10), ..nothing() },
            ),
            (
                "1000 iterations at 500/s, at most 10000 in flight",
                Asked { iterations: Some(1000), rate: rate("500/s"), ..nothing() },
            ),
            (
                "1000 iterations in stages 0 → 100 users in 30s",
                Asked { iterations: Some(1000), stages: stages("30s:100"), ..nothing() },
            ),
        ] {
            assert_eq!(Plan::new(asked).unwrap().to_string(), said);
        }
    }

    #[test]
    fn last_change_has_its_time_and_its_level() {
        let plan = |asked| Plan::new(asked).unwrap();
        let change = |plan: &Plan, at, level| {
            let changed = plan.adjusted(Duration::from_millis(at), level).unwrap();
            let (time, load) = changed.last_change().unwrap();
            assert_eq!(time, Duration::from_millis(at));
            (changed, load)
        };
        let closed = plan(Asked { stages: vec!["10s:100".parse().unwrap()], ..Asked::default() });
        let (once, load) = change(&closed, 2_500, Target::Users(20));
        assert_eq!(load, "20 users");
        assert_eq!(change(&once, 2_500, Target::Users(1)).1, "1 user");
        assert_eq!(change(&once, 30_000, Target::Users(0)).1, "0 users");
        let open = plan(Asked { rate: Some("5/s".parse().unwrap()), ..Asked::default() });
        assert_eq!(change(&open, 0, Target::Rate("90/m".parse().unwrap())).1, "1.5/s");
    }
}
