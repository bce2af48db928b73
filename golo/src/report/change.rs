//! Changes of the load during a run.

use std::time::Duration;

use super::facts::Fact;
use super::units::{counted, duration};
use crate::engine::plan::Plan;

/// Maximum number of changes that are listed. Further ones are counted.
const LISTED: usize = 20;

/// A change of the load by an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Time since the start of the measured part.
    pub at: Duration,
    /// The load from then on, such as `20 users`.
    pub load: String,
}

impl Change {
    /// Returns the last change of a plan that an order has changed.
    #[must_use]
    pub fn last_of(plan: &Plan) -> Option<Self> {
        plan.last_change().map(|(at, load)| Self { at, load })
    }
}

/// Describes the changes in their order, if there were any.
pub(super) fn fact(changes: &[Change]) -> Option<Fact> {
    let mut texts: Vec<_> =
        changes.iter().take(LISTED).map(|Change { at, load }| format!("to {load} at {}", duration(*at))).collect();
    let further = changes.len().saturating_sub(LISTED);
    if further > 0 {
        texts.push(format!("and {}", counted(further as u64, "further time")));
    }
    (!texts.is_empty()).then(|| Fact::new("changed", texts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_counted() {
        let changes: Vec<_> =
            (1..24).map(|at| Change { at: Duration::from_secs(at), load: format!("{at} users") }).collect();
        let text = |number: usize| fact(&changes[..number]).map(|fact| fact.text);
        assert_eq!(text(0), None);
        assert_eq!(text(2).unwrap(), "to 1 users at 1s, to 2 users at 2s");
        assert!(text(21).unwrap().ends_with(", to 20 users at 20s, and 1 further time"));
        assert!(text(23).unwrap().ends_with(", to 20 users at 20s, and 3 further times"));
    }
}
