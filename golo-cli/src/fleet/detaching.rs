//! Leaving a run to its agents once its load has started.

use std::sync::Arc;
use std::time::Duration;

use golo::engine::Options;
use golo::engine::plan::Plan;
use reqwest::StatusCode;

use super::part::Part;
use super::patience::patiently;
use super::{Fleet, each};
use crate::agent::lease::LONGEST_DETACHED;
use crate::http::client::CallError;
use crate::support::failure::Failure;

/// Time for the common start, for the users to end, and for `teardown`, in addition to the times of the plan.
const REST: Duration = Duration::from_secs(600);

impl Fleet {
    /// Prepares the agents and starts the load as any run does. Once all agents have started, gives the jobs a lease that is
    /// as long as the plan can take, and returns it. The run then needs this process no more.
    ///
    /// # Errors
    ///
    /// Returns an error if the run cannot start or be left to the agents. Its jobs must then be withdrawn.
    pub async fn detach(&mut self, plan: &Plan, options: &Options) -> Result<Duration, Failure> {
        self.prepare().await?;
        let mut delivery = self.deliver(plan.clone(), options.clone()).map_err(|error| error.to_string())?;
        delivery.wait_until_started().await?;
        let lease = lease_of(delivery.plan());
        each(self.parts(), |part| async move { extend(&part, lease).await }).await?;
        Ok(lease)
    }
}

/// Gives the part's job a lease of this length. Without effect on a job that is stopping or over.
async fn extend(part: &Arc<Part>, lease: Duration) -> Result<(), CallError> {
    let Some(job) = part.job() else { return Ok(()) };
    match patiently(&part.standstill, || part.agent.extend(&job, lease)).await {
        Err(CallError::Refused(StatusCode::CONFLICT, _)) => Ok(()),
        extended => extended,
    }
}

/// Returns the longest time that a plan can take, or the longest lease if its end is open.
fn lease_of(plan: &Plan) -> Duration {
    let Some(duration) = plan.duration() else { return LONGEST_DETACHED };
    // The triggers have one grace period, and the users have another.
    let times = [plan.warm_up(), duration, plan.graceful_stop(), plan.graceful_stop(), REST];
    times.into_iter().fold(Duration::ZERO, Duration::saturating_add).min(LONGEST_DETACHED)
}

#[cfg(test)]
mod tests {
    use golo::engine::plan::Asked;

    use super::*;

    #[test]
    fn lease_is_as_long_as_the_plan_can_take() {
        let lease = |asked| lease_of(&Plan::new(asked).unwrap()).as_secs();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let asked = Asked { duration: seconds(60), ..Asked::default() };
        assert_eq!(lease(asked.clone()), 60 + 2 * 30 + 600);
        let (warm_up, graceful_stop) = (seconds(5), seconds(2));
        assert_eq!(lease(Asked { warm_up, graceful_stop, ..asked.clone() }), 5 + 60 + 2 * 2 + 600);
        let stages = vec!["20s:2".parse().unwrap(), "40s:0".parse().unwrap()];
        assert_eq!(lease(Asked { stages, ..Asked::default() }), 60 + 2 * 30 + 600);
        let week = 7 * 24 * 3600;
        assert_eq!(lease(Asked { iterations: Some(9), ..Asked::default() }), week);
        assert_eq!(lease(Asked { iterations: Some(9), ..asked.clone() }), 60 + 2 * 30 + 600);
        assert_eq!(lease(Asked { duration: seconds(5 * week), ..asked }), week);
    }
}
