//! Read-only JSON interface to the stored runs.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Collector, Refusal, refusals::Failed};
use crate::results::listed::list;
use crate::results::store::{KeptPart, KeptRun, Summary};
use crate::support::failure::Failure;

/// Default maximum number of listed runs.
const LISTED: u64 = 100;
/// Maximum number of seconds in one response: a day.
const SECONDS: u64 = 86_400;

/// Maximum number of runs, and whether to include their summaries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsQuery {
    limit: Option<u64>,
    #[serde(default)]
    summaries: bool,
}

/// Range of seconds, without `to`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecondsQuery {
    from: Option<u64>,
    to: Option<u64>,
}

/// A run and its parts.
#[derive(Serialize)]
pub(super) struct Run {
    #[serde(flatten)]
    run: KeptRun,
    parts: Vec<KeptPart>,
}

/// Returns 503 if the last attempt to write to the store failed.
pub(super) async fn health(State(collector): State<Collector>) -> Result<Json<Value>, Refusal> {
    match collector.writer.trouble() {
        None => Ok(Json(json!({ "status": "ok" }))),
        Some(reason) => {
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("results cannot be stored: {reason}")))
        }
    }
}

/// A run and its summary.
#[derive(Serialize)]
struct SummarizedRun {
    #[serde(flatten)]
    run: KeptRun,
    summary: Option<Summary>,
    /// Reason if the summary is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

impl SummarizedRun {
    fn of(run: KeptRun, summary: Result<Summary, Failure>) -> Self {
        let (summary, unreadable) = match summary {
            Ok(summary) => (Some(summary), None),
            Err(reason) => (None, Some(reason.into())),
        };
        Self { run, summary, unreadable }
    }
}

pub(super) async fn runs(
    State(collector): State<Collector>,
    Query(RunsQuery { limit, summaries }): Query<RunsQuery>,
) -> Result<Json<Value>, Failed> {
    let limit = limit.unwrap_or(LISTED);
    if !summaries {
        let runs = collector.readers.read(move |store| store.runs(limit)).await?;
        return Ok(Json(json!({ "runs": runs })));
    }
    let (runs, new) = collector.readers.read(move |store| list(store, limit)).await?;
    if !new.is_empty() {
        // If this fails, the summaries are computed again next time.
        _ = collector.writer.write(move |writing| writing.summarize(&new)).await;
    }
    let runs: Vec<_> = runs.into_iter().map(|(run, summary)| SummarizedRun::of(run, summary)).collect();
    Ok(Json(json!({ "runs": runs })))
}

pub(super) async fn run(State(collector): State<Collector>, Path(called): Path<String>) -> Result<Json<Run>, Failed> {
    let read = collector.readers.read(move |store| {
        let run = store.find(&called)?;
        let parts = store.parts(&run)?;
        Ok(Run { run, parts })
    });
    Ok(Json(read.await?))
}

pub(super) async fn series(
    State(collector): State<Collector>,
    Path(called): Path<String>,
) -> Result<Json<Value>, Failed> {
    let read = collector.readers.read(move |store| store.find(&called).and_then(|run| store.series(&run)));
    Ok(Json(json!({ "series": read.await? })))
}

pub(super) async fn seconds(
    State(collector): State<Collector>,
    Path(called): Path<String>,
    Query(SecondsQuery { from, to }): Query<SecondsQuery>,
) -> Result<Json<Value>, Response> {
    let from = from.unwrap_or_default();
    let to = to.unwrap_or(from.saturating_add(SECONDS));
    if to < from || to - from > SECONDS {
        let reason = format!("`from` to `to` is {from} to {to}: expected up to {SECONDS} seconds, in order");
        return Err(Refusal::bad(reason).into_response());
    }
    let read = collector.readers.read(move |store| store.find(&called).and_then(|run| store.seconds(&run, from..to)));
    let seconds = read.await.map_err(|error| Failed::from(error).into_response())?;
    Ok(Json(json!({ "seconds": seconds })))
}
