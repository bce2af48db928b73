//! Changes of the load of all agents, one after the other.

use std::sync::Arc;

use golo::engine::RunEvent;
use golo::engine::plan::{Plan, Target};
use tokio::task::JoinError;

use super::Delivery;
use crate::fleet::part::Part;
use crate::fleet::{describe_failures, each_result};

impl Delivery {
    /// Begins the next change of the load, once the run has started and the change before is over.
    pub(super) fn adjust_next(&mut self) {
        let (Some(start), true) = (self.started, self.adjusting.is_empty()) else { return };
        while let Some(level) = self.levels.pop_front() {
            let at = start.elapsed();
            let plan = self.changed.as_ref().unwrap_or_else(|| self.merged.plan());
            // Only a plan with a single load can be changed, and that begins at once.
            let before = plan.sole().map_or(level, |load| load.level_at(at));
            match plan.adjusted(at, level) {
                Ok(plan) => {
                    let parts = self.parts.iter().filter(|following| following.is_open);
                    let parts = parts.map(|following| Arc::clone(&following.part)).collect();
                    self.adjusting.spawn(async move { adjust(parts, level, before).await.map(|()| plan) });
                    return;
                }
                Err(refused) => self.merged.push(RunEvent::Adjusted(Err(refused.to_string()))),
            }
        }
    }

    /// Takes over the answer to a change of the load.
    pub(super) fn adjusted(&mut self, answer: Result<Result<Plan, String>, JoinError>) -> RunEvent {
        let answer = answer.unwrap_or_else(|error| Err(format!("the change failed: {error}")));
        if let Ok(plan) = &answer {
            self.changed = Some(plan.clone());
        }
        RunEvent::Adjusted(answer)
    }
}

/// Changes the load of all parts to `level`. If one of them refuses, the others go back to the level `before`. Returns the
/// agents that refused.
async fn adjust(parts: Vec<Arc<Part>>, level: Target, before: Target) -> Result<(), String> {
    let change = move |level| {
        move |part: Arc<Part>| async move {
            match part.job() {
                Some(job) => part.agent.adjust(&job, level).await,
                None => Ok(()),
            }
        }
    };
    let results = each_result(&parts, change(level)).await;
    let (changed, failed): (Vec<_>, Vec<_>) = std::iter::zip(&parts, &results).partition(|(_, result)| result.is_ok());
    if failed.is_empty() {
        return Ok(());
    }
    let changed: Vec<_> = changed.into_iter().map(|(part, _)| Arc::clone(part)).collect();
    let restored = each_result(&changed, change(before)).await;
    let failures = failed.into_iter().chain(std::iter::zip(&changed, &restored)).filter_map(|(part, result)| {
        let error = result.as_ref().err()?;
        Some((&*part.name, error.to_string()))
    });
    Err(describe_failures(&failures.collect::<Vec<_>>()))
}
