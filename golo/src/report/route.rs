//! Measurements of a route over all outcomes.

use crate::{
    engine::{histogram::Histogram, series::Outcome, snapshot::Measure},
    report::{
        RateTime,
        threshold::is_noteworthy,
        units::{bytes, count, counted, percent, rate},
    },
};

/// The requests of one route, or the runs of one measured step.
#[derive(Default)]
pub(in crate::report) struct Route {
    /// All that ended.
    pub(in crate::report) all: Amounts,
    passed: Amounts,
    failed: Amounts,
    /// Number that was cut off by the end of the run. No other field here counts them.
    pub(in crate::report) interrupted: u64,
    /// Redirects that were followed.
    pub(in crate::report) redirects: u64,
}

/// Number of requests, their durations and sizes.
#[derive(Default)]
pub(in crate::report) struct Amounts {
    pub(in crate::report) durations: Histogram,
    pub(in crate::report) received: u64,
    pub(in crate::report) sent: u64,
    /// Number that ended after the load.
    pub(in crate::report) after_load: u64,
}

impl Amounts {
    fn add(&mut self, measure: &Measure) {
        self.durations.merge(&measure.durations);
        self.received = self.received.saturating_add(measure.received);
        self.sent = self.sent.saturating_add(measure.sent);
        self.after_load = self.after_load.saturating_add(measure.after_load.count);
    }

    fn count(&self) -> u64 {
        self.durations.count()
    }

    /// Returns the number that a rate counts.
    fn rated(&self, rates: RateTime) -> u64 {
        rates.counted(self.count(), self.after_load)
    }

    /// Returns the cells of a table: count, share of failed ones, rate, and received bytes.
    fn cells(&self, failed: String, rates: RateTime) -> Vec<String> {
        vec![count(self.count()), failed, rate(self.rated(rates), rates.time), bytes(self.received)]
    }
}

impl Route {
    pub(super) fn add(&mut self, measure: &Measure, outcome: Outcome) {
        if outcome == Outcome::Interrupted {
            self.interrupted = self.interrupted.saturating_add(measure.durations.count());
            return;
        }
        self.all.add(measure);
        let apart = if outcome.is_failed() { &mut self.failed } else { &mut self.passed };
        apart.add(measure);
    }

    /// Returns the number that ended.
    pub(in crate::report) fn count(&self) -> u64 {
        self.all.count()
    }

    /// Returns the number that failed.
    pub(in crate::report) fn failed(&self) -> u64 {
        self.failed.count()
    }

    /// Returns the number that ended or was cut off. The share of failed ones is relative to it.
    pub(in crate::report) fn tried(&self) -> u64 {
        self.count().saturating_add(self.interrupted)
    }

    /// Returns the durations of passed and of failed ones, if more than 1 % but not all of them failed.
    pub(in crate::report) fn apart(&self) -> Option<(&Histogram, &Histogram)> {
        let is_worth_it = is_noteworthy(self.failed(), self.count()) && self.passed.count() > 0;
        is_worth_it.then_some((&self.passed.durations, &self.failed.durations))
    }

    /// Returns the number per second.
    pub(in crate::report) fn per_second(&self, rates: RateTime) -> f64 {
        rates.per_second(self.all.rated(rates))
    }

    /// Returns the rows of a table, each with its name, its formatted amounts and its durations. If `with_apart` is
    /// true, passed and failed ones also get a row each if [`apart`](Self::apart) returns them.
    pub(super) fn rows(&self, name: &str, rates: RateTime, with_apart: bool) -> Vec<(String, Vec<String>, &Histogram)> {
        let failed = percent(self.failed(), self.tried());
        let mut rows = vec![(format!("  {name}"), self.all.cells(failed, rates), &self.all.durations)];
        if with_apart && self.apart().is_some() {
            for (name, amounts, failed) in [("passed", &self.passed, "0%"), ("failed", &self.failed, "100%")] {
                rows.push((format!("    {name}"), amounts.cells(failed.to_owned(), rates), &amounts.durations));
            }
        }
        rows
    }

    /// Returns the remarks below a table of which this is the total.
    pub(super) fn remarks(&self, rates: RateTime, noun: &str) -> Vec<String> {
        [self.said_after_load(rates, noun), self.said_cut_off(noun)].into_iter().flatten().collect()
    }

    /// Describes those that ended after the load, unless rates count them.
    fn said_after_load(&self, rates: RateTime, noun: &str) -> Option<String> {
        let after = self.all.after_load;
        (after > 0 && !rates.counts_after_load).then(|| said_after_load(after, noun))
    }

    /// Describes those that were cut off.
    fn said_cut_off(&self, noun: &str) -> Option<String> {
        said_cut_off(self.interrupted, self.tried(), noun)
    }
}

/// Describes requests that ended after the load.
pub(in crate::report) fn said_after_load(number: u64, noun: &str) -> String {
    format!("{} ended after the load: counted above, but in no rate", counted(number, noun))
}

/// Describes requests that were cut off, as a share of all.
pub(in crate::report) fn said_cut_off(interrupted: u64, all: u64, noun: &str) -> Option<String> {
    let were = if interrupted == 1 { "was" } else { "were" };
    let share = percent(interrupted, all);
    (interrupted > 0).then(|| {
        format!(
            "{} {were} cut off by the end of the run ({share}): in no count and no latency",
            counted(interrupted, noun)
        )
    })
}
