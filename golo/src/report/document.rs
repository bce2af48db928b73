//! Results of a run as data. The `summary=` file contains it, the HTML page is built from it, and runs are compared by
//! it.
//!
//! Durations are whole nanoseconds. Times are nanoseconds since the start of the measured part, unless the name of a
//! field says otherwise. `golo/docs/summary.schema.json` describes the JSON.

mod distribution;
mod generator;
mod journeys;
mod load;
mod requests;
mod tags;
mod timeline;

use std::io;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use distribution::Distribution;
use generator::Generator;
use journeys::Journeys;
pub(super) use load::Load;
use load::Triggers;
use requests::{Requests, Status, Steps};
pub(super) use tags::{Spread, Tag, Tags, other_values};
use timeline::Points;
#[cfg(feature = "html")]
pub(super) use {
    journeys::{Slow, SlowStep},
    load::Dropped,
    requests::Amounts,
    timeline::OnePoint,
};

use super::{
    Judged, RateTime, RunOutcome,
    outputs::{FileOutput, OutputKind, WriteReport},
    summary,
};
use crate::{
    engine::{
        Finished,
        errors::ErrorKind,
        plan::{self, Plan},
    },
    metrics::output::nanoseconds,
};

/// Version of the format. It is raised if readers of an older version would misread the file.
const VERSION: u32 = 1;

pub(super) const KIND: OutputKind = OutputKind::file("summary", "summary=FILE.json", |path| {
    FileOutput::open("summary", [(path.into(), write as WriteReport)])
});

fn write(outcome: &RunOutcome, to: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, &Document::of(outcome))?;
    to.write_all(b"\n")
}

/// All results of a run.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    pub(in crate::report) version: u32,
    pub(in crate::report) golo: &'static str,
    pub(in crate::report) run: Run<'a>,
    pub(in crate::report) verdict: Said,
    pub(in crate::report) thresholds: Vec<Threshold<'a>>,
    pub(in crate::report) load: Load,
    pub(in crate::report) requests: Requests,
    pub(in crate::report) steps: Steps,
    pub(in crate::report) triggers: Triggers,
    pub(in crate::report) journeys: Journeys,
    pub(in crate::report) tags: Tags<'a>,
    pub(in crate::report) checks: Vec<Check<'a>>,
    pub(in crate::report) statuses: Vec<Status>,
    pub(in crate::report) errors: Vec<Error<'a>>,
    pub(in crate::report) generator: Generator<'a>,
    pub(in crate::report) timeline: Points,
}

/// Description of the run: plan, time, seed.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Run<'a> {
    pub(in crate::report) job: &'a str,
    /// The plan in words.
    pub(in crate::report) plan: String,
    pub(in crate::report) model: Model,
    /// Start time, in RFC 3339; `None` if the run did not start.
    pub(in crate::report) started_at: Option<String>,
    /// Time during which triggers were started.
    pub(in crate::report) load_time: u64,
    /// Time until nothing was in flight any more.
    pub(in crate::report) whole_time: u64,
    /// Time that rates per second are divided by.
    pub(in crate::report) rate_time: u64,
    /// True if rates also count what ended after the load.
    pub(in crate::report) rates_count_after_load: bool,
    pub(in crate::report) workers: usize,
    pub(in crate::report) seed: u64,
}

/// Load model of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::report) enum Model {
    /// Users that start again as soon as they are done. Nothing has a due time.
    Closed,
    /// Users that start once per pace.
    Paced,
    /// A rate of starts, independent of how fast the target responds.
    Open,
}

/// The verdict and the first lines of the summary.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Said {
    pub(in crate::report) word: String,
    pub(in crate::report) exit_code: u8,
    pub(in crate::report) text: String,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Threshold<'a> {
    pub(in crate::report) threshold: String,
    pub(in crate::report) metric: &'static str,
    #[serde(flatten)]
    pub(in crate::report) actual: Option<super::Actual>,
    /// The actual value, formatted as in the summary.
    pub(in crate::report) shown: String,
    pub(in crate::report) passed: bool,
    pub(in crate::report) reason: Option<&'a str>,
    /// Remark on the value, in words.
    pub(in crate::report) note: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Check<'a> {
    pub(in crate::report) name: &'a str,
    pub(in crate::report) passed: u64,
    pub(in crate::report) failed: u64,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Error<'a> {
    pub(in crate::report) kind: String,
    pub(in crate::report) text: &'a str,
    pub(in crate::report) count: u64,
    pub(in crate::report) first_seen: u64,
}

impl<'a> Document<'a> {
    /// Returns the document of a run that has ended.
    #[must_use]
    pub fn of(outcome: &'a RunOutcome) -> Self {
        let RunOutcome { finished, timeline, thresholds, .. } = outcome;
        let verdict = &outcome.verdict();
        let totals = &finished.totals;
        let requests = summary::Requests::of(totals);
        let checks =
            totals.checks.iter().map(|(name, check)| Check { name, passed: check.passed, failed: check.failed });
        let errors = totals.errors.by_count().into_iter().map(|(kind, text, seen)| Error {
            kind: ErrorKind::to_string(&kind),
            text,
            count: seen.count,
            first_seen: nanoseconds(seen.first),
        });
        Self {
            version: VERSION,
            golo: env!("CARGO_PKG_VERSION"),
            run: Run::of(finished),
            verdict: Said {
                word: verdict.to_string(),
                exit_code: outcome.exit() as u8,
                text: summary::headline(outcome, verdict, &requests),
            },
            thresholds: thresholds.iter().map(Threshold::of).collect(),
            load: Load::of(finished),
            triggers: Triggers::of(&totals.triggers),
            journeys: Journeys::of(totals, &requests),
            tags: Tags::of(&totals.tags),
            checks: checks.collect(),
            statuses: Status::all(&requests),
            steps: Steps::of(finished, &requests),
            requests: Requests::of(finished, &requests),
            errors: errors.collect(),
            generator: Generator::of(finished),
            timeline: Points::of(finished, timeline),
        }
    }
}

impl<'a> Run<'a> {
    fn of(finished: &'a Finished) -> Self {
        let rates = RateTime::of(finished);
        let started_at = finished.started_at.and_then(|at| OffsetDateTime::from(at).format(&Rfc3339).ok());
        Self {
            job: &finished.options.job_name,
            plan: finished.plan.to_string(),
            model: Model::of(&finished.plan),
            started_at,
            load_time: nanoseconds(finished.load_time),
            whole_time: nanoseconds(finished.whole_time),
            rate_time: nanoseconds(rates.time),
            rates_count_after_load: rates.counts_after_load,
            workers: finished.options.workers,
            seed: finished.options.seed,
        }
    }
}

impl Model {
    fn of(plan: &Plan) -> Self {
        match plan.model() {
            plan::Model::Open { .. } => Self::Open,
            plan::Model::Closed { pace: Some(_), .. } => Self::Paced,
            plan::Model::Closed { pace: None, .. } => Self::Closed,
        }
    }
}

impl<'a> Threshold<'a> {
    fn of(judged: &'a Judged) -> Self {
        Self {
            threshold: judged.threshold.to_string(),
            metric: judged.metric(),
            actual: judged.actual,
            shown: judged.shown(),
            passed: judged.passed,
            reason: judged.reason.as_deref(),
            note: judged.note.as_deref(),
        }
    }
}
