//! Thresholds on one scenario: the time of its load, and names that the run does not have.

use std::sync::Arc;
use std::time::Duration;

use super::Threshold;
use super::metric::Metric;
use super::tag::Tag;
use crate::engine::plan::{Load, Plan};
use crate::engine::snapshot::Snapshot;
use crate::metrics::scope;
use crate::support::nearest::nearest;

/// Time in which the windows of a threshold are judged.
#[derive(Debug, Clone)]
pub(super) struct Span {
    /// Start of the load.
    pub(super) start: Duration,
    /// End of the load as the plan has it.
    end: Option<Duration>,
    /// True if it is the load of the scenario that the threshold selects.
    pub(super) is_of_scenario: bool,
    /// The iterations that end the load of a scenario.
    iterations: Option<Iterations>,
}

/// Iterations of the scenarios that share a load.
#[derive(Debug, Clone)]
struct Iterations {
    scenarios: Vec<Arc<str>>,
    /// Number of starts that are left.
    left: u64,
}

impl Span {
    /// Returns the time of the scenario that the threshold selects, or else that of the whole load.
    pub(super) fn of(threshold: &Threshold, plan: &Plan) -> Self {
        let Some(load) = threshold.selected_scenario().and_then(|name| load_of(plan, name)) else {
            return Self { start: Duration::ZERO, end: plan.duration(), is_of_scenario: false, iterations: None };
        };
        let scenarios = || load.mix().scenarios().iter().map(|scenario| Arc::clone(&scenario.name)).collect();
        // The iterations of the only load end the run too.
        let iterations = load.iterations().filter(|_| plan.sole().is_none());
        Self {
            start: load.start(),
            end: load.end(),
            is_of_scenario: plan.sole().is_none(),
            iterations: iterations.map(|left| Iterations { scenarios: scenarios(), left }),
        }
    }

    /// Records a second that has ended.
    pub(super) fn second(&mut self, second: &Snapshot) {
        if let Some(Iterations { scenarios, left }) = &mut self.iterations {
            let due = scenarios.iter().filter_map(|name| second.scenarios.get(name)).map(|triggers| triggers.due);
            *left = left.saturating_sub(due.sum());
        }
    }

    /// Returns true if the load was over at `time`.
    pub(super) fn is_over(&self, time: Duration) -> bool {
        self.end.is_some_and(|end| time > end) || self.iterations.as_ref().is_some_and(|known| known.left == 0)
    }

    /// Returns its length, if the plan limits it.
    pub(super) fn length(&self) -> Option<Duration> {
        self.end.map(|end| end.saturating_sub(self.start))
    }
}

impl Threshold {
    /// Returns the scenario that the threshold selects, by any of its tags.
    fn selected_scenario(&self) -> Option<&str> {
        self.scenario().or_else(|| {
            self.tags.iter().find_map(|tag| match tag {
                Tag::Own { key, value } if **key == *scope::SCENARIO => Some(&**value),
                _ => None,
            })
        })
    }

    /// Explains why the threshold fails independently of its value: the plan has no scenario of the name that it selects,
    /// or what it measures belongs to no scenario.
    ///
    /// In a run without scenarios, requests may have a tag of this key that the load test sets itself.
    pub(super) fn wrong_scenario(&self, plan: &Plan, totals: &Snapshot) -> Option<String> {
        let name = self.selected_scenario()?;
        let Some(load) = load_of(plan, name) else {
            let is_without = plan.scenarios().next().is_none();
            if totals.scenarios.contains_key(name) || (is_without && self.scenario().is_none()) {
                return None;
            }
            let meant = nearest(name, plan.scenarios().map(|name| &**name));
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            return Some(format!("the run has no scenario `{name}`{meant}"));
        };
        let is_shared = load.mix().scenarios().len() > 1;
        (is_shared && self.metric == Metric::DroppedIterations).then(|| {
            format!("not known: `{name}` shares its load, so starts that did not happen belong to no scenario")
        })
    }
}

/// Returns the load that triggers a scenario.
fn load_of<'a>(plan: &'a Plan, name: &str) -> Option<&'a Load> {
    plan.loads().iter().find(|load| load.mix().scenarios().iter().any(|scenario| *scenario.name == *name))
}
