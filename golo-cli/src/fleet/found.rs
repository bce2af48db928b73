//! A run that was started before, found by the jobs of its agents.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use golo::cli::{Exit, say};
use golo::engine::Options;
use golo::engine::plan::Plan;
use golo::engine::share::Share;
use golo::pb::results::Begun;
use golo::pb::results::record::Record as Kind;
use golo::report::Threshold;

use super::agent::{Agent, JobView};
use super::clock::Clock;
use super::delivery::Joined;
use super::part::Part;
use super::standstill::Standstill;
use super::start::measure;
use super::{Member, OnAgentLoss, describe_failures, each, join};
use crate::http::client::CallError;
use crate::results::replay::Asked;

/// Error of finding a run.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The command line names no run that the agents have, or not all of its agents.
    #[error("{0}")]
    Wrong(String),
    /// An agent cannot be used, or has no records of the run.
    #[error("{0}")]
    Unusable(String),
}

impl FindError {
    /// Returns the exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Wrong(_) => Exit::BadConfiguration,
            Self::Unusable(_) => Exit::NotStarted,
        }
    }
}

/// A run whose jobs are on agents.
pub struct FoundRun {
    /// ID of the run.
    pub run: String,
    /// Name of its load test.
    pub load_test: String,
    /// Its plan.
    pub plan: Plan,
    /// Its options.
    pub options: Options,
    /// The thresholds that it was started with.
    pub thresholds: Vec<Threshold>,
    /// Shortest lease of its jobs, if they have one.
    pub lease: Option<Duration>,
    pub(super) parts: Vec<Arc<Part>>,
    pub(super) joined: Joined,
    pub(super) standstill: Arc<Standstill>,
}

/// A job with the agent that has it.
struct FoundJob {
    /// The agent, with the name by which it was given.
    member: Member,
    job: JobView,
}

impl FoundRun {
    /// Finds a run by its ID or the beginning of it, and measures the clocks of its agents. `agents` are those that may have
    /// its jobs, with their addresses.
    ///
    /// # Errors
    ///
    /// Returns an error if no agent has such a run, or several have different ones, or if no records of it are left. Unless
    /// `on_loss` is to continue, also returns an error if an agent cannot be reached, or if an agent of the run is not among
    /// `agents`.
    pub async fn find(agents: Vec<Member>, called: &str, on_loss: OnAgentLoss) -> Result<Self, FindError> {
        let jobs = all_jobs(agents, on_loss).await?;
        let run = run_of(&jobs, called)?;
        let mut jobs: Vec<_> = jobs.into_iter().filter(|found| found.job.run == run).collect();
        jobs.sort_by_key(|found| found.job.share.index);
        let of = check_shares(&jobs)?;
        let has = |index: &u64| jobs.iter().any(|found| found.job.share.index == *index);
        let absent: Vec<_> =
            (0..of).filter(|index| !has(index)).map(|index| format!("share {} of {of}", index + 1)).collect();
        if !absent.is_empty() {
            let missing = absent.join(", ");
            if on_loss == OnAgentLoss::Fail {
                return Err(FindError::Wrong(format!(
                    "the given agents have only a part of the run {run}, without {missing}: give all agents of the run, or \
                     `--on-agent-loss continue` to follow it without the others"
                )));
            }
            say(format_args!("golo: following the run {run} without {missing}"));
        }
        let standstill = Arc::<Standstill>::default();
        let leases: Vec<f64> = jobs.iter().filter_map(|found| found.job.lease).collect();
        let lease = leases.into_iter().reduce(f64::min).and_then(|least| Duration::try_from_secs_f64(least).ok());
        let mut parts = Vec::new();
        for FoundJob { member, job } in jobs {
            let share = Share::new(job.share.index, job.share.of)
                .ok_or_else(|| FindError::Unusable(format!("the share of the job {} is impossible", job.id)))?;
            // The name of the part, by which its records are stored, may be another address of the agent.
            let member = Member { name: job.agent, ..member };
            let part = Part::new(member, share, run.clone(), Arc::clone(&standstill));
            parts.push(Arc::new(part.found(job.id)));
        }
        let Asked { load_test, plan, options, thresholds, .. } = begun(&parts[0]).await?;
        let clock = Clock::start();
        let measuring = each(&parts, |part| async move { measure(&part, &clock).await }).await;
        let offsets = measuring.map_err(|failure| FindError::Unusable(failure.to_string()))?;
        find_setup(&parts[0], of).await;
        let joined = Joined { offsets: offsets.into_iter().map(Some).collect(), absent };
        Ok(Self { run, load_test, plan, options, thresholds, lease, parts, joined, standstill })
    }

