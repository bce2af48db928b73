//! Rates per second: the time they cover, and what they count.

use std::time::Duration;

use crate::engine::Finished;
use crate::engine::curve::Curve;
use crate::engine::plan::{Load, Model, Rate};
use crate::metrics::output::nanoseconds;

/// Time that rates per second cover.
///
/// It is the time during which triggers were started. No rate counts what ended later, within the grace: it would be
/// divided by a time in which it did not end.
///
/// ```text
/// |<------ load time ------>|<- grace ->|
/// starts are made            the last triggers end
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTime {
    /// Length of the time.
    pub time: Duration,
    /// True if rates also count what ended after the load.
    pub counts_after_load: bool,
}

impl RateTime {
    /// Returns rates over `time` that count everything that ended.
    #[must_use]
    pub fn all(time: Duration) -> Self {
        Self { time, counts_after_load: true }
    }

    /// Returns rates over `time` that count only what ended before the load was over.
    #[must_use]
    pub fn load(time: Duration) -> Self {
        Self { time, counts_after_load: false }
    }

    /// Returns the time for rates of a run that has ended.
    ///
    /// Two kinds of runs have rates over all of their time:
    ///
    /// - runs of golo 0.1, which did not report what ended after the load;
    /// - runs that were ended by their iterations, if more triggers ended after the last start than before. Their load was
    ///   over before it had a rate, as with 10 iterations by 10 users.
    #[must_use]
    pub fn of(finished: &Finished) -> Self {
        let triggers = &finished.totals.triggers;
        let before = triggers.done.saturating_sub(triggers.done_after_load);
        if !finished.tells_after_load || (is_used_up(finished) && triggers.done_after_load > before) {
            Self::all(finished.whole_time)
        } else {
            Self::load(finished.load_time)
        }
    }

    /// Returns the part of `all` that counts, if `after_load` of them ended after the load.
    #[must_use]
    pub fn counted(self, all: u64, after_load: u64) -> u64 {
        if self.counts_after_load { all } else { all.saturating_sub(after_load) }
    }

    /// Returns a sum per second; 0 if the time is zero.
    pub(super) fn number_per_second(self, number: f64) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { number / seconds } else { 0.0 }
    }

    /// Returns `number` per second; 0 if the time is zero.
    pub(super) fn per_second(self, number: u64) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { number as f64 / seconds } else { 0.0 }
    }
}

/// Returns true if the load was ended by the plan's iterations and not by its duration.
fn is_used_up(finished: &Finished) -> bool {
    let plan = &finished.plan;
    plan.iterations().is_some() && plan.duration().is_none_or(|duration| finished.load_time < duration)
}

/// Returns the time during which triggers were started. Golo 0.1 did not report it for a plan that has only iterations.
fn time(finished: &Finished) -> Duration {
    let is_told = finished.plan.duration().is_some() || finished.tells_after_load;
    if is_told { finished.load_time } else { finished.whole_time }
}

/// Returns the number of started triggers per second; `None` if the time is zero.
///
/// If iterations ended the load, its time ends with the last start. The rate does not count that start: 11 starts in 10
/// s are one per second. Users that start again as soon as they are done start as often as their triggers end.
pub(super) fn achieved_rate(finished: &Finished) -> Option<f64> {
    let triggers = &finished.totals.triggers;
    let started = triggers.done.saturating_add(triggers.interrupted);
    // Triggers that came after the end of the plan are no part of its rate.
    let started = started.saturating_sub(finished.totals.generator.overdue);
    let (number, time) = if !(is_used_up(finished) && finished.tells_after_load) {
        (started, time(finished))
    } else if finished.plan.loads().iter().all(Load::is_unpaced) {
        let rates = RateTime::of(finished);
        (rates.counted(triggers.done, triggers.done_after_load), rates.time)
    } else {
        (started.saturating_sub(1), time(finished))
    };
    (!time.is_zero()).then(|| number as f64 / time.as_secs_f64())
}

/// Returns the average of the starts per second that the plan asked for. Fewer may have become due if the generator was
/// late when the run was stopped.
pub(super) fn asked_rate(finished: &Finished) -> Option<f64> {
    let (plan, time) = (&finished.plan, time(finished));
    let asked = |load: &Load, time: Duration| match load.model() {
        Model::Open { rate, .. } => Rate::new(average(rate, time).round() as u64).map(Rate::per_second),
        Model::Closed { users, pace } => pace.map(|pace| average(users, time) / pace.as_secs_f64()),
    };
    if let Some(load) = plan.sole() {
        return asked(load, time);
    }
    // The starts of each load in its own time, over the time of the whole run.
    let starts = plan.loads().iter().map(|load| {
        let active = time.saturating_sub(load.start()).min(load.duration().unwrap_or(time));
        Some(asked(load, active)? * active.as_secs_f64())
    });
    let starts = starts.sum::<Option<f64>>()?;
    (!time.is_zero()).then(|| starts / time.as_secs_f64())
}

/// Returns the average of a curve from its start to `time`.
fn average(curve: &Curve, time: Duration) -> f64 {
    match nanoseconds(time) {
        0 => curve.at(Duration::ZERO),
        nanos => curve.twice_area(time) as f64 / (2.0 * nanos as f64),
    }
}
