//! Handlers of the agent's HTTP API.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Query, Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, head, post};
use axum::{BoxError, Json, Router};
use golo::cli::chain;
use golo::engine::plan::{Rate, Target};
use golo::run_loop::Order;
use golo::wire::moment;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};
use tokio_stream::StreamExt as _;

use super::lease::LONGEST_DETACHED;
use super::request::{Request, lease};
use super::{job::Job, jobs::Agent, kept::State as JobState, metrics, uploads::Uploads};
use crate::drive::run_end;
use crate::http::server::Refusal;
use crate::nats::registry::Registration;
use crate::results::store::{Chunk, Store};
use crate::support::moments::now;

/// Maximum size of an upload form apart from the file, in bytes. The part before the file is kept in memory, and
/// searched again with each piece that arrives.
const FORM: u64 = 64 << 10;
/// Size of the records in one response, in bytes; a response ends with the record that reaches it.
const RECORDS: usize = 4 << 20;
/// Maximum time that a request waits for new records.
const WAIT: Duration = Duration::from_secs(30);
/// Maximum time of a start in the future, in nanoseconds.
const AHEAD: u64 = 600_000_000_000;
/// Maximum time that a load test may take to change its load.
const ADJUST: Duration = Duration::from_secs(5);

type Answer<T = Json<Value>> = Result<T, Refusal>;

/// Returns the router of all calls.
pub(super) fn router(agent: Arc<Agent>) -> Router {
    let most = agent.options.max_upload.saturating_add(FORM);
    let most = DefaultBodyLimit::max(usize::try_from(most).unwrap_or(usize::MAX));
    let (upload, files) = (post(upload).layer(most), post(upload_file).layer(most));
    Router::new()
        .route("/upload", upload)
        .route("/binaries/{hash}", head(binary))
        .route("/files", files)
        .route("/files/{hash}", head(file))
        .route("/queue", post(queue))
        .route("/jobs", get(jobs))
        .route("/jobs/{id}", get(job).patch(adjust).delete(stop))
        .route("/jobs/{id}/start", post(start))
        .route("/jobs/{id}/lease", post(renew))
        .route("/jobs/{id}/setup", get(setup).put(give_setup))
        .route("/jobs/{id}/teardown", post(tear_down))
        .route("/jobs/{id}/records", get(records))
        .route("/jobs/{id}/stderr", get(stderr))
        .route("/about", get(about))
        .route("/clock", get(|| async { Json(json!({ "now": now() })) }))
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/metrics", get(metrics))
        .with_state(agent)
}

async fn about(State(agent): State<Arc<Agent>>) -> Json<Registration> {
    Json(agent.registration())
}

async fn upload(State(agent): State<Arc<Agent>>, request: HttpRequest) -> Answer {
    let hash = receive(&agent, &agent.binaries, "the load test", request).await?;
    Ok(Json(json!({ "binary": hash })))
}

async fn upload_file(State(agent): State<Arc<Agent>>, request: HttpRequest) -> Answer {
    let hash = receive(&agent, &agent.files, "the file", request).await?;
    Ok(Json(json!({ "file": hash })))
}

/// Stores the file of a form, and returns its hash.
async fn receive(agent: &Agent, uploads: &Uploads, what: &str, request: HttpRequest) -> Answer<String> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > agent.options.max_upload.saturating_add(FORM)) {
        return Err(uploads.too_large());
    }
    let wrong = || Refusal::bad(format!("expected a form (multipart/form-data) with {what} in the field `file`"));
    let is_found = Arc::<AtomicBool>::default();
    let request = request.map(|body| limited(body, Arc::clone(&is_found)));
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| wrong())?;
    uploads.check_room(length.unwrap_or_default())?;
    let unread = |error: MultipartError| match is_beyond_form(&error) {
        true => Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the form has more than {} KiB before the field `file`", FORM >> 10),
        ),
        false => uploads.unread(&error),
    };
    while let Some(field) = form.next_field().await.map_err(unread)? {
        if field.name() == Some("file") {
            is_found.store(true, Relaxed);
            let hash = uploads.receive(field, &agent.writing).await?;
            agent.count_upload();
            return Ok(hash);
        }
    }
    Err(wrong())
}

/// Error of a form with too much before its file.
#[derive(Debug, thiserror::Error)]
#[error("too much before the file")]
struct BeyondForm;

/// Limits the part of a form before its file, until `is_file` is true.
fn limited(body: Body, is_file: Arc<AtomicBool>) -> Body {
    let mut received = 0;
    Body::from_stream(body.into_data_stream().map(move |piece| {
        // A piece can have the end of that part and the beginning of the file.
        if received > FORM && !is_file.load(Relaxed) {
            return Err(BoxError::from(BeyondForm));
        }
        let piece = piece?;
        received += piece.len() as u64;
        Ok(piece)
    }))
}

/// Returns true if a form cannot be read because of [`BeyondForm`].
fn is_beyond_form(error: &MultipartError) -> bool {
    std::iter::successors(error.source(), |cause| (*cause).source()).any(|cause| cause.is::<BeyondForm>())
}

