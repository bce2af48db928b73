//! One agent's part of a run: its share of the plan, and the state of its job.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use golo::engine::plan::Plan;
use golo::engine::share::Share;
use golo::pb::results::Ended;
use golo::pb::results::ended::State;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout};

use super::Member;
use super::agent::Agent;
use super::patience::patiently;
use super::standstill::Standstill;
use crate::{drive::run_end::RunEnd, http::client::CallError, support::failure::Failure};

/// Longest time for a job to end after it was cut off.
const OVER: Duration = Duration::from_secs(5);
/// Time of a part for `teardown`, before it is cut off.
const TEARDOWN: Duration = Duration::from_secs(3);
/// Number of attempts to reach an agent, and the pause between them.
const TRIES: u32 = 3;
const AGAIN: Duration = Duration::from_millis(200);
/// Interval between looks at the state of a job.
const LOOK: Duration = Duration::from_millis(50);

/// One agent's part of a run.
#[derive(Debug)]
pub struct Part {
    /// Name of the agent.
    pub name: String,
    /// Client of the agent.
    pub agent: Agent,
    /// Platform of the agent, if it is known.
    pub platform: Option<String>,
    /// True if the agent has registered itself.
    is_registered: bool,
    /// Share of the plan.
    pub share: Share,
    /// ID of the run.
    pub run: String,
    /// Times at which this process stood still.
    pub standstill: Arc<Standstill>,
    /// ID of the request to queue the job, which is the same in each attempt.
    request: String,
    /// Locked while the agent is asked to queue the job.
    asking: tokio::sync::Mutex<Asked>,
    job: Mutex<Option<String>>,
    is_over: AtomicBool,
    /// Reason why the run continues without this part, if it does.
    lost: OnceLock<String>,
    /// True if some of its records are stored, but not the last one.
    is_kept_open: AtomicBool,
    /// True if its load test has run the `setup` of the whole run.
    has_set_up: AtomicBool,
}

/// State of the request to queue the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    /// Asked, without a clear answer: the job may exist.
    Maybe,
    Yes,
}

impl Part {
    /// Creates a part without a job.
    #[must_use]
    pub fn new(member: Member, share: Share, run: String, standstill: Arc<Standstill>) -> Self {
        let Member { name, agent, platform, is_registered } = member;
        let asking = tokio::sync::Mutex::new(Asked::No);
        Self {
            name,
            agent,
            platform,
            is_registered,
            share,
            run,
            standstill,
            request: golo::new_sequence_id(),
            asking,
            job: Mutex::default(),
            is_over: AtomicBool::new(false),
            lost: OnceLock::new(),
            is_kept_open: AtomicBool::new(false),
            has_set_up: AtomicBool::new(false),
        }
    }

    /// Creates the part of a job that an agent has already.
    #[must_use]
    pub fn found(self, job: String) -> Self {
        Self { asking: tokio::sync::Mutex::new(Asked::Yes), job: Mutex::new(Some(job)), ..self }
    }

    /// Checks that the agent can be used. A registered one may have lost its connection for a moment.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent cannot be used.
    pub async fn check(&self) -> Result<(), CallError> {
        match self.is_registered {
            true => patiently(&self.standstill, || self.agent.check()).await,
            false => self.agent.check().await,
        }
    }

    /// Queues the part's job. Adds the keys that are its own to `job`, which is the same for all parts. A lost connection is
    /// tried again.
    ///
    /// # Errors
    ///
    /// Returns an error if the job is not queued.
    pub async fn queue(&self, job: &Map<String, Value>) -> Result<(), CallError> {
        let mut asked = self.asking.lock().await;
        let mut job = job.clone();
        job.insert("run".to_owned(), self.run.clone().into());
        job.insert("agent".to_owned(), self.name.clone().into());
        job.insert("share".to_owned(), serde_json::json!({ "index": self.share.index(), "of": self.share.of() }));
        job.insert("hold".to_owned(), true.into());
        job.insert("request".to_owned(), self.request.clone().into());
        *asked = Asked::Maybe;
        match patiently(&self.standstill, || self.agent.queue(&job)).await {
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

    /// Records that its load test has run the `setup` of the whole run, so that it runs `teardown` too.
    pub fn set_up(&self) {
        self.has_set_up.store(true, Relaxed);
    }

    /// Returns true if its load test has run the `setup` of the whole run.
    #[must_use]
    pub fn has_set_up(&self) -> bool {
        self.has_set_up.load(Relaxed)
    }

    /// Lets the part run `teardown`, once all others are over. Retries until the agent has received it.
    pub async fn tear_down(&self) {
        let Some(job) = self.job() else { return };
        while !self.is_over() {
            match self.agent.tear_down(&job).await {
                Ok(()) | Err(CallError::Refused(..)) => return,
                Err(CallError::Away(_) | CallError::Local(_)) => sleep(AGAIN).await,
            }
        }
    }

    /// Returns the ID of the job, if there is one.
    #[must_use]
    pub fn job(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Records that the job is over.
    pub fn end(&self) {
        self.is_over.store(true, Relaxed);
    }

    /// Returns true if the job is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Records why the run continues without this part.
    pub fn lose(&self, reason: String) {
        _ = self.lost.set(reason);
    }

    /// Records that a record was stored, and whether it was the last one.
    pub fn keep(&self, is_last: bool) {
        self.is_kept_open.store(!is_last, Relaxed);
    }

    /// Returns the last record to store after the run, if some records of the part are stored and its last one is not.
    #[must_use]
    pub fn missing_end(&self, run: &RunEnd) -> Option<Ended> {
        if !self.is_kept_open.load(Relaxed) {
            return None;
        }
        let lost = self.lost.get().map_or("its end was not reported", |lost| lost).to_owned();
        let run = RunEnd { lost: Some(lost), ..run.clone() };
        Some(run.of(Ended { state: State::Cancelled.into(), ..Ended::default() }))
    }

    /// Ends the part's job, in whatever state it is. `run` contains the known reasons for the end of the run.
    ///
    /// # Errors
    ///
    /// Returns an error if the job may still be on the agent.
    pub async fn withdraw(&self, run: &RunEnd) -> Result<(), Failure> {
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
            Err(_) => "its end was not confirmed".to_owned(),
        };
        let job = self.job().unwrap_or_else(|| format!("of the run {}", self.run));
        Err(format!("the job {job} may still be on the agent {}: {reason}", self.name).into())
    }

    async fn try_to_withdraw(&self, run: &RunEnd) -> Result<(), CallError> {
        for _ in 1..TRIES {
            match self.withdraw_job(run).await {
                // A kept-alive connection may be closed by now, for example if the agent was paused.
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
        // A call with reasons stops the job. A call without reasons cuts it off.
        let mut job = self.agent.stop(&id, run).await?;
        if self.has_set_up() && !job.is_over() {
            // Cutting it off would cut off `teardown` too.
            self.agent.tear_down(&id).await?;
            let until = Instant::now() + TEARDOWN;
            while !job.is_over() && Instant::now() < until {
                sleep(LOOK).await;
                job = self.agent.job(&id).await?;
            }
        }
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

/// Returns how many of `agents` have something to do. Each needs a user, if the plan has a number of users, and a
/// trigger.
#[must_use]
pub fn useful(plan: &Plan, agents: u64) -> u64 {
    agents.min(plan.peak_users()).min(plan.iterations().unwrap_or(u64::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use golo::engine::plan::Asked;

    use super::*;

    #[test]
    fn number_of_useful_agents_depends_on_plan() {
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
