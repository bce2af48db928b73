//! Router of the service. Counts every request, and contains the endpoints that are about HTTP itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Json, Router};

use crate::counter::{Counter, Counts, OTHER_ROUTE};
use crate::forms;
use crate::graphql::graphql;
use crate::refusal::{Refusal, whole_number};
use crate::session::Sessions;
use crate::shop;

const HELLO: &str = "Hello World\n";
const LARGEST_BODY: usize = 64 * 1024 * 1024;
const LONGEST_WAIT_MS: u64 = 60_000;
const MOST_REDIRECTS: u64 = 100;

type Parameters = Query<HashMap<String, String>>;

/// State of one service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) counter: Counter,
    pub(crate) sessions: Sessions,
    /// Tokens of the forms on the page `/sign-in`.
    pub(crate) forms: Sessions,
    pub(crate) orders: AtomicU64,
    /// Requests to `/flaky` so far by percentage. Each percentage has its own pattern.
    flaky: [AtomicU64; 101],
}

impl Service {
    pub(crate) fn new() -> Self {
        Self {
            counter: Counter::new(),
            sessions: Sessions::default(),
            forms: Sessions::default(),
            orders: AtomicU64::new(0),
            flaky: [const { AtomicU64::new(0) }; 101],
        }
    }
}

/// Returns a service as an [`axum::Router`], with its own counts, sessions and orders, for the caller to serve.
///
/// [`start`](crate::start) and [`serve`](crate::serve) also set up the socket: keep-alive, no delay, HTTP/1 and HTTP/2.
pub fn router() -> Router {
    router_of(Arc::new(Service::new()))
}

pub(crate) fn router_of(service: Arc<Service>) -> Router {
    let unknown = counted(&service, OTHER_ROUTE, any(unknown_path)).with_state(Arc::clone(&service));
    [
        ("/", get(hello)),
        ("/items", get(shop::items)),
        ("/items/{id}", get(shop::item)),
        ("/slow", get(slow)),
        ("/status/{code}", any(status)),
        ("/flaky", get(flaky)),
        ("/login", post(shop::login)),
        ("/account", get(shop::account)),
        ("/buy", post(shop::buy)),
        ("/sign-in", get(forms::sign_in)),
        ("/session", post(forms::session)),
        ("/graphql", post(graphql)),
        ("/upload", post(forms::upload).layer(DefaultBodyLimit::max(LARGEST_BODY))),
        ("/redirect", get(redirect)),
        ("/echo", post(echo).layer(DefaultBodyLimit::max(LARGEST_BODY))),
        ("/bytes/{n}", get(bytes)),
    ]
    .into_iter()
    .fold(Router::new(), |router, (route, methods)| router.route(route, counted(&service, route, methods)))
    .fallback_service(unknown)
    .route("/counter", get(counter))
    .route("/counter/reset", post(reset_counter))
    .with_state(service)
}

fn counted(
    service: &Arc<Service>,
    route: &'static str,
    methods: MethodRouter<Arc<Service>>,
) -> MethodRouter<Arc<Service>> {
    let slot = service.counter.slot(route);
    let service = Arc::clone(service);
    methods.layer(middleware::from_fn(move |request: Request, next: Next| {
        let service = Arc::clone(&service);
        async move {
            service.counter.see(slot);
            let response = next.run(request).await;
            service.counter.answer(response.status());
            response
        }
    }))
}

async fn hello() -> &'static str {
    HELLO
}

async fn unknown_path() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "no such path")
}

async fn slow(Query(parameters): Parameters) -> Result<String, Refusal> {
    let wait = whole_number("ms", parameters.get("ms"), 0..=LONGEST_WAIT_MS)?;
    if wait > 0 {
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Ok(format!("waited {wait} ms\n"))
}

async fn status(Path(code): Path<String>) -> Result<Response, Refusal> {
    let number = whole_number("code", Some(&code), 200..=599)?;
    let status = u16::try_from(number).ok().and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or_default();
    Ok(match status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => status.into_response(),
        _ => (status, format!("{status}\n")).into_response(),
    })
}

async fn flaky(State(service): State<Arc<Service>>, Query(parameters): Parameters) -> Result<&'static str, Refusal> {
    let percent = whole_number("percent", parameters.get("percent"), 0..=100)?;
    let turns = usize::try_from(percent).ok().and_then(|percent| service.flaky.get(percent));
    let turn = turns.map_or(0, |turns| turns.fetch_add(1, Ordering::Relaxed));
    if fails(turn, percent) {
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "out of luck"))
    } else {
        Ok("lucky\n")
    }
}

/// True if the request with this number fails. Exactly `percent` of any 100 in a row fail, spread evenly.
fn fails(turn: u64, percent: u64) -> bool {
    let turn = turn % 100;
    (turn + 1) * percent / 100 > turn * percent / 100
}

async fn redirect(Query(parameters): Parameters) -> Result<Response, Refusal> {
    let location = match whole_number("times", parameters.get("times"), 0..=MOST_REDIRECTS)? {
        0 => return Ok(HELLO.into_response()),
        1 => "/".to_owned(),
        times => format!("/redirect?times={}", times - 1),
    };
    Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
}

async fn echo(headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let binary = HeaderValue::from_static("application/octet-stream");
    ([(CONTENT_TYPE, headers.get(CONTENT_TYPE).cloned().unwrap_or(binary))], body)
}

async fn bytes(Path(length): Path<String>) -> Result<Bytes, Refusal> {
    // Zeroed and never written: the pages use no memory, and every body is a slice of the same buffer.
    static ZEROES: LazyLock<Bytes> = LazyLock::new(|| vec![0; LARGEST_BODY].into());
    let length = whole_number("n", Some(&length), 0..=LARGEST_BODY as u64)?;
    Ok(ZEROES.slice(..usize::try_from(length).unwrap_or(LARGEST_BODY)))
}

async fn counter(State(service): State<Arc<Service>>) -> Json<Counts> {
    Json(service.counter.counts())
}

async fn reset_counter(State(service): State<Arc<Service>>) -> StatusCode {
    service.counter.reset();
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_hundred_in_a_row_contain_the_given_failures() {
        for percent in 0..=100 {
            for first in 0..100 {
                let failed = (first..first + 100).filter(|turn| fails(*turn, percent)).count();
                assert_eq!(failed as u64, percent, "from {first}");
            }
        }
    }

    #[test]
    fn failures_are_spread_evenly() {
        let failed: Vec<u64> = (0..40).filter(|turn| fails(*turn, 10)).collect();
        assert_eq!(failed, [9, 19, 29, 39]);
    }
}
