//! Rates per second: over which time they are, and what counts in them.

use std::time::Duration;

use crate::engine::Finished;

/// The time that rates per second are over.
///
/// It is the time in which starts were made. What ended later, within the grace, is in no rate: it would be divided by a time
/// in which it did not end.
///
/// ```text
/// |<------ load time ------>|<- grace ->|
/// starts are made            the last triggers end
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateTime {
    /// How long it is.
    pub time: Duration,
    /// Whether what ended after the load counts too.
    pub counts_after_load: bool,
}

impl RateTime {
    /// Everything that ended in this time counts.
    #[must_use]
    pub fn all(time: Duration) -> Self {
        Self { time, counts_after_load: true }
    }

    /// Only what ended before the load was over counts.
    #[must_use]
    pub fn load(time: Duration) -> Self {
        Self { time, counts_after_load: false }
    }

    /// The one of a run that has ended.
    ///
    /// Two kinds of runs have rates over all of their time:
    ///
    /// - those that do not tell what ended after the load, since golo 0.1 ran them;
    /// - those whose iterations ended the load, if more triggers ended after the last start than before: the load was over
    ///   before it had a rate, as with 10 iterations by 10 users.
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

    /// How many of `all` count, if `after_load` of them ended after the load.
    #[must_use]
    pub fn counted(self, all: u64, after_load: u64) -> u64 {
        if self.counts_after_load { all } else { all.saturating_sub(after_load) }
    }

    /// `number` per second; 0 in no time.
    pub(super) fn per_second(self, number: u64) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { number as f64 / seconds } else { 0.0 }
    }
}

/// Whether the iterations of a plan ended the load, and not its duration.
pub(super) fn is_used_up(finished: &Finished) -> bool {
    let plan = &finished.plan;
    plan.iterations().is_some() && plan.duration().is_none_or(|duration| finished.load_time < duration)
}
