//! Durations of journeys, and the slowest journeys step by step.

use std::{sync::Arc, time::SystemTime};

use serde::Serialize;

use super::Distribution;
use crate::{
    engine::{
        series::Label,
        slowest::{Journey, Step},
        snapshot::Snapshot,
    },
    metrics::output::nanoseconds,
    report::summary::Requests,
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct Journeys {
    pub(in crate::report) duration: Distribution,
    pub(in crate::report) slowest: Vec<Slow>,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Slow {
    pub(in crate::report) sequence_id: String,
    /// Duration without the think time between requests.
    pub(in crate::report) duration: u64,
    /// The first 64 requests, in the order in which they ended.
    pub(in crate::report) steps: Vec<SlowStep>,
    /// Number of further requests.
    pub(in crate::report) further: u64,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct SlowStep {
    /// Name as in the summary.
    pub(in crate::report) name: String,
    pub(in crate::report) method: Box<str>,
    pub(in crate::report) route: Box<str>,
    /// Start of the step, since the journey's first request was sent.
    pub(in crate::report) started: u64,
    pub(in crate::report) duration: u64,
    pub(in crate::report) status: u16,
    pub(in crate::report) failed: bool,
}

impl Journeys {
    pub(super) fn of(totals: &Snapshot, requests: &Requests) -> Self {
        let slowest = totals.slowest.iter().map(|journey| Slow::of(journey, requests));
        Self { duration: (&totals.journeys).into(), slowest: slowest.collect() }
    }

    /// Returns true if each journey is one of the `requests` requests, so that there is nothing to show about journeys.
    #[cfg(feature = "html")]
    pub(in crate::report) fn are_requests(&self, requests: u64) -> bool {
        let count = self.duration.count;
        count == 0 || (count >= requests && !self.slowest.iter().any(Slow::has_steps))
    }
}

impl Slow {
    fn of(journey: &Journey<Arc<Label>>, requests: &Requests) -> Self {
        let started = journey.started();
        Self {
            sequence_id: journey.sequence_id.to_string(),
            duration: nanoseconds(journey.duration()),
            steps: journey.steps.iter().map(|step| SlowStep::of(step, started, requests)).collect(),
            further: journey.further,
        }
    }

    /// Returns true if the journey consists of more than one request.
    #[cfg(feature = "html")]
    pub(in crate::report) fn has_steps(&self) -> bool {
        self.steps.len() > 1 || self.further > 0
    }
}

impl SlowStep {
    fn of(step: &Step<Arc<Label>>, journey: SystemTime, requests: &Requests) -> Self {
        Self {
            name: requests.name(&step.label),
            method: step.label.method.clone(),
            route: step.label.route.clone(),
            started: nanoseconds(step.started.duration_since(journey).unwrap_or_default()),
            duration: nanoseconds(step.duration),
            status: step.status,
            failed: step.failed,
        }
    }
}
