//! `POST /push/{db}`: single requests, in the format of go-lo's agents.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use golo::Output;
use serde_json::{Value, json};

use super::{Collector, Refusal, StoreError, body::Received, refusals::Failed};
use crate::results::store::{Writing, check_database_name};

/// Stores outputs. The content type is ignored because go-lo sends none.
pub(super) async fn push(
    State(collector): State<Collector>,
    Path(database): Path<String>,
    request: Request,
) -> Result<Json<Value>, Response> {
    check_database_name(&database).map_err(refused)?;
    let Received { bytes, room } = collector.body(request).await.map_err(Refusal::into_response)?;
    let reading = tokio::task::spawn_blocking(move || serde_json::from_slice::<Vec<Output>>(&bytes));
    let Ok(read) = reading.await else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is shutting down").into_response());
    };
    let outputs =
        read.map_err(|error| Refusal::bad(format!("expected a JSON array of outputs: {error}")).into_response())?;
    let write = move |writing: &mut Writing<'_>| {
        let stored = writing.push(&database, &outputs);
        drop((outputs, room));
        stored
    };
    let stored = collector.writer.write(write).await.map_err(refused)?;
    collector.counts.outputs(stored);
    Ok(Json(json!({ "stored": stored })))
}

fn refused(error: StoreError) -> Response {
    Failed::from(error).into_response()
}
