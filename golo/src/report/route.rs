//! Measurements of a route over all outcomes.

use super::{RateTime, threshold::is_noteworthy};
use crate::engine::histogram::Histogram;
use crate::engine::phases::MeasuredPhases;
use crate::engine::series::Outcome;
use crate::engine::snapshot::Measure;

/// The requests of one route, or the runs of one measured step.
#[derive(Default)]
pub(super) struct Route {
    /// All that ended.
    pub(super) all: Amounts,
    /// Those that passed, once one has failed. Until then they are `all`, and this is empty.
    pub(super) passed: Amounts,
    pub(super) failed: Amounts,
    /// Number that was cut off by the end of the run. No other field here counts them.
    pub(super) interrupted: u64,
    /// Redirects that were followed.
    pub(super) redirects: u64,
    /// Phases of all that ended.
    pub(super) phases: MeasuredPhases,
}

/// Number of requests, their durations and sizes.
#[derive(Clone, Default)]
pub(super) struct Amounts {
    pub(super) durations: Histogram,
    pub(super) received: u64,
    pub(super) sent: u64,
    /// Number that ended after the load.
    pub(super) after_load: u64,
}

impl Amounts {
    fn add(&mut self, measure: &Measure) {
        self.durations.merge(&measure.durations);
        self.received = self.received.saturating_add(measure.received);
        self.sent = self.sent.saturating_add(measure.sent);
        self.after_load = self.after_load.saturating_add(measure.after_load.count);
    }

    /// Returns the number that a rate counts.
    pub(super) fn rated(&self, rates: RateTime) -> u64 {
        rates.counted(self.durations.count(), self.after_load)
    }
}

impl Route {
    pub(super) fn add(&mut self, measure: &Measure, outcome: Outcome) {
        if outcome == Outcome::Interrupted {
            self.interrupted = self.interrupted.saturating_add(measure.durations.count());
            return;
        }
        if outcome.is_failed() {
            if self.failed() == 0 {
                self.passed = self.all.clone();
            }
            self.failed.add(measure);
        } else if self.failed() > 0 {
            self.passed.add(measure);
        }
        self.all.add(measure);
        if let Some(phases) = &measure.phases {
            self.phases.merge(phases);
        }
    }

    /// Returns the number that ended.
    pub(super) fn count(&self) -> u64 {
        self.all.durations.count()
    }

    /// Returns the number that failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.durations.count()
    }

    /// Returns the number that ended or was cut off. The share of failed ones is relative to it.
    pub(super) fn tried(&self) -> u64 {
        self.count().saturating_add(self.interrupted)
    }

    /// Returns the durations of passed and of failed ones, if more than 1 % but not all of them failed.
    pub(super) fn apart(&self) -> Option<[&Histogram; 2]> {
        let apart = [&self.passed.durations, &self.failed.durations];
        (is_noteworthy(self.failed(), self.count()) && !apart[0].is_empty()).then_some(apart)
    }

    /// Returns the number per second.
    pub(super) fn per_second(&self, rates: RateTime) -> f64 {
        rates.per_second(self.all.rated(rates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_and_failed_requests_are_apart_in_any_order() {
        let measure = |nanoseconds| {
            let mut measure = Measure { received: nanoseconds, ..Measure::default() };
            measure.durations.record(nanoseconds);
            measure
        };
        let parts = [(1, 200, false), (2, 500, true), (3, 200, false), (4, 503, true)];
        for order in [[0, 1, 2, 3], [1, 0, 3, 2], [0, 2, 1, 3], [1, 3, 0, 2]] {
            let mut route = Route::default();
            for (nanoseconds, status, failed) in order.map(|at| parts[at]) {
                route.add(&measure(nanoseconds), Outcome::Answered { status, failed });
            }
            let figures = |amounts: &Amounts| (amounts.durations.count(), amounts.durations.sum(), amounts.received);
            assert_eq!([&route.passed, &route.failed, &route.all].map(figures), [(2, 4, 4), (2, 6, 6), (4, 10, 10)]);
            assert!(route.apart().is_some());
        }
        let mut passed = Route::default();
        passed.add(&measure(1), Outcome::Answered { status: 200, failed: false });
        assert!(passed.apart().is_none());
    }
}
