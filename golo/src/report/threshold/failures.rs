//! Thresholds and failures: thresholds that ask for failures, and notes on values that include them.

use std::time::Duration;

use super::Threshold;
use super::metric::{Kind, Metric, Statistic};
use super::samples::{Measured, Samples};
use super::tag::Tag;
use crate::engine::histogram::Histogram;
use crate::engine::phases::Phase;
use crate::engine::series::{Outcome, Series};
use crate::engine::snapshot::{Ends, Snapshot};
use crate::report::RateTime;
use crate::report::units::{nanoseconds, percent};

impl Threshold {
    /// Returns true if the threshold cannot pass unless something failed or was cut off.
    ///
    /// That applies to counts and shares of failures that must be above 0; the metric or the tags select the failures.
    /// It also applies to durations of failures, since they need samples.
    pub(super) fn needs_failures(&self) -> bool {
        let is_of_failures = self.tags.iter().any(Tag::is_of_failures);
        match self.metric.kind() {
            Kind::Part => !self.holds(0.0),
            Kind::Counter | Kind::Occurrences => is_of_failures && !self.holds(0.0),
            Kind::Distribution | Kind::Numbers => is_of_failures,
            Kind::Share | Kind::Gauge | Kind::Own => false,
        }
    }

    /// Returns a note on durations that include those of failures. Fast failures improve a percentile, slow ones make
    /// it worse.
    pub(super) fn note(&self, totals: &Snapshot) -> Option<String> {
        if let Some(phase) = self.metric.phase() {
            return self.note_of_phase(totals, phase);
        }
        match self.metric {
            Metric::HttpReqDuration | Metric::StepDuration => self.note_of_durations(totals),
            Metric::IterationDuration | Metric::IterationResponse => {
                let triggers = &totals.triggers;
                included(Ends { done: triggers.done, failed: triggers.failed, interrupted: 0 }, "triggers")
            }
            _ => None,
        }
    }

    fn note_of_durations(&self, totals: &Snapshot) -> Option<String> {
        // The tags already select outcomes.
        if self.tags.iter().any(Tag::is_of_outcomes) {
            return None;
        }
        let of = if self.metric.is_of_steps() { "steps" } else { "requests" };
        let included = included(self.ends(totals), of)?;
        let passed = self.durations(totals, |outcome| !outcome.is_failed());
        Some(self.beside(included, &passed))
    }

    fn note_of_phase(&self, totals: &Snapshot, phase: Phase) -> Option<String> {
        // The tags already select outcomes.
        if self.tags.iter().any(Tag::is_of_outcomes) {
            return None;
        }
        if !totals.waiting.is_empty() {
            // Golo 0.1 did not record which of the requests failed.
            return included(whole_responses(totals), "requests");
        }
        let included = included(self.phase_samples(totals, phase), "requests")?;
        Some(self.beside(included, &self.phase(totals, phase, |outcome| !outcome.is_failed())))
    }

    /// Returns the note with the value of the passed ones, if there are any.
    fn beside(&self, included: String, passed: &Histogram) -> String {
        match self.statistic.of(passed) {
            // `as` saturates.
            Some(value) => {
                format!("{included}; {} of the passed ones is {}", self.statistic, nanoseconds(Some(value as u64)))
            }
            None => included,
        }
    }
}

/// Describes the share of failures, if it is more than 1 %.
fn included(Ends { done, failed, .. }: Ends, of: &str) -> Option<String> {
    is_noteworthy(failed, done).then(|| format!("includes {} failed {of}", percent(failed, done)))
}

/// Returns true if `failed` is more than 1 % of `all`.
pub(in crate::report) fn is_noteworthy(failed: u64, all: u64) -> bool {
    u128::from(failed) * 100 > u128::from(all)
}

/// Returns the outcomes of requests that got a whole response. Only these have a time to the headers in golo 0.1.
fn whole_responses(totals: &Snapshot) -> Ends {
    let is_whole = |series: &Series| {
        !series.is_step() && matches!(series.outcome, Outcome::Answered { .. } | Outcome::Content { .. })
    };
    let mut ends = Ends::default();
    for (series, measure) in totals.requests.iter().filter(|(series, _)| is_whole(series)) {
        ends.add(series.outcome, measure.durations.count());
    }
    ends
}

impl Threshold {
    /// Returns true if the value is a rate per second, of a metric of golo's.
    pub(super) fn is_per_second(&self) -> bool {
        self.metric.kind() == Kind::Counter && self.statistic == Statistic::Rate
    }

    /// Returns true if the value is a rate per second, judging by what was measured: the rate of a metric of the load
    /// test's own is one if the metric is a counter.
    pub(super) fn is_rate_of(&self, totals: &Snapshot) -> bool {
        let measured = Measured { totals, rates: RateTime::load(Duration::ZERO), users: None };
        let is_sum = || matches!(self.samples(&measured), Samples::Sum(_));
        self.is_per_second() || (self.metric == Metric::Own && self.statistic == Statistic::Rate && is_sum())
    }
}
