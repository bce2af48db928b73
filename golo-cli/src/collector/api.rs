//! Read-only JSON interface to the stored runs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::streamed::{items, streamed};
use super::{Collector, Refusal, StoreError, refusals::Failed};
use crate::results::listed::list_from;
use crate::results::store::{KeptPart, KeptRun, Store, Summary};
use crate::support::failure::Failure;

/// Default maximum number of listed runs.
const LISTED: u64 = 100;
/// Maximum number of seconds in one response: a day.
const SECONDS: u64 = 86_400;
/// Number of rows, of a route in a second each, that are read and sent at once.
const ROWS: usize = 1000;
/// Number of runs that are read and sent at once.
const RUNS: u64 = 100;
const JSON: &str = "application/json";

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

/// Returns the newest runs.
pub(super) async fn runs(
    State(collector): State<Collector>,
    Query(RunsQuery { limit, summaries }): Query<RunsQuery>,
) -> Result<Response, Failed> {
    let limit = limit.unwrap_or(LISTED);
    let mut page = page_of_runs(&collector, 0, RUNS.min(limit), summaries).await?;
    Ok(streamed(JSON, move |pieces| async move {
        let (mut read, mut is_first, mut names) = (0, true, Vec::new());
        if !pieces.send(Bytes::from_static(br#"{"runs":["#)).await {
            return Ok(());
        }
        loop {
            let number = page.len() as u64;
            read += number;
            // New runs push older ones to the next page.
            page.retain(|(run, _)| !names.contains(&run.run));
            names = page.iter().map(|(run, _)| run.run.clone()).collect();
            let runs = page.into_iter();
            let piece = match summaries {
                true => items(runs.filter_map(|(run, of)| Some(SummarizedRun::of(run, of?))), &mut is_first),
                false => items(runs.map(|(run, _)| run), &mut is_first),
            };
            if !pieces.send(piece).await {
                return Ok(());
            }
            if number < RUNS || read >= limit {
                pieces.send(Bytes::from_static(b"]}")).await;
                return Ok(());
            }
            page = page_of_runs(&collector, read, RUNS.min(limit - read), summaries).await?;
        }
    }))
}

/// Returns runs after the newest `skipped`, with their summaries if asked for.
async fn page_of_runs(
    collector: &Collector,
    skipped: u64,
    most: u64,
    summaries: bool,
) -> Result<Vec<(KeptRun, Option<Result<Summary, Failure>>)>, StoreError> {
    if !summaries {
        let runs = collector.readers.read(move |store| store.runs_from(skipped, most)).await?;
        return Ok(runs.into_iter().map(|run| (run, None)).collect());
    }
    let (runs, new) = collector.readers.read(move |store| list_from(store, skipped, most)).await?;
    if !new.is_empty() {
        // If this fails, the summaries are computed again next time.
        _ = collector.writer.write(move |writing| writing.summarize(&new)).await;
    }
    Ok(runs.into_iter().map(|(run, summary)| (run, Some(summary))).collect())
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

/// Returns the seconds of a run, and the number of the next one after them, if there is one.
pub(super) async fn seconds(
    State(collector): State<Collector>,
    Path(called): Path<String>,
    Query(SecondsQuery { from, to }): Query<SecondsQuery>,
) -> Result<Response, Response> {
    let from = from.unwrap_or_default();
    let to = to.unwrap_or(from.saturating_add(SECONDS));
    if to < from || to - from > SECONDS {
        let reason = format!("`from` to `to` is {from} to {to}: expected up to {SECONDS} seconds, in order");
        return Err(Refusal::bad(reason).into_response());
    }
    let find = move |store: &Store| {
        let run = store.find(&called)?;
        let page = store.page_of_seconds(&run, from..to, ROWS)?;
        Ok((run, page))
    };
    let (run, mut page) = collector.readers.read(find).await.map_err(|error| Failed::from(error).into_response())?;
    Ok(streamed(JSON, move |pieces| async move {
        let mut is_first = true;
        if !pieces.send(Bytes::from_static(br#"{"seconds":["#)).await {
            return Ok(());
        }
        loop {
            let (seconds, next) = page;
            if !pieces.send(items(seconds, &mut is_first)).await {
                return Ok(());
            }
            let Some(from) = next.filter(|next| *next < to) else {
                let next = serde_json::Value::from(next);
                pieces.send(format!(r#"],"next":{next}}}"#).into()).await;
                return Ok(());
            };
            let run = run.clone();
            page = collector.readers.read(move |store| store.page_of_seconds(&run, from..to, ROWS)).await?;
        }
    }))
}