async fn binary(State(agent): State<Arc<Agent>>, Path(hash): Path<String>) -> StatusCode {
    if agent.binaries.find(&hash).is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn file(State(agent): State<Arc<Agent>>, Path(hash): Path<String>) -> StatusCode {
    if agent.files.find(&hash).is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

/// Parses a JSON body with any content type: the go-lo command line sends none.
fn parsed(body: &Bytes) -> Answer<Value> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("the body is not valid JSON: {error}")))
}

async fn queue(State(agent): State<Arc<Agent>>, body: Bytes) -> Answer<Response> {
    let asked = parsed(&body)?;
    // In a task of its own, so that a client that disconnects does not interrupt it.
    let queued = spawn_blocking(move || agent.queue(asked)).await;
    let kept =
        queued.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the job could not be queued"))??.kept();
    Ok((StatusCode::CREATED, Json(json!({ "queued": true, "job": kept.id, "run": kept.run }))).into_response())
}

async fn jobs(State(agent): State<Arc<Agent>>) -> Json<Value> {
    Json(agent.jobs().iter().map(|job| job.view()).collect())
}

fn find(agent: &Agent, id: &str) -> Answer<Arc<Job>> {
    agent.find(id).ok_or_else(|| Refusal::not_found("there is no such job"))
}

async fn job(State(agent): State<Arc<Agent>>, Path(id): Path<String>) -> Answer {
    Ok(Json(find(&agent, &id)?.view()))
}

async fn stop(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    told: Result<Query<run_end::Parameters>, QueryRejection>,
) -> Answer {
    let job = find(&agent, &id)?;
    let wrong = |_| {
        Refusal::bad(
            "expected no parameters, or those of the end of the run: `?stopped=NS`, `aborted=THRESHOLD`, \
             `died=REASON`, `died-of=PART`, `lost=REASON`",
        )
    };
    let Query(told) = told.map_err(wrong)?;
    agent.stop(&job, "it was stopped", told.try_into().map_err(Refusal::bad)?).await;
    Ok(Json(job.view()))
}

async fn start(State(agent): State<Arc<Agent>>, Path(id): Path<String>, body: Bytes) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Start {
        #[serde(default)]
        at: u64,
        #[serde(default)]
        ahead: i64,
    }
    let job = find(&agent, &id)?;
    let start = if body.is_empty() { Start { at: 0, ahead: 0 } } else { start_of(&body)? };
    let now = now();
    if start.at > now.saturating_add(AHEAD) {
        return Err(Refusal::bad(format!(
            "`at` is {}, which is more than 600 s in the future: the agent's time is {now}",
            start.at
        )));
    }
    let at = if start.at == 0 { now } else { start.at };
    job.start(moment(at), start.ahead).map_err(Refusal::conflict)?;
    return Ok(Json(job.view()));

    fn start_of(body: &Bytes) -> Answer<Start> {
        serde_json::from_value(parsed(body)?).map_err(|_| {
            Refusal::bad("expected `{\"at\": …}`: nanoseconds since 1970 by the agent's clock, or 0 for now")
        })
    }
}

