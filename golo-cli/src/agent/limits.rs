//! What jobs may ask of this agent.

use std::time::Duration;

use golo::{
    cli::{RunCall, check_proxy_among},
    engine::{
        plan::{Model, Plan, Target},
        share::Share,
    },
};

use crate::support::failure::Failure;

/// What whoever runs the agent allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobLimits {
    /// Most users of this agent's share; in the open model, most triggers in flight.
    pub users: Option<u64>,
    /// The longest warm-up and measured part together.
    pub duration: Option<Duration>,
    /// The only targets: `HOST` or `HOST:PORT`.
    pub targets: Vec<String>,
}

impl JobLimits {
    /// Says why a job may not run here.
    ///
    /// # Errors
    ///
    /// The limit that it is beyond.
    pub fn check(&self, call: &RunCall, share: Share) -> Result<(), Failure> {
        let plan = call.plan();
        if let Some(most) = self.users {
            users(share.count(plan.peak_users()), most, plan.is_open())?;
        }
        if let Some(most) = self.duration {
            self.check_time(plan, most)?;
        }
        // Those that the environment names are checked by the load test, which knows when they are used.
        if !self.targets.is_empty() {
            check_proxy_among(&self.targets, call.proxy())?;
        }
        Ok(())
    }

    fn check_time(&self, plan: &Plan, most: Duration) -> Result<(), String> {
        let Some(duration) = plan.duration() else {
            return Err(format!("this agent runs a job for {most:?} at most, its `--max-duration`: give a `duration`"));
        };
        for (what, time) in
            [("warm-up and duration", duration.saturating_add(plan.warm_up())), ("graceful-stop", plan.graceful_stop())]
        {
            // A short job may take the usual grace.
            if time > most && !(what == "graceful-stop" && time <= USUAL_GRACE) {
                return Err(format!("{what} of {time:?} is beyond this agent's `--max-duration` of {most:?}"));
            }
        }
        Ok(())
    }

    /// Says why a job's load may not become this.
    ///
    /// # Errors
    ///
    /// The limit that is beyond, or that the load is set in another way.
    pub fn check_level(&self, level: Target, plan: &Plan, share: Share) -> Result<(), Failure> {
        match (level, plan.model()) {
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

/// The grace that a plan has unless it says otherwise.
const USUAL_GRACE: Duration = Duration::from_secs(30);

fn users(asked: u64, most: u64, is_open: bool) -> Result<(), String> {
    if asked <= most {
        return Ok(());
    }
    Err(match is_open {
        true => format!("`max-users` of {asked} is beyond this agent's `--max-users` of {most}: give at most that"),
        false => format!("{asked} users are beyond this agent's `--max-users` of {most}"),
    })
}
