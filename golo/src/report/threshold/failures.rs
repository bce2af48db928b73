//! Thresholds and failures: which ask for them, and which are of failed requests too.

use super::{
    Threshold,
    metric::{Kind, Metric, Statistic},
    tag::Tag,
};
use crate::{
    engine::{
        series::{Outcome, Series},
        snapshot::{Ends, Snapshot},
    },
    report::units::{nanoseconds, percent},
};

impl Threshold {
    /// Whether it cannot hold unless something failed or was cut off.
    ///
    /// That is so of a number or a share that is to be above 0, of failures by its metric or by its tags; and of durations of
    /// failures, which need samples.
    pub(super) fn needs_failures(&self) -> bool {
        let is_of_failures = self.tags.iter().any(Tag::is_of_failures);
        match self.metric.kind() {
            Kind::Part => !self.holds(0.0),
            Kind::Counter | Kind::Occurrences => is_of_failures && !self.holds(0.0),
            Kind::Distribution | Kind::Numbers => is_of_failures,
            Kind::Share | Kind::Gauge => false,
        }
    }

    /// What to know of durations that are of failures too: fast failures make a percentile better, slow ones worse.
    pub(super) fn note(&self, totals: &Snapshot) -> Option<String> {
        match self.metric {
            Metric::HttpReqDuration | Metric::StepDuration => self.note_of_durations(totals),
            Metric::HttpReqWaiting => included(whole_responses(totals), "requests"),
            Metric::IterationDuration | Metric::IterationResponse => {
                let triggers = &totals.triggers;
                included(Ends { done: triggers.done, failed: triggers.failed, interrupted: 0 }, "triggers")
            }
            _ => None,
        }
    }

    fn note_of_durations(&self, totals: &Snapshot) -> Option<String> {
        // It says which outcomes are meant.
        if self.tags.iter().any(Tag::is_of_outcomes) {
            return None;
        }
        let of = if self.metric.is_of_steps() { "steps" } else { "requests" };
        let included = included(self.ends(totals), of)?;
        let passed = self.durations(totals, |outcome| !outcome.is_failed());
        Some(match self.statistic.of(&passed) {
            // `as` saturates.
            Some(value) => {
                format!("{included}; {} of the passed ones is {}", self.statistic, nanoseconds(Some(value as u64)))
            }
            None => included,
        })
    }
}

/// Says how many failed, if those are more than one in a hundred.
fn included(Ends { done, failed, .. }: Ends, of: &str) -> Option<String> {
    is_noteworthy(failed, done).then(|| format!("includes {} failed {of}", percent(failed, done)))
}

/// Whether so many failures, of all, are more than one in a hundred.
pub(in crate::report) fn is_noteworthy(failed: u64, all: u64) -> bool {
    u128::from(failed) * 100 > u128::from(all)
}

/// Requests whose response came whole, which have a time to its headers.
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
    /// Whether its value is a number per second.
    pub(super) fn is_per_second(&self) -> bool {
        self.metric.kind() == Kind::Counter && self.statistic == Statistic::Rate
    }
}
