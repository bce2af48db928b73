//! What a run came to as data: what `summary=` writes, what a page of charts is made of, what runs are compared by.
//!
//! Durations are whole nanoseconds and moments nanoseconds since the start of the measured part, unless a name says
//! otherwise. `golo/docs/summary.schema.json` describes the JSON.

mod distribution;
mod generator;
mod journeys;
mod load;
mod requests;
mod timeline;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use distribution::Distribution;
use generator::Generator;
use journeys::Journeys;
use load::{Load, Triggers};
use requests::{Requests, Status};
use timeline::Points;

use super::{Ending, Judged, Timeline, Verdict, summary};
use crate::{
    engine::{Finished, errors::ErrorKind},
    output::nanoseconds,
};

/// The version of what is written: raised where a reader of an older one would be misled.
const VERSION: u32 = 1;

/// Everything that a run came to.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    version: u32,
    golo: &'static str,
    run: Run<'a>,
    verdict: Said,
    thresholds: Vec<Threshold<'a>>,
    load: Load,
    requests: Requests,
    triggers: Triggers,
    journeys: Journeys,
    checks: Vec<Check<'a>>,
    statuses: Vec<Status>,
    errors: Vec<Error<'a>>,
    generator: Generator<'a>,
    timeline: Points,
}

/// What was run.
#[derive(Debug, Serialize)]
struct Run<'a> {
    job: &'a str,
    /// The plan in words.
    plan: String,
    /// RFC 3339; none where it did not start.
    started_at: Option<String>,
    /// How long starts were made.
    load_time: u64,
    /// How long it took until nothing was in flight any more.
    whole_time: u64,
    workers: usize,
    seed: u64,
}

/// The verdict, and everything that the first lines of the summary say.
#[derive(Debug, Serialize)]
struct Said {
    word: String,
    exit_code: u8,
    text: String,
}

#[derive(Debug, Serialize)]
struct Threshold<'a> {
    threshold: String,
    metric: &'static str,
    #[serde(flatten)]
    actual: Option<super::Actual>,
    /// The actual value as the summary shows it.
    shown: String,
    passed: bool,
    reason: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Check<'a> {
    name: &'a str,
    passed: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
struct Error<'a> {
    kind: String,
    text: &'a str,
    count: u64,
    first_seen: u64,
}

impl<'a> Document<'a> {
    /// Of a run that has ended.
    #[must_use]
    pub fn of(finished: &'a Finished, verdict: &Verdict, ending: &'a Ending, timeline: &Timeline) -> Self {
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
                exit_code: verdict.exit_code(ending),
                text: summary::headline(finished, verdict, ending, &requests),
            },
            thresholds: ending.thresholds.iter().map(Threshold::of).collect(),
            load: Load::of(finished),
            triggers: Triggers::of(&totals.triggers),
            journeys: Journeys::of(totals),
            checks: checks.collect(),
            statuses: Status::all(&requests),
            requests: Requests::of(finished, &requests),
            errors: errors.collect(),
            generator: Generator::of(finished),
            timeline: Points::of(finished, timeline),
        }
    }
}

impl<'a> Run<'a> {
    fn of(finished: &'a Finished) -> Self {
        let started_at = finished.started_at.and_then(|at| OffsetDateTime::from(at).format(&Rfc3339).ok());
        Self {
            job: &finished.options.job_name,
            plan: finished.plan.to_string(),
            started_at,
            load_time: nanoseconds(finished.load_time),
            whole_time: nanoseconds(finished.whole_time),
            workers: finished.options.workers,
            seed: finished.options.seed,
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
        }
    }
}
