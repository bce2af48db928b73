//! Copies of measurements for readers that do not need all distributions. Those of the phases are most of a snapshot's
//! memory: seven for each series.

use super::{Measure, Snapshot};
use crate::engine::series::Outcome;

impl Snapshot {
    /// Drops the distributions of the phases. Their numbers and sums stay.
    pub fn keep_sums_of_phases(&mut self) {
        self.requests.values_mut().filter_map(|measure| measure.phases.as_deref_mut()).for_each(|phases| {
            phases.keep_sums();
        });
    }

    /// Returns a copy in which one series has the phases of all requests that ended, and the others have none.
    #[must_use]
    pub fn with_joined_phases(&self) -> Self {
        let without = |measure: &Measure| Measure {
            durations: measure.durations.clone(),
            received: measure.received,
            sent: measure.sent,
            after_load: measure.after_load,
            phases: None,
        };
        let mut requests: std::collections::HashMap<_, _> =
            self.requests.iter().map(|(series, measure)| (series.clone(), without(measure))).collect();
        let joined = self.phases();
        let ended = requests.iter_mut().find(|(series, _)| !series.is_step() && series.outcome != Outcome::Interrupted);
        if let Some((_, measure)) = ended.filter(|_| !joined.is_empty()) {
            measure.phases = Some(Box::new(joined));
        }
        Self {
            requests,
            triggers: self.triggers.clone(),
            scenarios: self.scenarios.clone(),
            journeys: self.journeys.clone(),
            slowest: self.slowest.clone(),
            waiting: self.waiting.clone(),
            connects: self.connects.clone(),
            checks: self.checks.clone(),
            errors: self.errors.clone(),
            redirects: self.redirects.clone(),
            generator: self.generator.clone(),
            connections: self.connections,
            user_starts: self.user_starts.clone(),
            start_waits: self.start_waits.clone(),
            tags: self.tags.clone(),
            requests_from_tags: self.requests_from_tags,
            metrics: self.metrics.clone(),
            tags_beyond: self.tags_beyond,
            failures: self.failures.clone(),
        }
    }

    /// Returns the samples of failed requests, and the series without their measurements, by which routes are named.
    #[must_use]
    pub fn into_failures(self) -> Self {
        let requests = self.requests.into_keys().map(|series| (series, Measure::default())).collect();
        Self { requests, failures: self.failures, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::Phases;
    use crate::engine::phases::Phase;
    use crate::engine::series::{Label, Series};

    /// Creates requests of three routes, of which one was cut off.
    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let ok = Outcome::Answered { status: 200, failed: false };
        for (number, outcome) in [(1, ok), (2, ok), (3, Outcome::Interrupted)] {
            let label = Arc::new(Label::new("http://h", format!("/{number}"), "GET"));
            let mut measure = Measure::default();
            for nanoseconds in 1..=2000 * number {
                measure.durations.record(nanoseconds * 1000);
                let waiting = Duration::from_nanos(nanoseconds * 500);
                measure.phases.get_or_insert_default().record(&Phases { waiting, ..Phases::default() });
            }
            snapshot.requests.insert(Series { label, outcome }, measure);
        }
        snapshot
    }

    #[test]
    fn joined_phases_are_those_of_all_requests_that_ended() {
        let whole = snapshot();
        let joined = whole.with_joined_phases();
        assert_eq!((joined.phases(), joined.phases().count()), (whole.phases(), 6000));
        assert_eq!(joined.requests.values().filter(|measure| measure.phases.is_some()).count(), 1);
        assert_eq!(joined.requests_done(), whole.requests_done());
        assert_eq!(Snapshot::default().with_joined_phases(), Snapshot::default());
    }

    #[test]
    fn sums_of_phases_stay_without_their_distributions() {
        let (whole, mut lean, mut twice) = (snapshot(), snapshot(), Snapshot::default());
        lean.keep_sums_of_phases();
        twice.merge(&lean);
        twice.merge(&lean);
        for (series, measure) in &whole.requests {
            let phases = |snapshot: &Snapshot| snapshot.requests[series].phases.clone().unwrap();
            let (all, sums, twice) = (phases(&whole), phases(&lean), phases(&twice));
            assert_eq!(sums.bytes(), 0);
            let figures = |histogram: &crate::engine::histogram::Histogram| (histogram.count(), histogram.sum());
            let (count, sum) = figures(all.recorded(Phase::Waiting));
            assert_eq!(figures(sums.recorded(Phase::Waiting)), (count, sum));
            assert_eq!(figures(twice.recorded(Phase::Waiting)), (2 * count, 2 * sum));
            assert_eq!((sums.count(), twice.bytes()), (all.count(), 0));
            assert_eq!(lean.requests[series].durations, measure.durations);
        }
    }

    #[test]
    fn failures_keep_the_names_of_routes() {
        let failures = snapshot().into_failures();
        assert_eq!(failures.requests.len(), 3);
        assert!(failures.requests.values().all(|measure| *measure == Measure::default()));
    }
}
