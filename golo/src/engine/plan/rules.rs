//! Rules for plans: which flags go together, and the limits.

use std::time::Duration;

use super::load::stride;
use super::stage::{LONGEST, Time};
use super::{Asked, Load, Model, Plan, PlanError, Rate, Stage, Target};
use crate::engine::curve::Curve;
use crate::engine::mix::Mix;

const USERS: u64 = 25;
const MAX_USERS: u64 = 10_000;
const DURATION: Duration = Duration::from_secs(10);
const GRACEFUL_STOP: Duration = Duration::from_secs(30);
/// Maximum number of users. No machine can run more.
const MOST_USERS: u64 = 10_000_000;

/// Creates the load for options that were [checked](check).
pub(super) fn load(asked: Asked) -> Load {
    let curve = curve(&asked);
    let model = if is_open(&asked) {
        let max_users = asked.max_users.unwrap_or(MAX_USERS);
        Model::Open { rate: curve, arrivals: asked.arrivals.unwrap_or_default(), max_users }
    } else {
        Model::Closed { users: curve, pace: asked.pace }
    };
    let duration = match (asked.duration, asked.iterations) {
        _ if !asked.stages.is_empty() => Some(asked.stages.iter().map(|stage| stage.duration).sum()),
        (None, None) => Some(DURATION),
        (duration, _) => duration,
    };
    Load {
        stride: stride(peak(&model)),
        model,
        duration,
        iterations: asked.iterations,
        warm_up: asked.warm_up.unwrap_or_default(),
        graceful_stop: asked.graceful_stop.unwrap_or(GRACEFUL_STOP),
        start: Duration::ZERO,
        mix: Mix::default(),
    }
}

/// Returns the number of users with separate phases.
pub(super) fn peak(model: &Model) -> u64 {
    match model {
        Model::Closed { users, .. } => users.peak(),
        Model::Open { .. } => 1,
    }
}

/// Checks a plan of several loads.
///
/// # Errors
///
/// Returns a message that describes the problem.
pub(super) fn check_plan(plan: &Plan) -> Result<(), PlanError> {
    if plan.loads.is_empty() {
        return Err("a plan without load".into());
    }
    let mut names: Vec<_> = plan.scenarios().collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("the scenario `{}` is in two loads", pair[0]).into()),
        None => Ok(()),
    }
}

/// Checks a load that was not created from flags.
///
/// # Errors
///
/// Returns a message that describes the problem.
pub(super) fn check_load(load: &Load) -> Result<(), PlanError> {
    let (curve, highest, most) = match &load.model {
        Model::Closed { users, .. } => (users, MOST_USERS, users.peak()),
        Model::Open { rate, max_users, .. } => (rate, Rate::MAX.millionths_per_hour(), *max_users),
    };
    if most > MOST_USERS {
        return Err(format!("more than {MOST_USERS} users").into());
    }
    if curve.peak() > highest {
        return Err("a rate that is too high".into());
    }
    let zero = [load.duration, load.pace()].contains(&Some(Duration::ZERO));
    if zero || load.iterations == Some(0) || most == 0 || curve.peak() == 0 {
        return Err("a plan without load".into());
    }
    if load.duration.is_none() && load.iterations.is_none() {
        return Err("a plan without an end: it has neither a duration nor iterations".into());
    }
    let length = load.duration.unwrap_or_default().saturating_add(load.start).saturating_add(load.warm_up);
    if [Some(length), load.pace(), Some(load.graceful_stop)].into_iter().flatten().any(|time| time > LONGEST) {
        return Err("a plan that takes longer than a year".into());
    }
    Ok(())
}

/// Checks the requested options.
///
/// # Errors
///
/// Returns a message with the problem and a suggested fix.
pub(super) fn check(asked: &Asked) -> Result<(), PlanError> {
    flags_go_together(asked)?;
    within_limits(asked)?;
    asks_for_load(asked)
}