    /// Returns the names of the parts.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.parts.iter().map(|part| part.name.clone()).collect()
    }
}

/// Returns all jobs of the agents.
async fn all_jobs(agents: Vec<Member>, on_loss: OnAgentLoss) -> Result<Vec<FoundJob>, FindError> {
    let listing = |agent: Agent| async move {
        agent.check().await?;
        agent.jobs().await
    };
    let lists = join(agents.iter().map(|member| listing(member.agent.clone()))).await;
    let (mut jobs, mut failed) = (Vec::new(), Vec::new());
    for (member, list) in agents.iter().zip(lists) {
        match list {
            Ok(list) => jobs.extend(list.into_iter().map(|job| FoundJob { member: member.clone(), job })),
            Err(error) => failed.push((&*member.name, error.to_string())),
        }
    }
    let reasons = describe_failures(&failed);
    match on_loss {
        _ if failed.is_empty() => {}
        OnAgentLoss::Fail => return Err(FindError::Unusable(reasons)),
        OnAgentLoss::Continue => say(format_args!("golo: not followed: {reasons}")),
    }
    Ok(jobs)
}

/// Returns the ID of the run that is called so.
fn run_of(jobs: &[FoundJob], called: &str) -> Result<String, FindError> {
    let is_called = |run: &&str| !called.is_empty() && run.starts_with(called);
    let runs: BTreeSet<_> = jobs.iter().map(|found| &*found.job.run).filter(is_called).collect();
    match &Vec::from_iter(&runs)[..] {
        _ if runs.contains(called) => Ok(called.to_owned()),
        [run] => Ok((**run).to_owned()),
        [] => Err(FindError::Wrong(format!(
            "no run `{called}` on the given agents: expected the ID of a run, or the beginning of it"
        ))),
        [one, other, ..] => {
            let (one, other) = (**one, **other);
            Err(FindError::Wrong(format!(
                "`{called}` is the beginning of several runs, as {one} and {other}: give more of the ID"
            )))
        }
    }
}

/// Checks the shares of the jobs of a run, in order, and returns the number of shares.
fn check_shares(jobs: &[FoundJob]) -> Result<u64, FindError> {
    for pair in jobs.windows(2) {
        let [one, other] = pair else { continue };
        let share = one.job.share;
        if one.job.id == other.job.id {
            let text =
                format!("{} and {} are the same agent: give each agent once", one.member.name, other.member.name);
            return Err(FindError::Wrong(text));
        }
        if share.index == other.job.share.index || share.of != other.job.share.of {
            return Err(FindError::Unusable(format!(
                "the jobs of {} and {} are not shares of one run",
                one.member.name, other.member.name
            )));
        }
    }
    Ok(jobs.first().map_or(0, |found| found.job.share.of))
}

/// Reads how the run was asked for from the first record of a part.
async fn begun(part: &Part) -> Result<Asked, FindError> {
    let Some(job) = part.job() else { return Err(FindError::Unusable("the part has no job".to_owned())) };
    let unusable = |reason: String| FindError::Unusable(format!("the agent {}: {reason}", part.name));
    let records = part.agent.records(&job, 0, Duration::ZERO).await.map_err(|error| unusable(error.to_string()))?;
    match records.into_iter().next().and_then(|first| first.record) {
        Some(Kind::Begun(begun)) => asked(&begun).map_err(unusable),
        _ => Err(unusable("the run has not begun there: its job is still waiting".to_owned())),
    }
}

fn asked(begun: &Begun) -> Result<Asked, String> {
    Asked::of(begun).map_err(|error| format!("the first record of its job is wrong: {error}"))
}

/// Finds out whether the load test of the first part has run the `setup` of the whole run and waits for the others before
/// its `teardown`. A job that is over has no value any more.
async fn find_setup(part: &Part, of: u64) {
    if let (Some(job), true) = (part.job(), of > 1)
        && let Ok::<_, CallError>(Some(_)) = part.agent.setup_value(&job, Duration::ZERO).await
    {
        part.set_up();
    }
}
