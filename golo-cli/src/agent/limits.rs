//! Limits on the jobs that an agent accepts.

use crate::support::failure::Failure;
use std::time::Duration;

use golo::cli::{RunCall, check_among, check_proxies_among};
use golo::engine::plan::{Model, Plan, Target};
use golo::engine::share::Share;

/// Limits from the agent's command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobLimits {
    /// Maximum number of users of this agent's share; in the open model, of triggers in flight.
    pub users: Option<u64>,
    /// Maximum total time of warm-up and measured part. The graceful stop may take as long, or the default grace if
    /// that is longer.
    pub duration: Option<Duration>,
    /// Allowed targets, `HOST` or `HOST:PORT`. If empty, all are allowed.
    pub targets: Vec<String>,
}

impl JobLimits {
    /// Checks that a job is within the limits.
    ///
    /// # Errors
    ///
    /// Returns a description of the limit that the job exceeds.
    pub fn check(&self, call: &RunCall, params: &[(String, String)], share: Share) -> Result<(), Failure> {
        self.check_plan(call.plan(), share)?;
        // Proxies from the agent's own environment are checked by the load test: only there it is known when they are
        // used.
        if !self.targets.is_empty() {
            check_among(&self.targets, call.transport())?;
            check_proxies_among(&self.targets, params)?;
        }
        Ok(())
    }

    /// Checks that a plan is within the limits. A load test may complete the plan that it receives.
    ///
    /// # Errors
    ///
    /// Returns a description of the limit that the plan exceeds.
    pub fn check_plan(&self, plan: &Plan, share: Share) -> Result<(), Failure> {
        if let Some(most) = self.users {
            users(plan.peak_users_of(share), most, plan.is_open())?;
        }
        match self.duration {
            Some(most) => self.check_time(plan, most),
            None => Ok(()),
        }
    }

    fn check_time(&self, plan: &Plan, most: Duration) -> Result<(), Failure> {
        let Some(duration) = plan.duration() else {
            return Err(format!("this agent's `--max-duration` is {most:?}: the job must have a `duration`").into());
        };
        for (what, time) in
            [("warm-up and duration", duration.saturating_add(plan.warm_up())), ("graceful-stop", plan.graceful_stop())]
        {
            // The default grace is always allowed.
            if time > most && !(what == "graceful-stop" && time <= USUAL_GRACE) {
                return Err(format!("{what} of {time:?} exceeds this agent's `--max-duration` of {most:?}").into());
            }
        }
        Ok(())
    }

    /// Checks that the load of a running job may be changed to `level`.
    ///
    /// # Errors
    ///
    /// Returns an error if `level` exceeds a limit, or if it is a rate and the plan has users, or vice versa.
    pub fn check_level(&self, level: Target, plan: &Plan, share: Share) -> Result<(), Failure> {
        let Some(load) = plan.sole() else {
            return Err("this job has several loads, so they cannot be changed".into());
        };
        match (level, load.model()) {
            (Target::Users(count), Model::Closed { .. }) => match self.users {
                Some(most) => Ok(users(share.count(count), most, false)?),
                None => Ok(()),
            },
            (Target::Rate(_), Model::Open { .. }) => Ok(()),
            (Target::Users(_), Model::Open { .. }) => Err("this job has a rate, so its users cannot be set".into()),
            (Target::Rate(_), Model::Closed { .. }) => Err("this job has users, so its rate cannot be set".into()),
        }
    }
}

/// Default `graceful-stop` of a plan.
const USUAL_GRACE: Duration = Duration::from_secs(30);

fn users(asked: u64, most: u64, is_open: bool) -> Result<(), Failure> {
    if asked <= most {
        return Ok(());
    }
    Err(match is_open {
        true => format!("`max-users` of {asked} exceeds this agent's `--max-users` of {most}").into(),
        false => format!("{asked} users exceed this agent's `--max-users` of {most}").into(),
    })
}