fn flags_go_together(asked: &Asked) -> Result<(), PlanError> {
    let in_users = asked.stages.iter().find(|stage| matches!(stage.target, Target::Users(_)));
    let in_rates = asked.stages.iter().find(|stage| matches!(stage.target, Target::Rate(_)));
    if asked.users.is_some() && asked.rate.is_some() {
        return Err("`--users` and `--rate` are two kinds of plan: use only one of them; \
            with `--rate`, `--max-users` limits the triggers in flight"
            .into());
    }
    if let (Some(users), Some(rate)) = (in_users, in_rates) {
        return Err(format!(
            "`--stage {users}` is in users and `--stage {rate}` is a rate: use the same unit for all stages"
        )
        .into());
    }
    if let (Some(_), Some(stage)) = (asked.users, in_rates) {
        return Err(format!(
            "`--users` cannot be combined with `--stage {stage}`, which is a rate: start from `--rate`, or use stages in users"
        ).into());
    }
    if let (Some(rate), Some(stage)) = (asked.rate, in_users) {
        return Err(format!(
            "`--rate {rate}` cannot be combined with `--stage {stage}`, which is in users: write `--stage {stage}/s`, or start from `--users`"
        ).into());
    }
    if is_open(asked) {
        if asked.pace.is_some() {
            return Err("`--pace` cannot be combined with a rate, which sets the times of starts: use `--users` with \
                `--pace`, or only the rate"
                .into());
        }
    } else {
        let open_only = [("--max-users", asked.max_users.is_some()), ("--arrivals", asked.arrivals.is_some())];
        if let Some((flag, _)) = open_only.iter().find(|(_, is_given)| *is_given) {
            return Err(format!("`{flag}` needs a rate: add `--rate 500/s`, or remove it").into());
        }
    }
    if let (Some(duration), Some(last)) = (asked.duration, asked.stages.last()) {
        let more = Stage { duration, ..*last };
        return Err(format!(
            "`--duration` cannot be combined with `--stage`: stages set the duration; to hold the last load, add `--stage {more}`"
        ).into());
    }
    Ok(())
}

fn within_limits(asked: &Asked) -> Result<(), PlanError> {
    for (flag, users) in [("--users", asked.users), ("--max-users", asked.max_users)] {
        if users.is_some_and(|users| users > MOST_USERS) {
            return Err(format!("`{flag}` is more than {MOST_USERS}").into());
        }
    }
    let too_high = |stage: &&Stage| matches!(stage.target, Target::Users(users) if users > MOST_USERS);
    if let Some(stage) = asked.stages.iter().find(too_high) {
        return Err(format!("`--stage {stage}` is more than {MOST_USERS} users").into());
    }
    for (flag, is_zero, right) in [
        ("--pace 0s", asked.pace == Some(Duration::ZERO), "remove it, and each user starts again at once"),
        ("--duration 0s", asked.duration == Some(Duration::ZERO), "use a time above 0, as in `--duration 10s`"),
        ("--iterations 0", asked.iterations == Some(0), "use 1 or more, or remove it for no limit"),
        ("--max-users 0", asked.max_users == Some(0), "no trigger could start; use 1 or more"),
    ] {
        if is_zero {
            return Err(format!("`{flag}`: {right}").into());
        }
    }
    let staged = asked.stages.iter().map(|stage| stage.duration).fold(Duration::ZERO, Duration::saturating_add);
    if staged.is_zero() && !asked.stages.is_empty() {
        return Err("the stages take no time: set a time for at least one, as in `--stage 30s:100`".into());
    }
    for (flag, time) in [("--pace", asked.pace), ("--graceful-stop", asked.graceful_stop)] {
        if time.is_some_and(|time| time > LONGEST) {
            return Err(format!("`{flag}` is longer than a year").into());
        }
    }
    let length = staged.saturating_add(asked.duration.unwrap_or_default());
    if length.saturating_add(asked.warm_up.unwrap_or_default()) > LONGEST {
        return Err("warm-up and duration take longer than a year together".into());
    }
    Ok(())
}

