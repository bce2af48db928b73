//! Records of runs: received from agents and served to clients.

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use golo_proto::results::record::Record as Kind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::streamed::{Pieces, streamed};
use super::{Collector, Refusal, StoreError, batch, body::Received, refusals::Failed};
use crate::results::listed::summarize;
use crate::results::store::{Batch, Chunk, Ingested, KeptPart, Store, Writing};

/// Minimum size in bytes of a chunk of a response, except for the last.
const CHUNK: usize = 64 << 10;
/// Maximum size in bytes after which a page of records ends.
const PAGE: usize = 4 << 20;

/// Number of the first record, and the ID of the job that the records belong to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchQuery {
    from: u64,
    job: Option<String>,
}

/// Number of the first record, and the size in bytes after which the page ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    bytes: usize,
}

/// ID of the job that the question is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobQuery {
    job: Option<String>,
}

/// Stores records of an agent's part of a run. Creates the part if it is new.
pub(super) async fn ingest(
    State(collector): State<Collector>,
    Path((run, agent)): Path<(String, String)>,
    Query(BatchQuery { from, job }): Query<BatchQuery>,
    request: Request,
) -> Result<Json<Value>, Response> {
    let Received { bytes: body, room } = collector.body(request).await.map_err(Refusal::into_response)?;
    let bytes = body.len() as u64;
    let Ok(read) = tokio::task::spawn_blocking(move || batch::decode(body, from)).await else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is shutting down").into_response());
    };
    let records = read.map_err(Refusal::into_response)?;
    let has_ended = records.iter().any(|record| matches!(record.record, Some(Kind::Ended(_))));
    let batch = Batch { run: run.clone(), agent, job, from, records };
    let write = move |writing: &mut Writing<'_>| {
        let ingested = writing.ingest(batch);
        drop(room);
        ingested
    };
    let kept = collector.writer.write(write).await;
    let Ingested { new, next } = kept.map_err(|error| Failed::from(error).into_response())?;
    collector.counts.records(new, bytes);
    if has_ended && new > 0 {
        tokio::spawn(summarize_run(collector, run));
    }
    Ok(Json(json!({ "next": next })))
}

/// Computes and stores the summary of a run for later lists. If this fails, the summary is computed when the run is
/// listed.
async fn summarize_run(collector: Collector, run: String) {
    let read = collector.readers.read(move |store| {
        let mut new = Vec::new();
        // An unreadable run is reported when it is listed.
        _ = summarize(store, &store.find(&run)?, &mut new);
        Ok(new)
    });
    if let Ok(new) = read.await
        && !new.is_empty()
    {
        _ = collector.writer.write(move |writing| writing.summarize(&new)).await;
    }
}

/// Returns the number of the next record that is missing.
pub(super) async fn next(
    State(collector): State<Collector>,
    Path((run, agent)): Path<(String, String)>,
    Query(JobQuery { job }): Query<JobQuery>,
) -> Result<Json<Value>, Response> {
    let next = collector.readers.read(move |store| store.next(&run, &agent, job.as_deref())).await;
    let next = next.map_err(|error| Failed::from(error).into_response())?;
    Ok(Json(json!({ "next": next })))
}

/// Returns all records of a run, part by part. Each part begins with its `Begun` record, which identifies the part.
pub(super) async fn all(State(collector): State<Collector>, Path(called): Path<String>) -> Result<Response, Failed> {
    let find = move |store: &Store| store.find(&called).and_then(|run| store.parts(&run));
    let parts = collector.readers.read(find).await?;
    Ok(streamed("application/x-protobuf", |pieces| async move {
        for part in parts {
            send_part(&collector, part, &pieces).await?;
        }
        Ok(())
    }))
}

/// Sends the records of a part until the client disconnects. A slow client occupies no reader between chunks.
async fn send_part(collector: &Collector, part: KeptPart, pieces: &Pieces) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let part = part.clone();
        let read = collector.readers.read(move |store| store.chunk(&part, from, CHUNK)).await?;
        let Some(Chunk { bytes, next, .. }) = read else { return Ok(()) };
        if !pieces.send(bytes).await {
            return Ok(());
        }
        from = next;
    }
}

/// Returns the records of an agent's part from a number on, until they have the wanted size, or no content if there are
/// none.
pub(super) async fn page(
    State(collector): State<Collector>,
    Path((called, agent)): Path<(String, String)>,
    Query(PageQuery { from, bytes }): Query<PageQuery>,
) -> Result<Response, Failed> {
    let bytes = bytes.min(PAGE);
    let read = collector.readers.read(move |store| {
        let parts = store.parts(&store.find(&called)?)?;
        let part = parts.iter().find(|part| part.agent == agent);
        let part = part.ok_or_else(|| StoreError::Unknown(format!("the run has no part of an agent {agent:?}")))?;
        store.chunk(part, from, bytes)
    });
    Ok(match read.await? {
        Some(Chunk { bytes, .. }) => ([(header::CONTENT_TYPE, "application/x-protobuf")], bytes).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
