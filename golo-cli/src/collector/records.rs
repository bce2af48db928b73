//! Records of runs: taken from agents, and given back.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use golo_proto::results::record::Record as Kind;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Collector, Refusal, StoreError, batch, body::Received, refusals::Failed};
use crate::results::{
    listed::summarize,
    store::{Batch, Chunk, Ingested, KeptPart, Store, Writing},
};

/// Bytes of a response that are sent at a time, at least.
const CHUNK: usize = 64 << 10;
/// Chunks that wait for a client.
const CHUNKS: usize = 4;

/// From which record on, and which job tells them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    from: u64,
    job: Option<String>,
}

/// Which job asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asking {
    job: Option<String>,
}

/// Keeps records of an agent's part of a run, which it makes where it is new.
pub(super) async fn ingest(
    State(collector): State<Collector>,
    Path((run, agent)): Path<(String, String)>,
    Query(Since { from, job }): Query<Since>,
    request: Request,
) -> Result<Json<Value>, Response> {
    let Received { bytes: body, room } = collector.body(request).await.map_err(Refusal::into_response)?;
    let bytes = body.len() as u64;
    let Ok(read) = tokio::task::spawn_blocking(move || batch::decode(body, from)).await else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is ending").into_response());
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
        tokio::spawn(summarized(collector, run));
    }
    Ok(Json(json!({ "next": next })))
}

/// Works out what a run came to, so that lists have it at hand. Where that cannot be, it is done once the run is listed.
async fn summarized(collector: Collector, run: String) {
    let read = collector.readers.read(move |store| {
        let mut new = Vec::new();
        // Why it cannot be read is said to whoever lists it.
        _ = summarize(store, &store.find(&run)?, &mut new);
        Ok(new)
    });
    if let Ok(new) = read.await
        && !new.is_empty()
    {
        _ = collector.writer.write(move |writing| writing.summarize(&new)).await;
    }
}

/// The number of the record that is wanted next.
pub(super) async fn next(
    State(collector): State<Collector>,
    Path((run, agent)): Path<(String, String)>,
    Query(Asking { job }): Query<Asking>,
) -> Result<Json<Value>, Response> {
    let next = collector.readers.read(move |store| store.next(&run, &agent, job.as_deref())).await;
    let next = next.map_err(|error| Failed::from(error).into_response())?;
    Ok(Json(json!({ "next": next })))
}

/// Every record of a run, part by part: each begins with its `Begun`, which says whose it is.
pub(super) async fn all(State(collector): State<Collector>, Path(called): Path<String>) -> Result<Response, Failed> {
    let find = move |store: &Store| store.find(&called).and_then(|run| store.parts(&run));
    let parts = collector.readers.read(find).await?;
    let (chunks, body) = mpsc::channel(CHUNKS);
    tokio::spawn(async move {
        for part in parts {
            if let Err(error) = give(&collector, part, &chunks).await {
                // A body that breaks off is no whole one.
                _ = chunks.send(Err(error)).await;
                return;
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-protobuf")];
    Ok((kind, Body::from_stream(ReceiverStream::new(body))).into_response())
}

/// Sends the records of a part, until the client is gone. Nobody else waits while it takes its time.
async fn give(
    collector: &Collector,
    part: KeptPart,
    chunks: &mpsc::Sender<Result<Bytes, StoreError>>,
) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let part = part.clone();
        let read = collector.readers.read(move |store| store.chunk(&part, from, CHUNK)).await?;
        let Some(Chunk { bytes, next, .. }) = read else { return Ok(()) };
        if chunks.send(Ok(bytes)).await.is_err() {
            return Ok(());
        }
        from = next;
    }
}
