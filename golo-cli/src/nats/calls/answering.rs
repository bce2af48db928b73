//! Answers calls with a router.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::header::HeaderMap;
use async_nats::{Client, Message, Subject, Subscriber};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use golo::cli::say;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tower::ServiceExt as _;

use super::pieces::{Pieces, split};
use super::{CALL, KIND, STATUS};
use crate::http::server::{Bounds, Refusal, Statuses};
use crate::nats::connection::Nats;
use crate::support::failure::Failure;

/// Most calls that are answered at a time. Further ones wait.
const CALLS: usize = 256;
/// Most bytes of the body of a response: that of records has at most 4 MiB and one record.
const RESPONSE: usize = 80 << 20;
/// Longest time for the pieces of a call to come.
const COMING: Duration = Duration::from_secs(30);
/// Most calls of which some pieces have come.
const OPEN: usize = 64;

/// Answers the calls of `subject` until `stop` completes. Open calls then have some seconds to finish.
///
/// # Errors
///
/// Returns an error if the calls cannot be received.
pub async fn answer(
    nats: &Nats,
    subject: String,
    router: Router,
    statuses: Statuses,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let calls = nats.client.subscribe(subject.clone()).await;
    answer_all(nats, &subject, calls.map_err(|error| unheard(nats, &error))?, router, statuses, stop).await
}

/// As [`answer`], for several processes that answer the calls of `subject` in turn. They have the same `group`.
///
/// # Errors
///
/// Returns an error if the calls cannot be received.
pub async fn answer_in_turn(
    nats: &Nats,
    (subject, group): (&'static str, &'static str),
    router: Router,
    statuses: Statuses,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let calls = nats.client.queue_subscribe(subject, group.to_owned()).await;
    answer_all(nats, subject, calls.map_err(|error| unheard(nats, &error))?, router, statuses, stop).await
}

fn unheard(nats: &Nats, error: &dyn std::fmt::Display) -> Failure {
    format!("the NATS server {}: {error}", nats.name()).into()
}

async fn answer_all(
    nats: &Nats,
    subject: &str,
    mut calls: Subscriber,
    router: Router,
    statuses: Statuses,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let bounds = Bounds::default();
    let router = router.fallback(|| async { Refusal::not_found("there is nothing here") });
    let router = Router::new().fallback_service(router).layer(DefaultBodyLimit::max(bounds.body));
    nats.settle().await.map_err(|error| unheard(nats, &error))?;
    let mut open = Open { most: bounds.body, calls: HashMap::new() };
    let turns = Arc::new(Semaphore::new(CALLS));
    let mut answering = JoinSet::new();
    let receiving = async {
        while let Some(message) = calls.next().await {
            while answering.try_join_next().is_some() {}
            let Some(reply) = message.reply.clone().filter(|reply| is_sent_to(subject, &message, reply)) else {
                continue;
            };
            let Some(request) = open.add(&message) else { continue };
            // It is never closed.
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { continue };
            let (client, router, statuses) = (nats.client.clone(), router.clone(), statuses.clone());
            answering.spawn(async move {
                let _turn = turn;
                let response = match request {
                    Ok(request) => router.oneshot(request).await.unwrap_or_else(|never| match never {}),
                    Err(refusal) => refusal.into_response(),
                };
                statuses.count(response.status());
                send(&client, reply, response).await;
            });
        }
    };
    tokio::select! {
        () = stop => {}
        () = receiving => {}
    }
    // The server may be away, and the subscription ends with the connection.
    _ = timeout(bounds.drain, calls.unsubscribe()).await;
    _ = timeout(bounds.drain, async { while answering.join_next().await.is_some() {} }).await;
    _ = timeout(bounds.drain, nats.client.flush()).await;
    Ok(())
}

/// Returns true if a client has sent the message to this subject itself. JetStream delivers stored messages to any subject
/// that a client names, whether or not that client may send there.
fn is_sent_to(subject: &str, message: &Message, reply: &Subject) -> bool {
    message.subject.as_str() == subject && !reply.starts_with("$JS.")
}

/// Sends a response. It is not sent if the connection is lost, because its client does not wait for it any more.
pub(in crate::nats) async fn send(client: &Client, reply: Subject, response: Response<Body>) {
    let status = response.status();
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, status.as_str());
    if let Some(kind) = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
        headers.insert(KIND, kind);
    }
    let body = match to_bytes(response.into_body(), RESPONSE).await {
        Ok(body) => body,
        Err(error) => {
            say(format_args!("golo: a response was not sent: {error}"));
            return;
        }
    };
    for (headers, piece) in split(headers, &body, client.max_payload()) {
        if client.publish_with_headers(reply.clone(), headers, piece).await.is_err() {
            return;
        }
    }
}

/// Calls of which not all pieces have come, by their reply subject.
struct Open {
    /// Most bytes of a body.
    most: usize,
    calls: HashMap<String, Coming>,
}

/// A call of which not all pieces have come.
struct Coming {
    call: String,
    pieces: Pieces,
    since: Instant,
}

impl Open {
    /// Adds a message. Returns the request once it is complete, or the refusal of one that is wrong.
    fn add(&mut self, message: &Message) -> Option<Result<Request<Body>, Refusal>> {
        let reply = message.reply.as_ref()?.to_string();
        let call = message.headers.as_ref().and_then(|headers| headers.get(CALL)).map(ToString::to_string);
        let mut coming = match (call, self.calls.remove(&reply)) {
            (Some(call), _) => Coming { call, pieces: Pieces::new(self.most), since: Instant::now() },
            (None, Some(coming)) => coming,
            (None, None) => return Some(Err(Refusal::bad("the message is not a call, as golo's are"))),
        };
        match coming.pieces.add(message) {
            Ok(Some(body)) => Some(request(&coming.call, body)),
            Ok(None) => {
                self.calls.retain(|_, call| call.since.elapsed() < COMING);
                if self.calls.len() >= OPEN {
                    return Some(Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many calls are incomplete")));
                }
                self.calls.insert(reply, coming);
                None
            }
            Err(error) => Some(Err(Refusal::bad(error.to_string()))),
        }
    }
}

/// Returns the request of a call such as `GET /jobs`.
pub(in crate::nats) fn request(call: &str, body: Bytes) -> Result<Request<Body>, Refusal> {
    let (method, path) = call.split_once(' ').unwrap_or_default();
    let request = Request::builder().method(method).uri(path).body(Body::from(body));
    request.map_err(|_| Refusal::bad("the call is not a method and a path"))
}
