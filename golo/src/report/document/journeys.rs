//! The journeys: how long they took, and the slowest of them step by step.

use std::{sync::Arc, time::SystemTime};

use serde::Serialize;

use super::Distribution;
use crate::{
    engine::{
        series::Label,
        slowest::{Journey, Step},
        snapshot::Snapshot,
    },
    output::nanoseconds,
};

#[derive(Debug, Serialize)]
pub(super) struct Journeys {
    duration: Distribution,
    slowest: Vec<Slow>,
}

#[derive(Debug, Serialize)]
struct Slow {
    sequence_id: String,
    /// Without the think time between its requests.
    duration: u64,
    /// The first 64 requests, in the order in which they ended.
    steps: Vec<SlowStep>,
    /// How many more there were.
    further: u64,
}

#[derive(Debug, Serialize)]
struct SlowStep {
    method: Box<str>,
    route: Box<str>,
    /// Since the journey's first request was sent.
    started: u64,
    duration: u64,
    status: u16,
    failed: bool,
}

impl Journeys {
    pub(super) fn of(totals: &Snapshot) -> Self {
        Self { duration: (&totals.journeys).into(), slowest: totals.slowest.iter().map(Slow::of).collect() }
    }
}

impl Slow {
    fn of(journey: &Journey<Arc<Label>>) -> Self {
        let started = journey.started();
        Self {
            sequence_id: journey.sequence_id.to_string(),
            duration: nanoseconds(journey.duration()),
            steps: journey.steps.iter().map(|step| SlowStep::of(step, started)).collect(),
            further: journey.further,
        }
    }
}

impl SlowStep {
    fn of(step: &Step<Arc<Label>>, journey: SystemTime) -> Self {
        Self {
            method: step.label.method.clone(),
            route: step.label.route.clone(),
            started: nanoseconds(step.started.duration_since(journey).unwrap_or_default()),
            duration: nanoseconds(step.duration),
            status: step.status,
            failed: step.failed,
        }
    }
}
