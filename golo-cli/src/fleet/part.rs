//! One agent's part of a run: which share of the plan it has, and what is known of its job.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use golo::{
    engine::{plan::Plan, share::Share},
    pb::results::{Ended, ended::State},
};
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};

use super::agent::Agent;
use crate::{drive::run_end::RunEnd, http::client::CallError};

/// How long a job may take to be over that was cut.
const OVER: Duration = Duration::from_secs(5);
/// How often an agent is asked that does not answer, and the pause in between.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_millis(200);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// One agent's part of a run.
#[derive(Debug)]
pub struct Part {
    /// What the agent is called.
    pub name: String,
    /// The agent.
    pub agent: Agent,
    /// What of the plan is its.
    pub share: Share,
    /// The run.
    pub run: String,
    /// Held while it is asked to queue the job.
    asking: tokio::sync::Mutex<Asked>,
    job: Mutex<Option<String>>,
    is_over: AtomicBool,
    /// Why the run goes on without it, if it does.
    lost: OnceLock<String>,
    /// Whether some of its records are kept, and its last one is not.
    is_kept_open: AtomicBool,
}

/// Whether a job was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    /// It may be there: nobody said.
    Maybe,
    Yes,
}

impl Part {
    /// One of which there is no job yet.
    #[must_use]
    pub fn new(name: String, agent: Agent, share: Share, run: String) -> Self {
        let asking = tokio::sync::Mutex::new(Asked::No);
        Self {
            name,
            agent,
            share,
            run,
            asking,
            job: Mutex::default(),
            is_over: AtomicBool::new(false),
            lost: OnceLock::new(),
            is_kept_open: AtomicBool::new(false),
        }
    }

    /// Queues its job, which is `job` and what is its alone.
    ///
    /// # Errors
    ///
    /// Why it is not queued.
    pub async fn queue(&self, job: &Map<String, Value>) -> Result<(), CallError> {
        let mut asked = self.asking.lock().await;
        let mut job = job.clone();
        job.insert("run".to_owned(), self.run.clone().into());
        job.insert("agent".to_owned(), self.name.clone().into());
        job.insert("share".to_owned(), serde_json::json!({ "index": self.share.index(), "of": self.share.of() }));
        job.insert("hold".to_owned(), true.into());
        *asked = Asked::Maybe;
        match self.agent.queue(&job).await {
            Ok(id) => {
                *asked = Asked::Yes;
                *self.lock() = Some(id);
                Ok(())
            }
            Err(error) => {
                if let CallError::Refused(..) = error {
                    *asked = Asked::No;
                }
                Err(error)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its job, once there is one.
    #[must_use]
    pub fn job(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Its job is over.
    pub fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Whether its job is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// The run goes on without it, for this reason.
    pub fn lose(&self, reason: String) {
        _ = self.lost.set(reason);
    }

    /// A record of it is kept, which is its last or not.
    pub fn keep(&self, is_last: bool) {
        self.is_kept_open.store(!is_last, Relaxed);
    }

    /// What is kept as its end once the run has ended, where some of it is kept and its end is not.
    #[must_use]
    pub fn missing_end(&self, run: &RunEnd) -> Option<Ended> {
        if !self.is_kept_open.load(Relaxed) {
            return None;
        }
        let lost = self.lost.get().map_or("it has not told its end", |lost| lost).to_owned();
        let run = RunEnd { lost: Some(lost), ..run.clone() };
        Some(run.of(Ended { state: State::Cancelled.into(), ..Ended::default() }))
    }

    /// Leaves nothing of the run on the agent, whatever there is; `run` is what is known of the run's end.
    ///
    /// # Errors
    ///
    /// Why there may be something.
    pub async fn withdraw(&self, run: &RunEnd) -> Result<(), String> {
        let asked = *self.asking.lock().await;
        if asked == Asked::No || self.is_over() {
            return Ok(());
        }
        let run = RunEnd { lost: self.lost.get().cloned(), ..run.clone() };
        let result = timeout(OVER, self.try_to_withdraw(&run)).await;
        let reason = match result {
            Ok(Ok(())) => {
                self.end();
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not say that it has ended".to_owned(),
        };
        let job = self.job().unwrap_or_else(|| format!("of the run {}", self.run));
        Err(format!("the job {job} may be left on the agent {}: {reason}", self.name))
    }

    async fn try_to_withdraw(&self, run: &RunEnd) -> Result<(), CallError> {
        for _ in 1..TRIES {
            match self.withdraw_job(run).await {
                // A connection that was kept may be closed by now, as where the agent stood still.
                Err(CallError::Away(_)) => sleep(AGAIN).await,
                withdrawn => return withdrawn,
            }
        }
        self.withdraw_job(run).await
    }

    async fn withdraw_job(&self, run: &RunEnd) -> Result<(), CallError> {
        let known = self.job();
        let id = match known {
            Some(id) => id,
            None => match self.agent.jobs().await?.into_iter().find(|job| job.run == self.run) {
                Some(job) => job.id,
                None => return Ok(()),
            },
        };
        // What says how the run ends stops, and what says nothing cuts.
        let mut job = self.agent.stop(&id, run).await?;
        if !job.is_over() {
            job = self.agent.stop(&id, &RunEnd::default()).await?;
        }
        while !job.is_over() {
            sleep(LOOK).await;
            job = self.agent.job(&id).await?;
        }
        Ok(())
    }
}

/// How many of `agents` there is something to do for: each has a user, where users are what there is, and a trigger.
#[must_use]
pub fn useful(plan: &Plan, agents: u64) -> u64 {
    agents.min(plan.peak_users()).min(plan.iterations().unwrap_or(u64::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use golo::engine::plan::Asked;

    use super::*;

    #[test]
    fn no_agent_is_left_without_anything_to_do() {
        let plan = |asked| Plan::new(asked).unwrap();
        assert_eq!(useful(&plan(Asked::default()), 3), 3);
        assert_eq!(useful(&plan(Asked { users: Some(2), ..Asked::default() }), 3), 2);
        assert_eq!(useful(&plan(Asked { iterations: Some(1), ..Asked::default() }), 3), 1);
        let rate = Some("500/s".parse().unwrap());
        assert_eq!(useful(&plan(Asked { rate, ..Asked::default() }), 3), 3);
        assert_eq!(useful(&plan(Asked { rate, max_users: Some(2), ..Asked::default() }), 3), 2);
        let stages = vec!["1s:2".parse().unwrap(), "1s:5".parse().unwrap()];
        assert_eq!(useful(&plan(Asked { stages, ..Asked::default() }), 7), 5, "at their peak");
    }
}