/// Renews the lease of a job. A body sets another length.
async fn renew(State(agent): State<Arc<Agent>>, Path(id): Path<String>, body: Bytes) -> Answer<Response> {
    let job = find(&agent, &id)?;
    if body.is_empty() {
        job.renew(None).map_err(Refusal::conflict)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let asked = parsed(&body)?;
    let length = asked.as_object().filter(|keys| keys.len() == 1).and_then(|keys| keys.get("lease"));
    let length = length.ok_or_else(|| Refusal::bad("expected no body, or `{\"lease\": TIME}`"))?;
    job.renew(Some(lease(length, LONGEST_DETACHED).map_err(Refusal::bad)?)).map_err(Refusal::conflict)?;
    Ok(Json(job.view()).into_response())
}

/// Parses the load of a `PATCH` body.
fn level(body: &Bytes) -> Answer<Target> {
    let wrong = || Refusal::bad("expected `{\"users\": 50}` or `{\"rate\": \"500/s\"}`");
    let asked = parsed(body)?;
    let keys = asked.as_object().filter(|keys| keys.len() == 1).ok_or_else(wrong)?;
    match (keys.get("users"), keys.get("rate")) {
        (Some(users), None) => users.as_u64().filter(|users| *users < 1 << 53).map(Target::Users).ok_or_else(wrong),
        (None, Some(rate)) => {
            let rate = rate.as_str().ok_or_else(wrong)?.parse::<Rate>();
            let rate = rate.map_err(|error| Refusal::bad(format!("`rate`: {error}")))?;
            Ok(Target::Rate(rate))
        }
        _ => Err(wrong()),
    }
}

async fn adjust(State(agent): State<Arc<Agent>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let job = find(&agent, &id)?;
    let level = level(&body)?;
    let kept = job.kept();
    let request = Request::parse(&kept.request, &kept.agent).map_err(Refusal::bad)?;
    let limits = &agent.options.limits;
    limits.check_level(level, request.call.plan(), request.share).map_err(Refusal::bad)?;
    let _turn = job.adjusting.lock().await;
    let mut adjusted = job.adjusted();
    adjusted.borrow_and_update();
    if job.state() != JobState::Running || !job.command(Order::Adjust(level)) {
        return Err(Refusal::conflict(format!(
            "the job is {}: only the load of a running job can be changed",
            job.state().name()
        )));
    }
    match timeout(ADJUST, adjusted.changed()).await {
        Ok(Ok(())) => match &adjusted.borrow().1 {
            refused if refused.is_empty() => Ok(Json(job.view())),
            refused => Err(Refusal::bad(refused.clone())),
        },
        _ => Err(Refusal::conflict("the load test has not confirmed the change of its load")),
    }
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait: u64,
}

async fn setup(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Answer<Response> {
    let job = find(&agent, &id)?;
    let Ok(Query(Wait { wait })) = wait else {
        return Err(Refusal::bad("expected `?wait=SECONDS`, with a whole number"));
    };
    let returned = async {
        let (mut returns, mut extents) = (job.exchange.returns(), job.extents());
        while job.exchange.returned().is_none() && !job.is_past_setup() {
            // The senders exist as long as the job, which this function holds. The end of a job is a record too.
            tokio::select! {
                _ = returns.changed() => {}
                _ = extents.changed() => {}
            }
        }
    };
    _ = timeout(Duration::from_secs(wait).min(WAIT), returned).await;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    // The value comes before the users start, so it is looked up last.
    let is_past = job.is_past_setup();
    match job.exchange.returned() {
        Some(json) => Ok((headers, json).into_response()),
        None if is_past => {
            Err(Refusal::conflict("the load test has not returned a value of `setup` for other members"))
        }
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn give_setup(State(agent): State<Arc<Agent>>, Path(id): Path<String>, body: Bytes) -> Answer<StatusCode> {
    let job = find(&agent, &id)?;
    if job.state().is_over() {
        return Err(Refusal::conflict("the job is over"));
    }
    job.exchange.give(body);
    Ok(StatusCode::NO_CONTENT)
}

async fn tear_down(State(agent): State<Arc<Agent>>, Path(id): Path<String>) -> Answer<StatusCode> {
    find(&agent, &id)?.exchange.release();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
    #[serde(default)]
    wait: u64,
}

async fn records(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    from: Result<Query<From>, QueryRejection>,
) -> Answer<Response> {
    let job = find(&agent, &id)?;
    let Ok(Query(From { from, wait })) = from else {
        return Err(Refusal::bad("expected `?from=N&wait=SECONDS`, with whole numbers"));
    };
    let gone = || Refusal::new(StatusCode::GONE, "the records have been deleted: `--keep` sets how long they are kept");
    if job.kept().is_swept {
        return Err(gone());
    }
    job.exchange.watch();
    let mut extent = job.extents();
    let mut stopping = agent.stopping.subscribe();
    let come = extent.wait_for(|extent| extent.has_ended || extent.next > from);
    tokio::select! {
        // The senders exist as long as the job and the agent, which this function holds.
        _ = timeout(Duration::from_secs(wait).min(WAIT), come) => {}
        _ = async { stopping.wait_for(|is| *is).await.is_ok() && agent.running().is_none() || std::future::pending().await } => {}
    }
    let read = agent.results.read(&job, from, RECORDS).await;
    if job.kept().is_swept && !matches!(read, Ok(Some(_))) {
        return Err(gone());
    }
    let read = read.map_err(|error| {
        let reason = format!("the records cannot be read: {}", chain(&error));
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    })?;
    Ok(match read {
        Some(Chunk { bytes, next, has_ended }) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            (place(next, has_ended), [(header::CONTENT_TYPE, kind)], bytes).into_response()
        }
        None => {
            let extent = job.extent();
            (StatusCode::NO_CONTENT, place(extent.next, extent.has_ended)).into_response()
        }
    })
}

/// Returns the headers with the number of the next record and the end of the records.
fn place(next: u64, has_ended: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("golo-next", HeaderValue::from(next));
    if has_ended {
        headers.insert("golo-ended", HeaderValue::from_static("true"));
    }
    headers
}

async fn stderr(State(agent): State<Arc<Agent>>, Path(id): Path<String>) -> Answer<Response> {
    let job = find(&agent, &id)?;
    let text = match job.stderr() {
        Some(text) => text.into_bytes(),
        // There is no file if the job has not ended.
        None => tokio::fs::read(job.folder().join("stderr")).await.unwrap_or_default(),
    };
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

async fn metrics(State(agent): State<Arc<Agent>>) -> Response {
    let bytes = agent.results.readers.read(|store: &Store| Ok(store.bytes())).await.unwrap_or_default();
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::text(&agent, bytes)).into_response()
}
