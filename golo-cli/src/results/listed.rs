//! A run in one line: what it was, and what it came to.

use golo::{
    cli::chain,
    engine::{
        histogram::Histogram,
        series::{Outcome, Series},
        snapshot::Snapshot,
    },
    report::RateTime,
    wire::{self, nanoseconds},
};
use serde::Serialize;

use crate::results::{
    archive::replay_kept,
    replay::Replayed,
    store::{KeptRun, Store, StoreError, Summarized, Summary},
};

/// What parts are that have not told their end.
const RUNNING: &str = "running";

/// A run in one line.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// What it is called by.
    pub run: String,
    /// The job's name.
    pub name: String,
    /// The load test.
    pub load_test: String,
    /// The plan, in words.
    pub plan: String,
    /// What it came to.
    #[serde(flatten)]
    pub summary: Summary,
}

impl Listed {
    /// A run that is kept.
    pub(crate) fn of(run: KeptRun, summary: Result<Summary, String>) -> Result<Self, String> {
        let KeptRun { run, name, load_test, plan, .. } = run;
        match summary {
            Ok(summary) => Ok(Self { run, name, load_test, plan, summary }),
            Err(reason) => Err(format!("run `{run}`: {reason}")),
        }
    }
}

/// Runs, each with what it came to, or why that cannot be read: one that cannot hides no other.
pub type Runs = Vec<(KeptRun, Result<Summary, String>)>;

/// The newest runs, the newest first; and those summaries that had to be worked out, and will have to be again unless they
/// are [kept](crate::results::store::Writing::summarize).
///
/// # Errors
///
/// Where the database fails.
pub fn list(store: &Store, most: u64) -> Result<(Runs, Vec<Summarized>), StoreError> {
    let mut new = Vec::new();
    let mut summarized = |run: KeptRun| {
        let summary = summarize(store, &run, &mut new);
        (run, summary)
    };
    let runs = store.runs(most)?.into_iter().map(&mut summarized).collect();
    Ok((runs, new))
}

/// What a run came to; adds that to `new` where it had to be worked out, and will not change by itself.
///
/// # Errors
///
/// Where it cannot be read.
pub fn summarize(store: &Store, run: &KeptRun, new: &mut Vec<Summarized>) -> Result<Summary, String> {
    let said = |error: StoreError| chain(&error);
    // What comes while it is worked out makes it one of fewer records than there are.
    let records = store.records_of(run).map_err(said)?;
    if let Some(summary) = store.summary(run, records).map_err(said)? {
        return Ok(summary);
    }
    let parts = store.parts(run).map_err(said)?;
    let replayed = replay_kept(store, &parts, |_| {})?;
    let summary = Summary::of(&replayed);
    // A part that is silent while others have ended is given up in the end: until then it is a matter of time.
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

/// How long requests took that ended, and how many of them ended after the load.
fn requests(totals: &Snapshot) -> (Histogram, u64) {
    let (mut durations, mut after_load) = (Histogram::new(), 0_u64);
    let is_counted = |series: &Series| series.outcome != Outcome::Interrupted && !series.is_step();
    for (_, measure) in totals.requests.iter().filter(|(series, _)| is_counted(series)) {
        durations.merge(&measure.durations);
        after_load = after_load.saturating_add(measure.after_load.count);
    }
    (durations, after_load)
}
