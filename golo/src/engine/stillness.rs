//! Runs that only their iterations end, and in which nothing moves any more.

use std::time::Duration;

use super::plan::{Arrivals, Load, Model, Plan};

/// Time after which a run without a duration ends if nothing has moved. It is well above the time limit of a request.
pub(super) const STILL: Duration = Duration::from_secs(300);
/// Number of average gaps that hardly ever pass between two random starts.
const RARE_GAP: f64 = 10.0;

/// Returns the time after which a run of `plan` is stuck if nothing moves, `elapsed` after its start. Returns `None` if
/// the plan has an end anyway, or if it waits for a change of its load.
///
/// The time is longer than [`STILL`] if the next start may be due later.
pub(super) fn limit(plan: &Plan, elapsed: Duration) -> Option<Duration> {
    if plan.duration().is_some() {
        return None;
    }
    let longest = plan.loads().iter().filter_map(|load| longest_gap(load, elapsed)).max()?;
    Some(STILL.saturating_add(longest))
}

/// Returns the longest time between two starts of a load, and before the first. Returns `None` if it starts nothing.
fn longest_gap(load: &Load, elapsed: Duration) -> Option<Duration> {
    let time = elapsed.saturating_sub(load.start());
    let gap = match load.model() {
        Model::Closed { pace, .. } => (load.users_at(time) > 0).then(|| pace.unwrap_or_default())?,
        Model::Open { arrivals, .. } => {
            let rate = load.rate_at(time).filter(|rate| *rate > 0.0)?;
            let gaps = if *arrivals == Arrivals::Poisson { RARE_GAP } else { 1.0 };
            Duration::try_from_secs_f64(gaps / rate).unwrap_or(Duration::MAX)
        }
    };
    Some(gap.saturating_add(load.start().saturating_sub(elapsed)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::Context;
    use crate::engine::mix::Mix;
    use crate::engine::plan::{Asked, Target};
    use crate::engine::share::Share;
    use crate::engine::trigger::{Outcome, Trigger};
    use crate::engine::{Engine, Options, Sinks};

    /// Triggers that never return.
    struct Endless;

    impl Trigger for Endless {
        type User = ();

        fn has_users(&self) -> bool {
            false
        }

        fn prepare(&self) -> Result<(), String> {
            Ok(())
        }

        async fn start(&self, _: &Context, _: &Mix) -> Result<(), String> {
            Ok(())
        }

        async fn trigger(&self, _: Context, (): &mut (), _: bool) -> Outcome {
            std::future::pending().await
        }

        async fn stop(&self, (): ()) {}
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(asked: Asked) -> Plan {
        Plan::new(Asked { iterations: Some(9), ..asked }).unwrap()
    }

    #[test]
    fn only_a_run_without_a_duration_can_be_stuck() {
        let users = plan(Asked { users: Some(2), ..Asked::default() });
        assert_eq!(limit(&users, SECOND), Some(STILL));
        let timed = plan(Asked { users: Some(2), duration: Some(3600 * SECOND), ..Asked::default() });
        assert_eq!(limit(&timed, SECOND), None);
    }

    #[test]
    fn next_start_may_be_due_later() {
        let paced = plan(Asked { users: Some(2), pace: Some(900 * SECOND), ..Asked::default() });
        assert_eq!(limit(&paced, SECOND), Some(STILL + 900 * SECOND));
        let rate = |arrivals| plan(Asked { rate: Some("6/h".parse().unwrap()), arrivals, ..Asked::default() });
        assert_eq!(limit(&rate(None), SECOND), Some(STILL + 600 * SECOND));
        assert_eq!(limit(&rate(Some(Arrivals::Poisson)), SECOND), Some(STILL + 6000 * SECOND));
    }

    #[test]
    fn load_of_zero_waits_for_a_change() {
        let users = plan(Asked { users: Some(2), ..Asked::default() });
        let stopped = users.adjusted(SECOND, Target::Users(0)).unwrap();
        assert_eq!(limit(&stopped, 2 * SECOND), None);
    }

    #[tokio::test]
    async fn run_whose_triggers_never_return_is_given_up() {
        let plan = plan(Asked { users: Some(2), ..Asked::default() });
        let options = Options { job_name: "shop".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let mut engine = Engine::start(Arc::new(Endless), plan, options, Sinks::new(Vec::new())).unwrap();
        assert_eq!(engine.ready().await, Some(2));
        while engine.next().await.unwrap().second.triggers.due == 0 {}
        // As if it had been so for almost all of the time.
        let (start, at) = engine.start.unwrap();
        engine.start = start.checked_sub(STILL).map(|start| (start, at));
        let still = |engine: &Engine| engine.stuck_at().unwrap() - Instant::now();
        assert!(still(&engine) > STILL - 10 * SECOND, "both triggers have just started");
        engine.moved = (Instant::now() + SECOND / 2).checked_sub(STILL);
        assert!(still(&engine) < SECOND);
        while engine.next().await.is_some() {}
        let reason = engine.stuck().unwrap().to_owned();
        assert!(reason.contains("has started or ended for 5m, 2 triggers are in flight"), "{reason}");
        let triggers = engine.finish().totals.triggers;
        assert_eq!((triggers.due, triggers.interrupted), (2, 2));
    }
}