fn asks_for_load(asked: &Asked) -> Result<(), PlanError> {
    let (flag, right) = if is_open(asked) { ("--rate", "500/s") } else { ("--users", "25") };
    let curve = curve(asked);
    if asked.stages.is_empty() {
        return if curve.start() == 0 {
            let zero = asked.rate.map_or(Target::Users(0), Target::Rate);
            Err(format!("`{flag} {zero}` means no load: use more, as in `{flag} {right}`, or stages").into())
        } else {
            Ok(())
        };
    }
    if curve.twice_area(curve.length()) == 0 {
        return Err("the stages contain no load: set a target above 0 for at least one".into());
    }
    match asked.warm_up {
        Some(time) if !time.is_zero() && curve.whole_at(Duration::ZERO) == 0 => Err(format!(
            "`--warm-up {}` runs the opening load, but the stages start with no load: add `{flag} {right}` to start from",
            Time(time)
        ).into()),
        _ => Ok(()),
    }
}

fn is_open(asked: &Asked) -> bool {
    asked.rate.is_some() || asked.stages.iter().any(|stage| matches!(stage.target, Target::Rate(_)))
}

/// Returns the curve of users, or of rates in millionths of a start per hour.
fn curve(asked: &Asked) -> Curve {
    let start = match (asked.users, asked.rate) {
        (Some(users), _) => users,
        (None, Some(rate)) => rate.millionths_per_hour(),
        (None, None) if asked.stages.is_empty() => USERS,
        (None, None) => 0,
    };
    let stages = asked.stages.iter().map(|stage| match stage.target {
        Target::Users(users) => (stage.duration, users),
        Target::Rate(rate) => (stage.duration, rate.millionths_per_hour()),
    });
    Curve::new(start, stages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(stages: &[&str]) -> Asked {
        Asked { stages: stages.iter().map(|stage| stage.parse().unwrap()).collect(), ..Asked::default() }
    }

    #[track_caller]
    fn assert_wrong(asked: Asked, error: &str) {
        assert_eq!(Plan::new(asked).unwrap_err().to_string(), error);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn users_and_rates_do_not_mix() {
        let (users, rate) = (Some(100), Some("5/s".parse().unwrap()));
        assert_wrong(
            Asked { users, rate, ..asked(&[]) },
            "`--users` and `--rate` are two kinds of plan: use only one of them; with `--rate`, `--max-users` limits \
             the triggers in flight",
        );
        assert_wrong(
            asked(&["1s:5/s", "30s:100"]),
            "`--stage 30s:100` is in users and `--stage 1s:5/s` is a rate: use the same unit for all stages",
        );
        assert_wrong(
            Asked { users, ..asked(&["30s:100/s"]) },
            "`--users` cannot be combined with `--stage 30s:100/s`, which is a rate: start from `--rate`, or use stages in users",
        );
        assert_wrong(
            Asked { rate, ..asked(&["30s:100"]) },
            "`--rate 5/s` cannot be combined with `--stage 30s:100`, which is in users: write `--stage 30s:100/s`, or start from `--users`",
        );
    }

    #[test]
    fn flags_of_one_model_are_rejected_with_the_other() {
        let (pace, rate) = (Some(SECOND), Some("5/s".parse().unwrap()));
        let error = "`--pace` cannot be combined with a rate, which sets the times of starts: use `--users` with `--pace`, or \
            only the rate";
        assert_wrong(Asked { pace, rate, ..asked(&[]) }, error);
        assert_wrong(Asked { pace, ..asked(&["30s:100/s"]) }, error);
        assert_wrong(
            Asked { max_users: Some(5), ..asked(&[]) },
            "`--max-users` needs a rate: add `--rate 500/s`, or remove it",
        );
        assert_wrong(
            Asked { arrivals: Some(super::super::Arrivals::Constant), ..asked(&["30s:100"]) },
            "`--arrivals` needs a rate: add `--rate 500/s`, or remove it",
        );
    }

    #[test]
    fn stages_set_the_duration() {
        assert_wrong(
            Asked { duration: Some(60 * SECOND), ..asked(&["30s:100/s", "5s:50/s"]) },
            "`--duration` cannot be combined with `--stage`: stages set the duration; to hold the last load, add `--stage 1m:50/s`",
        );
        assert_wrong(
            asked(&["0s:100", "0:50"]),
            "the stages take no time: set a time for at least one, as in `--stage 30s:100`",
        );
    }

    #[test]
    fn plan_without_load_is_rejected() {
        let zero = Some("0/s".parse().unwrap());
        assert_wrong(
            Asked { users: Some(0), ..asked(&[]) },
            "`--users 0` means no load: use more, as in `--users 25`, or stages",
        );
        assert_wrong(
            Asked { rate: zero, ..asked(&[]) },
            "`--rate 0/s` means no load: use more, as in `--rate 500/s`, or stages",
        );
        let never = "the stages contain no load: set a target above 0 for at least one";
        assert_wrong(asked(&["10s:0", "5s:0"]), never);
        assert_wrong(Asked { users: Some(0), ..asked(&["10s:0"]) }, never);
        assert_wrong(Asked { users: Some(100), ..asked(&["0s:0", "10s:0"]) }, never);
        assert_wrong(asked(&["10s:0/s"]), never);
        assert!(Plan::new(Asked { users: Some(0), ..asked(&["10s:1"]) }).is_ok());
        assert!(Plan::new(Asked { rate: zero, ..asked(&["10s:1/h"]) }).is_ok());
        assert!(Plan::new(Asked { users: Some(1), ..asked(&["10s:0"]) }).is_ok());
    }

    #[test]
    fn warm_up_needs_an_opening_load() {
        let warm_up = Some(5 * SECOND);
        assert_wrong(
            Asked { warm_up, ..asked(&["30s:100"]) },
            "`--warm-up 5s` runs the opening load, but the stages start with no load: add `--users 25` to start from",
        );
        assert_wrong(
            Asked { warm_up, ..asked(&["30s:100/s"]) },
            "`--warm-up 5s` runs the opening load, but the stages start with no load: add `--rate 500/s` to start from",
        );
        assert!(Plan::new(Asked { warm_up, ..asked(&["0s:10", "30s:100"]) }).is_ok());
        assert!(Plan::new(Asked { warm_up, users: Some(1), ..asked(&["30s:100"]) }).is_ok());
        assert!(Plan::new(Asked { warm_up: Some(Duration::ZERO), ..asked(&["30s:100"]) }).is_ok());
    }

    #[test]
    fn limits_are_checked() {
        let rate = Some("5/s".parse().unwrap());
        let too_many = Some(MOST_USERS + 1);
        assert_wrong(Asked { users: too_many, ..asked(&[]) }, "`--users` is more than 10000000");
        assert_wrong(Asked { max_users: too_many, rate, ..asked(&[]) }, "`--max-users` is more than 10000000");
        assert_wrong(asked(&["5s:10000001"]), "`--stage 5s:10000001` is more than 10000000 users");
        let zero = Some(Duration::ZERO);
        assert_wrong(Asked { pace: zero, ..asked(&[]) }, "`--pace 0s`: remove it, and each user starts again at once");
        assert_wrong(
            Asked { duration: zero, ..asked(&[]) },
            "`--duration 0s`: use a time above 0, as in `--duration 10s`",
        );
        assert_wrong(
            Asked { iterations: Some(0), ..asked(&[]) },
            "`--iterations 0`: use 1 or more, or remove it for no limit",
        );
        assert_wrong(
            Asked { max_users: Some(0), rate, ..asked(&[]) },
            "`--max-users 0`: no trigger could start; use 1 or more",
        );
    }

    #[test]
    fn more_than_a_year_is_rejected() {
        let longer = Some(LONGEST + Duration::from_nanos(1));
        let too_long = "warm-up and duration take longer than a year together";
        assert_wrong(Asked { duration: longer, ..asked(&[]) }, too_long);
        assert_wrong(Asked { duration: Some(LONGEST), warm_up: Some(SECOND), ..asked(&[]) }, too_long);
        assert_wrong(asked(&["365d:1", "1s:0"]), too_long);
        assert_wrong(Asked { iterations: Some(1), warm_up: longer, ..asked(&[]) }, too_long);
        assert_wrong(Asked { duration: Some(Duration::MAX), warm_up: longer, ..asked(&[]) }, too_long);
        assert_wrong(Asked { pace: longer, ..asked(&[]) }, "`--pace` is longer than a year");
        assert_wrong(Asked { graceful_stop: longer, ..asked(&[]) }, "`--graceful-stop` is longer than a year");
        assert!(Plan::new(Asked { duration: Some(LONGEST), ..asked(&[]) }).is_ok());
    }
}
