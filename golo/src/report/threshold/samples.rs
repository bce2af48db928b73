//! Samples of a threshold's metric.

use std::{borrow::Cow, time::Duration};

use super::Threshold;
use super::metric::{Metric, Statistic};
use super::tag::{Key, Tag};
use crate::engine::Finished;
use crate::engine::histogram::Histogram;
use crate::engine::metrics::Level;
use crate::engine::phases::Phase;
use crate::engine::series::{Outcome, Series};
use crate::engine::snapshot::{Ends, Measure, Snapshot, Triggers};
use crate::engine::tags::Numbers;
use crate::metrics::check::Check;
use crate::report::RateTime;
use crate::support::nearest::nearest;

/// Measurements by which a threshold is judged, of a run that has ended or is under way.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// Everything that was measured.
    pub totals: &'a Snapshot,
    /// Time that rates per second cover.
    pub rates: RateTime,
    /// Number of users; `None` if it was not observed.
    pub users: Option<Users>,
}

/// Lowest and highest number of users at the end of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Users {
    /// The lowest number.
    pub fewest: u64,
    /// The highest number.
    pub most: u64,
}

impl Users {
    /// Returns `known` updated with the current number of users.
    #[must_use]
    pub fn with(known: Option<Self>, users: u64) -> Self {
        known.map_or(Self { fewest: users, most: users }, |known| Self {
            fewest: known.fewest.min(users),
            most: known.most.max(users),
        })
    }
}

impl<'a> Measured<'a> {
    /// Returns the measurements of a run that has ended.
    #[must_use]
    pub fn of(finished: &'a Finished, users: Option<Users>) -> Self {
        Self { totals: &finished.totals, rates: RateTime::of(finished), users }
    }
}

/// Samples of a metric.
#[derive(Debug, Clone)]
pub(super) enum Samples<'a> {
    Counter(u64),
    Distribution(Cow<'a, Histogram>),
    Share {
        part: u64,
        of: u64,
    },
    Gauge(Option<Users>),
    Numbers(Numbers),
    /// Sum of a counter.
    Sum(f64),
    /// Values of a gauge.
    Level(Level),
    /// No samples of any kind. If `is_lost`, there will never be any.
    Nothing {
        is_lost: bool,
    },
}

impl Samples<'_> {
    /// Returns a distribution without samples.
    fn none() -> Self {
        Self::Distribution(Cow::Owned(Histogram::new()))
    }
}

