//! The HTTP routes of the pages.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use golo::cli::chain;
use golo::engine::plan::{Rate, Target};
use golo::run_loop::Order;
use serde::Deserialize;

use super::board::{Board, State as RunState};
use super::shelf::Shelf;
use super::{assets, events, pages};
use crate::http::server::{Refusal, SESSION, Secret, Sessions, host_of};
use crate::results::store::StoreError;

/// State of the pages, cloned for each request.
#[derive(Clone)]
pub struct Web {
    shelf: Shelf,
    sessions: Option<Sessions>,
}

impl Web {
    /// Creates the pages of these runs. `sessions` are those of the server, if it has a token.
    #[must_use]
    pub fn new(shelf: Shelf, sessions: Option<Sessions>) -> Self {
        Self { shelf, sessions }
    }

    /// Returns the HTTP routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(list))
            .route("/runs/{run}", get(run))
            .route("/runs/{run}/events", get(follow))
            .route("/runs/{run}/failures", get(failures))
            .route("/runs/{run}/load", post(load))
            .route("/runs/{run}/stop", post(stop))
            .route("/runs/{run}/abort", post(abort))
            .route("/compare", get(compare))
            .route(SESSION, post(log_in))
            .route(&format!("{}{{file}}", assets::FOLDER), get(assets::asset))
            .with_state(self)
    }

    async fn board(&self, run: &str) -> Result<Arc<Board>, StoreError> {
        self.shelf.board(run).await
    }
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    page: u64,
}

#[derive(Deserialize)]
struct CompareQuery {
    #[serde(default)]
    a: String,
    #[serde(default)]
    b: String,
    #[serde(default)]
    force: u8,
}

/// A new load: either of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    users: Option<u64>,
    rate: Option<String>,
}

/// The body of an order without values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    token: String,
}

async fn list(State(web): State<Web>, Query(ListQuery { page }): Query<ListQuery>) -> Response {
    match pages::list(&web.shelf, page).await {
        Ok(text) => Html(text).into_response(),
        Err(error) => failed(&error),
    }
}

async fn run(State(web): State<Web>, Path(called): Path<String>) -> Response {
    match web.board(&called).await {
        Ok(board) => Html(pages::run(board.names())).into_response(),
        Err(error) => failed(&error),
    }
}

async fn compare(State(web): State<Web>, Query(CompareQuery { a, b, force }): Query<CompareQuery>) -> Response {
    match pages::compare(&web.shelf, a, b, force != 0).await {
        Ok(text) => Html(text).into_response(),
        Err(error) => failed(&error),
    }
}

async fn follow(State(web): State<Web>, Path(called): Path<String>) -> Result<Response, Refusal> {
    let board = web.board(&called).await.map_err(|error| refusal(&error))?;
    Ok(events::events(web.shelf, &board))
}

async fn failures(State(web): State<Web>, Path(called): Path<String>) -> Result<Response, Refusal> {
    let board = web.board(&called).await.map_err(|error| refusal(&error))?;
    let samples = tokio::task::spawn_blocking(move || board.samples()).await.ok().flatten();
    let samples = samples.ok_or_else(|| Refusal::not_found("the run has no measurements yet"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], samples).into_response())
}

async fn load(
    State(web): State<Web>,
    Path(run): Path<String>,
    Json(Load { users, rate }): Json<Load>,
) -> Result<Response, Refusal> {
    let target = match (users, rate) {
        (Some(users), None) => Target::Users(users),
        (None, Some(rate)) => {
            let parsed = rate.parse::<Rate>();
            Target::Rate(parsed.map_err(|error| Refusal::bad(format!("invalid rate `{rate}`: {error}")))?)
        }
        _ => return Err(Refusal::bad("expected either `users`, as 20, or `rate`, as \"500/s\"")),
    };
    web.order(&run, Order::Adjust(target), None)
}

async fn stop(
    State(web): State<Web>,
    Path(run): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Response, Refusal> {
    web.order(&run, Order::Stop, Some(RunState::Stopping))
}

async fn abort(
    State(web): State<Web>,
    Path(run): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Response, Refusal> {
    web.order(&run, Order::Cut, Some(RunState::Stopping))
}

impl Web {
    /// Sends an order to the run of this process. Returns 202: the answer comes as an event.
    fn order(&self, run: &str, order: Order, state: Option<RunState>) -> Result<Response, Refusal> {
        let Some(board) = self.shelf.own().filter(|own| own.names().run == run) else {
            return Err(Refusal::not_found("this process does not drive that run, so it cannot steer it"));
        };
        let orders = board.orders().filter(|_| !board.is_over());
        let orders = orders.ok_or_else(|| Refusal::conflict("the run has ended"))?;
        if orders.try_send(order).is_err() {
            return Err(Refusal::conflict("the run takes no orders at the moment"));
        }
        if let Some(state) = state {
            board.set_state(state);
        }
        Ok((StatusCode::ACCEPTED, Json(serde_json::json!({ "ordered": true }))).into_response())
    }
}

async fn log_in(
    State(web): State<Web>,
    headers: HeaderMap,
    Json(LogIn { token }): Json<LogIn>,
) -> Result<Response, Refusal> {
    let sessions = web.sessions.ok_or_else(|| Refusal::not_found("this server has no token"))?;
    let host = host_of(&headers).ok_or_else(|| Refusal::bad("expected a `Host` header"))?;
    let cookie = sessions.open(&Secret::from(token), &host);
    let cookie = cookie.ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "the token is another"))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

fn status(error: &StoreError) -> StatusCode {
    match error {
        StoreError::Unknown(_) => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn refusal(error: &StoreError) -> Refusal {
    Refusal::new(status(error), chain(error))
}

/// Returns a page with an error.
fn failed(error: &StoreError) -> Response {
    (status(error), Html(pages::failed(&chain(error)))).into_response()
}
