//! One line per run: its name, plan and summary.

use golo::engine::histogram::Histogram;
use golo::engine::series::{Outcome, Series};
use golo::engine::snapshot::Snapshot;
use golo::report::RateTime;
use golo::wire::{self, nanoseconds};
use serde::Serialize;

use crate::results::archive::replay_kept;
use crate::results::replay::Replayed;
use crate::results::store::{KeptRun, Store, StoreError, Summarized, Summary};
use crate::support::failure::Failure;

/// State of a part that has not reported its end.
const RUNNING: &str = "running";

/// A run as one line of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// ID of the run.
    pub run: String,
    /// Name of the job.
    pub name: String,
    /// Name of the load test.
    pub load_test: String,
    /// Description of the plan.
    pub plan: String,
    /// Summary of the results.
    #[serde(flatten)]
    pub summary: Summary,
}

impl Listed {
    /// Returns the line of a stored run, or the reason why there is no summary.
    pub(crate) fn of(run: KeptRun, summary: Result<Summary, Failure>) -> Result<Self, Failure> {
        let KeptRun { run, name, load_test, plan, .. } = run;
        match summary {
            Ok(summary) => Ok(Self { run, name, load_test, plan, summary }),
            Err(reason) => Err(format!("run `{run}`: {reason}").into()),
        }
    }
}

/// Runs, each with its summary or the reason why it cannot be read. An unreadable run does not hide the others.
pub type Runs = Vec<(KeptRun, Result<Summary, Failure>)>;

/// Returns the newest runs, newest first, and the summaries that had to be computed. These are computed again each time
/// unless they are [stored](crate::results::store::Writing::summarize).
///
/// # Errors
///
/// Returns an error if the database cannot be read.
pub fn list(store: &Store, most: u64) -> Result<(Runs, Vec<Summarized>), StoreError> {
    list_from(store, 0, most)
}

/// As [`list`], without the newest `skipped` runs.
///
/// # Errors
///
/// Returns an error if the database cannot be read.
pub fn list_from(store: &Store, skipped: u64, most: u64) -> Result<(Runs, Vec<Summarized>), StoreError> {
    let mut new = Vec::new();
    let mut summarized = |run: KeptRun| {
        let summary = summarize(store, &run, &mut new);
        (run, summary)
    };
    let runs = store.runs_from(skipped, most)?.into_iter().map(&mut summarized).collect();
    Ok((runs, new))
}

/// Returns the summary of a run. If it had to be computed and is final, it is also added to `new`.
///
/// # Errors
///
/// Returns an error if the run cannot be read.
pub fn summarize(store: &Store, run: &KeptRun, new: &mut Vec<Summarized>) -> Result<Summary, Failure> {
    // The count is read first: records that arrive during the computation make the summary outdated, not wrong.
    let records = store.records_of(run)?;
    if let Some(summary) = store.summary(run, records)? {
        return Ok(summary);
    }
    let parts = store.parts(run)?;
    let replayed = replay_kept(store, &parts, None, |_| {})?;
    let summary = Summary::of(&replayed);
    // A part that stays silent while others have ended is given up after a time, so the summary is not final yet.
    if replayed.outcome.not_ended.is_none() || parts.iter().all(|part| part.state == RUNNING) {
        new.push(Summarized::of(run, records, summary.clone()));
    }
    Ok(summary)
}

impl Summary {
    fn of(replayed: &Replayed) -> Self {
        let finished = &replayed.outcome.finished;
        let totals = &finished.totals;
        let (durations, after_load) = requests(totals);
        let rates = RateTime::of(finished);
        Self {
            begun_at_ns: wire::unix_nanoseconds(replayed.begun_at),
            verdict: replayed.outcome.verdict().to_string(),
            requests: durations.count(),
            requests_failed: totals.requests_failed(),
            requests_interrupted: totals.requests_interrupted(),
            whole_time_ns: nanoseconds(finished.whole_time),
            rated_requests: rates.counted(durations.count(), after_load),
            rate_time_ns: nanoseconds(rates.time),
            p95_ns: durations.quantile(0.95),
        }
    }
}

/// Returns the durations of all completed requests, and how many of them ended after the load.
fn requests(totals: &Snapshot) -> (Histogram, u64) {
    let (mut durations, mut after_load) = (Histogram::new(), 0_u64);
    let is_counted = |series: &Series| series.outcome != Outcome::Interrupted && !series.is_step();
    for (_, measure) in totals.requests.iter().filter(|(series, _)| is_counted(series)) {
        durations.merge(&measure.durations);
        after_load = after_load.saturating_add(measure.after_load.count);
    }
    (durations, after_load)
}
