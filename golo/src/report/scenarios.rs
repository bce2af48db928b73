//! Triggers of each scenario.

use std::sync::LazyLock;

use super::RateTime;
use crate::engine::Finished;
use crate::engine::snapshot::Triggers;

/// The triggers of a scenario.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) triggers: &'a Triggers,
    /// Triggers per second that ended, over the time of the whole load.
    pub(super) rate: f64,
}

/// Returns a row for each scenario in the order of the plan, then for those that only the measurements have. Returns none
/// if there is at most one scenario.
pub(super) fn rows<'a>(finished: &'a Finished) -> Vec<Row<'a>> {
    let (rates, totals) = (RateTime::of(finished), &finished.totals);
    let mut names: Vec<&str> = finished.plan.scenarios().map(|name| &**name).collect();
    names.extend(
        totals
            .scenarios
            .keys()
            .map(|name| &**name)
            .filter(|name| !finished.plan.scenarios().any(|known| **known == **name)),
    );
    if names.len() < 2 {
        return Vec::new();
    }
    static NONE: LazyLock<Triggers> = LazyLock::new(Triggers::default);
    let row = |name: &'a str| {
        let triggers = totals.scenarios.get(name).unwrap_or(&NONE);
        let rate = rates.per_second(rates.counted(triggers.done, triggers.done_after_load));
        Row { name, triggers, rate }
    };
    names.into_iter().map(row).collect()
}
