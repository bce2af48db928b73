//! The head of a run's page: names, plan, state, and the changes of its load.

use std::time::{Duration, SystemTime};

use golo::engine::plan::Plan;
use golo::report::{Change, RunOutcome, Verdict, clean};
use golo::wire;
use serde::Serialize;

/// Time after which a changed load has its new level.
const SOON: Duration = Duration::from_secs(1);
/// State of a part that goes on.
const RUNNING: &str = "running";

/// Names of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// ID of the run.
    pub run: String,
    /// Name of the job.
    pub job: String,
    /// Name of the load test.
    pub load_test: String,
}

/// State of a run that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The load test is being set up.
    SettingUp,
    /// Users are starting.
    Starting,
    /// The measured part is going on.
    Running,
    /// Nothing starts any more.
    Stopping,
    /// The last triggers have ended.
    TearingDown,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::SettingUp => "setting up",
            Self::Starting => "starting users",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::TearingDown => "ending",
        }
    }
}

/// The head of the page. serde writes it as an object.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Head {
    run: String,
    job: String,
    load_test: String,
    plan: String,
    /// Planned length in seconds, if it is known.
    planned: Option<f64>,
    /// `users` or `rate`, if a viewer can change the load.
    control: Option<&'static str>,
    /// The current load in that unit.
    level: Option<f64>,
    is_open: bool,
    /// Milliseconds since the Unix epoch.
    started_at: Option<u64>,
    state: String,
    reason: String,
    /// CSS class of the state.
    tone: &'static str,
    pub(super) is_over: bool,
    /// True if viewers can stop the run.
    is_steered: bool,
    #[serde(skip)]
    /// True if the figures are of measured steps, because there are no requests.
    pub(super) of_steps: bool,
    changes: Vec<ChangeRow>,
    agents: Vec<AgentRow>,
}

/// A change of the load.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ChangeRow {
    /// Seconds since the start of the measured part.
    at: f64,
    text: String,
    is_refused: bool,
}

/// State of an agent's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentRow {
    /// Name of the agent.
    pub name: String,
    /// State of its part: `running`, `completed`, `failed`, `cancelled` or `lost`.
    pub state: String,
    /// Reason of that state, if there is one.
    pub reason: String,
}

impl ChangeRow {
    fn of(change: Change) -> Self {
        Self { at: change.at.as_secs_f64(), text: format!("to {}", clean(&change.load)), is_refused: false }
    }
}

impl AgentRow {
    /// Returns the row of an agent whose part is going on.
    #[must_use]
    pub fn running(name: &str) -> Self {
        Self { name: name.to_owned(), state: RUNNING.to_owned(), reason: String::new() }
    }
}

impl Head {
    pub(super) fn new(names: Names, is_steered: bool) -> Self {
        let Names { run, job, load_test } = names;
        Self {
            run,
            job: clean(&job),
            load_test: clean(&load_test),
            plan: String::new(),
            planned: None,
            control: None,
            level: None,
            is_open: false,
            started_at: None,
            state: State::SettingUp.words().to_owned(),
            reason: String::new(),
            tone: "live",
            is_over: false,
            is_steered,
            of_steps: false,
            changes: Vec::new(),
            agents: Vec::new(),
        }
    }

    /// Shows a plan. The run has been going on for `elapsed`.
    pub(super) fn set_plan(&mut self, plan: &Plan, elapsed: Duration) {
        self.plan = clean(&plan.to_string());
        self.set_level(plan, elapsed);
    }

    /// Shows what is left of a plan, and its level after `elapsed`. The text of a plan that was changed is that of the
    /// plan before, since the changes are listed.
    fn set_level(&mut self, plan: &Plan, elapsed: Duration) {
        self.planned = plan.duration().map(|duration| duration.as_secs_f64());
        self.is_open = plan.is_open();
        // The loads of a plan with several have no common level.
        let steered = plan.sole().filter(|_| self.is_steered);
        self.control = steered.map(|_| if plan.is_open() { "rate" } else { "users" });
        self.level = match plan.is_open() {
            true => plan.rate_at(elapsed),
            false => Some(plan.users_at(elapsed) as f64),
        };
    }

    pub(super) fn plan(&self) -> &str {
        &self.plan
    }

    pub(super) fn state(&self) -> &str {
        &self.state
    }

    pub(super) fn set_state(&mut self, state: State) {
        state.words().clone_into(&mut self.state);
    }

    pub(super) fn set_started(&mut self, at: SystemTime) {
        self.started_at = Some(wire::unix_nanoseconds(at) / 1_000_000);
        self.set_state(State::Running);
    }

    /// Records the answer to a change of the load. A refusal came at the time `at`.
    pub(super) fn add_change(&mut self, adjusted: &Result<Plan, String>, at: Duration) {
        match adjusted {
            Ok(plan) => {
                let change = Change::last_of(plan);
                self.set_level(plan, change.as_ref().map_or(at, |change| change.at) + SOON);
                self.changes.extend(change.map(ChangeRow::of));
                // Each agent of several reports the change.
                self.changes.dedup();
            }
            Err(reason) => {
                let row = ChangeRow { at: at.as_secs_f64(), text: clean(reason), is_refused: true };
                self.changes.push(row);
            }
        }
    }

    pub(super) fn set_agents(&mut self, agents: Vec<AgentRow>) -> bool {
        let is_changed = self.agents != agents;
        self.agents = agents;
        is_changed
    }

    /// Shows the end of the run, with the words of its summary.
    pub(super) fn end(&mut self, outcome: &RunOutcome, [word, reason, tone]: &[String; 3]) {
        let finished = &outcome.finished;
        match outcome.changes.is_empty() || self.plan.is_empty() {
            true => self.set_plan(&finished.plan, finished.load_time),
            false => self.set_level(&finished.plan, finished.load_time),
        }
        self.started_at = finished.started_at.map(|at| wire::unix_nanoseconds(at) / 1_000_000);
        (self.state, self.reason) = (word.clone(), reason.clone());
        self.tone = match &**tone {
            "good" => "good",
            _ if matches!(outcome.verdict(), Verdict::Invalid(_) | Verdict::Stopped | Verdict::NotEnded(_)) => {
                "warning"
            }
            "warning" => "warning",
            _ => "bad",
        };
        (self.is_over, self.is_steered, self.control) = (true, false, None);
        self.changes.retain(|change| change.is_refused);
        self.changes.extend(outcome.changes.iter().cloned().map(ChangeRow::of));
        self.changes.sort_by(|one, other| one.at.total_cmp(&other.at));
        self.changes.dedup();
        for agent in &mut self.agents {
            let lost = finished.health.lost_agents.iter().find(|lost| lost.name == agent.name);
            match lost {
                Some(lost) => (agent.state, agent.reason) = ("lost".to_owned(), clean(&lost.reason)),
                None if agent.state == RUNNING => "completed".clone_into(&mut agent.state),
                None => {}
            }
        }
    }
}