impl Threshold {
    /// Returns the samples that the threshold selects.
    pub(super) fn samples<'a>(&self, measured: &Measured<'a>) -> Samples<'a> {
        let totals = measured.totals;
        let none = Triggers::default();
        let triggers = match self.scenario() {
            Some(scenario) => totals.scenarios.get(scenario).unwrap_or(&none),
            None => &totals.triggers,
        };
        let tried = triggers.done.saturating_add(triggers.interrupted);
        let is_rate = self.is_per_second();
        let amount = |all: u64, after_load: u64| if is_rate { measured.rates.counted(all, after_load) } else { all };
        // The amount of a measure, and the part of it that came after the load.
        let sum = |amounts: fn(&Measure) -> (u64, u64)| {
            let selected = self.requests(totals).map(|(_, measure)| amounts(measure));
            Samples::Counter(selected.fold(0, |sum, (all, after_load)| sum.saturating_add(amount(all, after_load))))
        };
        let part = |part: u64, of: u64| match self.statistic {
            Statistic::Count => Samples::Counter(part),
            _ => Samples::Share { part, of },
        };
        let distribution = |histogram| Samples::Distribution(Cow::Borrowed(histogram));
        let of_triggers = |histogram: &'a Histogram, of: fn(&Triggers) -> &Histogram| match self.scenario() {
            Some(scenario) => {
                totals.scenarios.get(scenario).map_or_else(Samples::none, |found| distribution(of(found)))
            }
            None => distribution(histogram),
        };
        match self.metric {
            Metric::HttpReqs | Metric::Steps => sum(|measure| (measure.durations.count(), measure.after_load.count)),
            Metric::DataSent => sum(|measure| (measure.sent, measure.after_load.sent)),
            Metric::DataReceived => sum(|measure| (measure.received, measure.after_load.received)),
            Metric::Iterations => Samples::Counter(amount(triggers.done, triggers.done_after_load)),
            Metric::DroppedIterations => Samples::Counter(triggers.dropped()),
            Metric::HttpReqDuration | Metric::StepDuration => {
                Samples::Distribution(Cow::Owned(self.durations(totals, |_| true)))
            }
            Metric::HttpReqBlocked
            | Metric::HttpReqDns
            | Metric::HttpReqConnecting
            | Metric::HttpReqTlsHandshaking
            | Metric::HttpReqSending
            | Metric::HttpReqWaiting
            | Metric::HttpReqReceiving => {
                let of_phase = self.metric.phase().map(|phase| self.phase(totals, phase, |_| true));
                Samples::Distribution(Cow::Owned(of_phase.unwrap_or_default()))
            }
            Metric::IterationDuration => of_triggers(&totals.triggers.service, |triggers| &triggers.service),
            Metric::IterationResponse => of_triggers(&totals.triggers.response, |triggers| &triggers.response),
            Metric::JourneyDuration => distribution(&totals.journeys),
            Metric::UserStartDuration => distribution(&totals.user_starts),
            Metric::HttpReqFailed | Metric::HttpReqInterrupted | Metric::StepFailed => {
                let ends = self.ends(totals);
                part(if self.metric == Metric::HttpReqInterrupted { ends.interrupted } else { ends.failed }, ends.all())
            }
            Metric::IterationFailed => part(triggers.failed, tried),
            Metric::IterationInterrupted => part(triggers.interrupted, tried),
            Metric::Checks => {
                let Check { passed, failed } = self.checks(totals);
                Samples::Share { part: passed, of: passed.saturating_add(failed) }
            }
            Metric::Tag | Metric::TagValue => {
                self.trigger_tags(totals).unwrap_or_else(|nothing| Samples::Nothing { is_lost: nothing.is_lost })
            }
            Metric::GroupDuration | Metric::Own => {
                self.own(measured).unwrap_or_else(|nothing| Samples::Nothing { is_lost: nothing.is_lost })
            }
            Metric::Vus => Samples::Gauge(measured.users),
        }
    }

    /// Returns the number of samples in a second; for a counter, its increase.
    pub(super) fn amount(&self, second: &Snapshot) -> u64 {
        if let Some(phase) = self.metric.phase() {
            return self.phase_samples(second, phase).done;
        }
        match self.metric {
            Metric::HttpReqDuration | Metric::StepDuration => self.ends(second).done,
            _ => match self.samples(&Measured { totals: second, rates: RateTime::all(Duration::ZERO), users: None }) {
                Samples::Counter(count) => count,
                Samples::Distribution(histogram) => histogram.count(),
                Samples::Share { of, .. } => of,
                Samples::Numbers(numbers) => numbers.count(),
                // `as` saturates.
                Samples::Sum(sum) => sum.ceil() as u64,
                Samples::Level(level) => level.count,
                Samples::Gauge(_) | Samples::Nothing { .. } => 0,
            },
        }
    }

    /// Returns the requests or measured steps that the threshold selects, including those that the run cut off.
    fn selected<'a>(&'a self, totals: &'a Snapshot) -> impl Iterator<Item = (&'a Series, &'a Measure)> {
        let wants_steps = self.wants_steps();
        totals
            .requests
            .iter()
            .filter(move |(series, _)| series.is_step() == wants_steps && self.tags.iter().all(|tag| tag.is_of(series)))
    }

    /// Returns true if the threshold selects measured steps, by its metric or by its tags.
    pub(super) fn wants_steps(&self) -> bool {
        self.metric.is_of_steps() || self.tags.iter().any(Tag::is_of_steps)
    }

    /// Returns those selected that ended.
    fn requests<'a>(&'a self, totals: &'a Snapshot) -> impl Iterator<Item = (&'a Series, &'a Measure)> {
        self.selected(totals).filter(|(series, _)| series.outcome != Outcome::Interrupted)
    }

    /// Returns the outcomes of those selected.
    pub(super) fn ends(&self, totals: &Snapshot) -> Ends {
        let mut ends = Ends::default();
        self.selected(totals).for_each(|(series, measure)| ends.add(series.outcome, measure.durations.count()));
        ends
    }

    /// Returns the durations of those selected that have a wanted outcome.
    pub(super) fn durations(&self, totals: &Snapshot, is_wanted: impl Fn(Outcome) -> bool) -> Histogram {
        let mut all = Histogram::new();
        let wanted = self.requests(totals).filter(|(series, _)| is_wanted(series.outcome));
        wanted.for_each(|(_, measure)| all.merge(&measure.durations));
        all
    }

    /// Returns the samples of a phase, of those selected that have a wanted outcome.
    pub(super) fn phase(&self, totals: &Snapshot, phase: Phase, is_wanted: impl Fn(Outcome) -> bool) -> Histogram {
        let (mut all, mut zeros) = (Histogram::new(), 0_u64);
        let wanted = self.requests(totals).filter(|(series, _)| is_wanted(series.outcome));
        for phases in wanted.filter_map(|(_, measure)| measure.phases.as_deref()) {
            all.merge(phases.recorded(phase));
            zeros = zeros.saturating_add(phases.zeros(phase));
        }
        all.record_n(0, zeros);
        if phase == Phase::Waiting && self.tags.is_empty() {
            all.merge(&totals.waiting);
        }
        all
    }

    /// Returns the number of samples of a phase, by the outcomes of their requests.
    pub(super) fn phase_samples(&self, totals: &Snapshot, phase: Phase) -> Ends {
        let mut ends = Ends::default();
        for (series, measure) in self.requests(totals) {
            ends.add(series.outcome, measure.phases.as_ref().map_or(0, |phases| phases.samples(phase)));
        }
        if phase == Phase::Waiting && self.tags.is_empty() {
            ends.done = ends.done.saturating_add(totals.waiting.count());
        }
        ends
    }

    fn checks(&self, totals: &Snapshot) -> Check {
        let is_wanted = |name: &str| self.tags.iter().all(|tag| *tag.value() == *name);
        let mut all = Check::default();
        for (_, check) in totals.checks.iter().filter(|(name, _)| is_wanted(name)) {
            all.passed = all.passed.saturating_add(check.passed);
            all.failed = all.failed.saturating_add(check.failed);
        }
        all
    }

    /// Explains that there are no samples, and suggests a similar value.
    pub(super) fn nothing(&self, totals: &Snapshot) -> String {
        if matches!(self.metric, Metric::Tag | Metric::TagValue)
            && let Err(nothing) = self.trigger_tags(totals)
        {
            return nothing.reason;
        }
        if !self.is_of_requests() {
            let measured = Measured { totals, rates: RateTime::all(Duration::ZERO), users: None };
            return match self.own(&measured) {
                Err(nothing) => nothing.reason,
                Ok(_) => format!("no samples of `{}`", self.subject()),
            };
        }
        let meant = self.tags.iter().find_map(|tag| {
            let known = values(tag, totals);
            let value = tag.value();
            if known.contains(&&*value) { None } else { nearest(&value, known) }
        });
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        format!("no samples of `{}`{meant}", self.subject())
    }
}

/// Returns the known values of a tag that has free text.
fn values<'a>(tag: &Tag, totals: &'a Snapshot) -> Vec<&'a str> {
    let labels = totals.requests.keys().map(|series| &*series.label);
    match tag.key() {
        Key::Own => labels.filter_map(|label| label.tags.get(tag.name())).collect(),
        Key::Route => labels.map(|label| &*label.route).collect(),
        Key::Method => labels.map(|label| &*label.method).collect(),
        Key::Origin => labels.map(|label| &*label.origin).collect(),
        Key::Step => labels.filter(|label| label.is_step()).map(|label| &*label.route).collect(),
        Key::Check => totals.checks.keys().map(|name| &**name).collect(),
        Key::Scenario => totals.scenarios.keys().map(|name| &**name).collect(),
        Key::Status | Key::Error | Key::Outcome | Key::Trigger => Vec::new(),
    }
}
