//! Plans and their shares.

use std::time::Duration;

use super::WireError;
use crate::engine::curve::Curve;
use crate::engine::mix::{Mix, Weighted};
use crate::engine::plan::{Arrivals, Load, Model, Plan, PlanError};
use crate::metrics::output::nanoseconds;
use crate::pb::engine as pb;
use crate::pb::engine::load::Model as Written;
use crate::user::share::Share;

impl From<&Plan> for pb::Load {
    fn from(plan: &Plan) -> Self {
        let mut loads = plan.loads().iter().map(write);
        let first = loads.next().unwrap_or_default();
        Self { beside: loads.collect(), ..first }
    }
}

impl TryFrom<&pb::Load> for Plan {
    type Error = WireError;

    fn try_from(written: &pb::Load) -> Result<Self, WireError> {
        let loads = std::iter::once(written).chain(&written.beside).map(read).collect::<Result<_, _>>()?;
        Self::of_loads(loads).map_err(wrong)
    }
}

fn wrong(error: PlanError) -> WireError {
    WireError::new(error.to_string())
}

fn write(load: &Load) -> pb::Load {
    let model = match load.model() {
        Model::Closed { users, pace } => {
            Written::Closed(pb::Closed { users: Some(users.into()), pace: pace.map(nanoseconds) })
        }
        Model::Open { rate, arrivals, max_users } => {
            let arrivals = match arrivals {
                Arrivals::Constant => pb::Arrivals::Constant,
                Arrivals::Poisson => pb::Arrivals::Poisson,
            };
            Written::Open(pb::Open { rate: Some(rate.into()), arrivals: arrivals.into(), max_users: *max_users })
        }
    };
    let scenario =
        |scenario: &Weighted| pb::WeightedScenario { name: scenario.name.to_string(), weight: scenario.weight };
    pb::Load {
        model: Some(model),
        duration: load.duration().map(nanoseconds),
        iterations: load.iterations(),
        warm_up: nanoseconds(load.warm_up()),
        graceful_stop: nanoseconds(load.graceful_stop()),
        start: nanoseconds(load.start()),
        scenarios: load.mix().scenarios().iter().map(scenario).collect(),
        beside: Vec::new(),
    }
}

fn read(written: &pb::Load) -> Result<Load, WireError> {
    let curve = |written: &Option<pb::Curve>| match written {
        Some(written) => curve(written),
        None => Err(WireError::missing("curve of the load")),
    };
    let model = match written.model.as_ref().ok_or_else(|| WireError::missing("model of the load"))? {
        Written::Closed(closed) => {
            Model::Closed { users: curve(&closed.users)?, pace: closed.pace.map(Duration::from_nanos) }
        }
        Written::Open(open) => {
            let arrivals = match pb::Arrivals::try_from(open.arrivals) {
                Ok(pb::Arrivals::Constant) => Arrivals::Constant,
                Ok(pb::Arrivals::Poisson) => Arrivals::Poisson,
                Err(_) => return Err(WireError::new(format!("arrivals of an unknown kind, {}", open.arrivals))),
            };
            Model::Open { rate: curve(&open.rate)?, arrivals, max_users: open.max_users }
        }
    };
    let time = Duration::from_nanos;
    let (warm_up, graceful_stop) = (time(written.warm_up), time(written.graceful_stop));
    let load = Load::of_model(model, written.duration.map(time), written.iterations, warm_up, graceful_stop);
    let mix = match written.scenarios.is_empty() {
        true => Mix::default(),
        false => Mix::new(written.scenarios.iter().map(scenario)).map_err(wrong)?,
    };
    load.and_then(|load| load.of_scenarios(time(written.start), mix)).map_err(wrong)
}

fn scenario(written: &pb::WeightedScenario) -> Weighted {
    Weighted { name: written.name.as_str().into(), weight: written.weight }
}

impl From<&Curve> for pb::Curve {
    fn from(curve: &Curve) -> Self {
        let stage = |&(duration, target): &(Duration, u64)| pb::Stage { duration: nanoseconds(duration), target };
        Self { start: curve.start(), stages: curve.stages().iter().map(stage).collect() }
    }
}

fn curve(written: &pb::Curve) -> Result<Curve, WireError> {
    let stages = written.stages.iter().map(|stage| (Duration::from_nanos(stage.duration), stage.target));
    Curve::checked(written.start, stages).ok_or_else(|| WireError::new("a curve that is too long or too high"))
}

impl From<Share> for pb::Share {
    fn from(share: Share) -> Self {
        Self { index: share.index(), of: share.of() }
    }
}

impl TryFrom<&pb::Share> for Share {
    type Error = WireError;

    fn try_from(written: &pb::Share) -> Result<Self, WireError> {
        let pb::Share { index, of } = *written;
        Self::new(index, of).ok_or_else(|| WireError::new(format!("the share {index} of {of}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::{Asked, Rate};

    #[test]
    fn written_plan_reads_as_equal() {
        let stages = |stages: &str| stages.split(',').map(|stage| stage.parse().unwrap()).collect();
        let rate: Rate = "0.7/h".parse().unwrap();
        for asked in [
            Asked::default(),
            Asked { users: Some(3), pace: Some(Duration::from_millis(70)), iterations: Some(9), ..Asked::default() },
            Asked { rate: Some(rate), arrivals: Some(Arrivals::Poisson), max_users: Some(7), ..Asked::default() },
            Asked {
                users: Some(3),
                stages: stages("10s:7,0s:9,1m:0"),
                warm_up: Some(Duration::from_secs(3)),
                ..Asked::default()
            },
            Asked { stages: stages("10s:7/s,1m:50/m"), graceful_stop: Some(Duration::ZERO), ..Asked::default() },
        ] {
            let plan = Plan::new(asked).unwrap();
            assert_eq!(Plan::try_from(&pb::Load::from(&plan)).unwrap(), plan);
        }
        let share = Share::WHOLE.split(3).nth(2).unwrap();
        assert_eq!(Share::try_from(&pb::Share::from(share)), Ok(share));
    }

    #[test]
    fn invalid_plan_is_an_error() {
        let wrong = |load: pb::Load| Plan::try_from(&load).unwrap_err().to_string();
        assert_eq!(wrong(pb::Load::default()), "no model of the load");
        let closed = |start, stages| {
            let users = Some(pb::Curve { start, stages });
            pb::Load { model: Some(Written::Closed(pb::Closed { users, pace: None })), ..pb::Load::default() }
        };
        assert_eq!(wrong(closed(u64::MAX, Vec::new())), "a curve that is too long or too high");
        let long = pb::Stage { duration: u64::MAX, target: 1 };
        assert_eq!(wrong(closed(1, vec![long; 3])), "a curve that is too long or too high");
        assert_eq!(wrong(closed(1, Vec::new())), "a plan without an end: it has neither a duration nor iterations");
        let ends = |load: pb::Load| pb::Load { duration: Some(1), ..load };
        assert_eq!(wrong(ends(closed(10_000_001, Vec::new()))), "more than 10000000 users");
        assert_eq!(Share::try_from(&pb::Share { index: 3, of: 3 }).unwrap_err().to_string(), "the share 3 of 3");
    }
}
