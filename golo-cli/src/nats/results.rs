//! Results on their way to collectors: agents store calls to a collector in a stream, and any collector takes them from there.
//!
//! The stream only carries them. An agent keeps its records until a collector has committed them, so a stream that is lost
//! costs nothing, and a call that is taken twice has one effect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::context::{CreateStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Stream};
use async_nats::jetstream::{AckKind, ErrorCode, Message};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use golo::cli::{chain, say};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_stream::StreamExt as _;
use tower::ServiceExt as _;

use super::calls::{Answer, CALL, Call, Caller, PIECE, Pieces, request, room, send, squeezed};
use super::connection::Nats;
use super::objects::Objects;
use crate::http::COLLECTOR_CALL;
use crate::http::client::{ANSWER, CallError};
use crate::http::server::Refusal;
use crate::support::failure::Failure;

/// Name of the stream, and the beginning of its subjects.
const STREAM: &str = "golo-results";
const SUBJECT: &str = "golo.results";
/// Name of the consumer that all collectors share.
const CONSUMER: &str = "collector";
/// Subject and group of questions to collectors.
pub const COLLECTORS: (&str, &str) = ("golo.collector", "collectors");
/// Size of the stream in bytes, after which it takes nothing more. Agents then keep their records and try again. The server
/// reserves as much, so the next smaller size is for one with less room.
const SIZES: [i64; 3] = [1 << 30, 1 << 27, 1 << 24];
/// Time after which calls are deleted that no collector has taken.
const EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time after which a call that was taken and not confirmed is given to another collector, and interval at which a collector
/// says that it is still at work.
const TAKEN: Duration = Duration::from_secs(10);
const AT_WORK: Duration = Duration::from_secs(3);
/// Longest time for the server to store a call.
const STORE: Duration = Duration::from_secs(10);
/// Most calls, and bytes of them, that a collector takes at once.
const BATCH: (usize, usize) = (256, 16 << 20);
/// Most jobs whose calls it carries out at the same time. Restored, each call may have 16 MiB.
const JOBS: usize = 16;
/// Longest time to wait for calls, and pause after a failure.
const WAIT: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);
/// Pause before a call comes again that the collector could not carry out.
const LATER: Duration = Duration::from_secs(2);
/// Most times that a call comes again because records before its own are missing. Another collector may have taken those,
/// and if it was killed they come again too, after [`TAKEN`]. If they do not, the agent sends them again.
const GAPS: i64 = 10;

/// Header with the subject for the response to a call.
const REPLY: &str = "golo-reply";
/// Header with the hash of a file that is the body of a call.
const OBJECT: &str = "golo-object";

/// The way of an agent to the collectors.
#[derive(Debug, Clone)]
pub struct Results {
    caller: Caller,
    objects: Objects,
    /// Time at which the stream was created, once it was opened.
    created: Arc<Mutex<Option<OffsetDateTime>>>,
}

impl Results {
    /// Prepares the way.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses.
    pub async fn open(nats: Nats) -> Result<Self, Failure> {
        let objects = Objects::open(&nats).await?;
        Ok(Self { caller: Caller::new(nats).await?, objects, created: Arc::default() })
    }

    /// Returns the time at which the stream was created, once calls were stored in it. It identifies the stream: after a server
    /// has lost its volume, there is another one.
    #[must_use]
    pub fn stream(&self) -> Option<OffsetDateTime> {
        *self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the stream, which is created if it is missing, and notes when it was created.
    async fn open_stream(&self) -> Result<Stream, CallError> {
        let opened = stream(self.caller.nats()).await.map_err(|failure| CallError::Away(failure.to_string()))?;
        *self.created.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened.cached_info().created);
        Ok(opened)
    }

    /// Returns true if calls of a job wait in the stream that was created at `created`, or are being carried out.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not answer.
    pub async fn holds(&self, job: &str, created: Option<OffsetDateTime>) -> Result<bool, CallError> {
        let stream = self.open_stream().await?;
        if created != Some(stream.cached_info().created) {
            return Ok(false);
        }
        let away = |error: &dyn std::fmt::Display| CallError::Away(format!("the NATS server does not answer: {error}"));
        let mut waiting = stream.info_with_subjects(subject(job)).await.map_err(|error| away(&error))?;
        let calls = waiting.next().await.transpose().map_err(|error| away(&error))?;
        Ok(calls.is_some_and(|(_, number)| number > 0))
    }

    /// Asks any collector, and returns its response.
    ///
    /// # Errors
    ///
    /// Returns an error if no collector answers.
    pub async fn ask(&self, call: Call) -> Result<Answer, CallError> {
        self.caller.ask(COLLECTORS.0, call).await
    }

    /// Stores a call of a job in the stream, which is created if it is missing. Then waits for the timeout of the call for the
    /// response of the collector that takes it, and returns `None` if none comes.
    ///
    /// # Errors
    ///
    /// Returns an error if the call is not in the stream.
    pub async fn store(&self, job: &str, call: Call) -> Result<Option<Answer>, CallError> {
        let (reply, expected) = self.caller.expect();
        let mut headers = HeaderMap::new();
        headers.insert(CALL, format!("{} {}", call.method, call.path));
        headers.insert(REPLY, reply);
        headers.insert(PIECE, "1/1");
        let mut payload = squeezed(&mut headers, &call.body);
        if payload.len() > room(self.caller.nats().client.max_payload()) {
            let hash = format!("{:x}", Sha256::digest(&payload));
            let written = self.objects.put_bytes(&hash, &payload).await;
            written.map_err(|failure| CallError::Away(failure.to_string()))?;
            headers.insert(OBJECT, hash);
            payload = Bytes::new();
        }
        let subject = subject(job);
        if self.stream().is_none() {
            self.open_stream().await?;
        }
        match self.publish(&subject, &headers, &payload).await {
            Ok(()) => {}
            Err(Unstored::NoStream) => {
                self.open_stream().await?;
                self.publish(&subject, &headers, &payload).await.map_err(CallError::from)?;
            }
            Err(unstored) => return Err(unstored.into()),
        }
        // A response that does not come has no effect: the call stays in the stream.
        Ok(timeout(call.timeout, expected.receive(ANSWER)).await.ok().and_then(Result::ok))
    }

    async fn publish(&self, subject: &str, headers: &HeaderMap, payload: &Bytes) -> Result<(), Unstored> {
        let jetstream = &self.caller.nats().jetstream;
        if !self.caller.nats().is_up() {
            return Err(Unstored::Failed(format!("there is no connection to {}", self.caller.nats().name())));
        }
        let storing =
            async { jetstream.publish_with_headers(subject.to_owned(), headers.clone(), payload.clone()).await?.await };
        match timeout(STORE, storing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => Err(Unstored::NoStream),
            Ok(Err(error)) => Err(Unstored::Failed(described(&error))),
            Err(_) => Err(Unstored::Failed("the NATS server does not confirm it".to_owned())),
        }
    }
}

/// Reason why a call is not in the stream.
enum Unstored {
    NoStream,
    Failed(String),
}

impl From<Unstored> for CallError {
    fn from(unstored: Unstored) -> Self {
        match unstored {
            Unstored::NoStream => Self::Away("the NATS server has no stream of results".to_owned()),
            Unstored::Failed(reason) => Self::Away(reason),
        }
    }
}

fn described(error: &PublishError) -> String {
    format!("the NATS server does not store it: {}", chain(error))
}

/// Returns the subject of the calls of a job.
fn subject(job: &str) -> String {
    format!("{SUBJECT}.{job}")
}

/// Opens the stream, which is created if it is missing.
async fn stream(nats: &Nats) -> Result<Stream, Failure> {
    let mut sizes = SIZES.into_iter().peekable();
    loop {
        let config = Config {
            name: STREAM.to_owned(),
            subjects: vec![format!("{SUBJECT}.>")],
            description: Some("Results of golo's agents for collectors".to_owned()),
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            max_bytes: sizes.next().unwrap_or_default(),
            max_age: EXPIRY,
            ..Config::default()
        };
        // One that exists may have been given other limits.
        match nats.jetstream.get_or_create_stream(config).await {
            Ok(stream) => return Ok(stream),
            Err(error) if sizes.peek().is_some() && is_too_large(&error.kind()) => {}
            Err(error) => {
                return Err(format!("the NATS server refuses the stream of results: {}", chain(&error)).into());
            }
        }
    }
}

/// Returns true if the server has no room for a stream.
fn is_too_large(reason: &CreateStreamErrorKind) -> bool {
    let codes = [ErrorCode::STORAGE_RESOURCES_EXCEEDED, ErrorCode::ACCOUNT_RESOURCES_EXCEEDED];
    matches!(reason, CreateStreamErrorKind::JetStream(error) if codes.contains(&error.error_code()))
}

async fn consumer(nats: &Nats) -> Result<PullConsumer, Failure> {
    let config = pull::Config {
        durable_name: Some(CONSUMER.to_owned()),
        ack_wait: TAKEN,
        max_ack_pending: 10_000,
        ..pull::Config::default()
    };
    let opened = stream(nats).await?.get_or_create_consumer(CONSUMER, config).await;
    opened.map_err(|error| format!("the NATS server refuses the consumer of results: {}", chain(&error)).into())
}

/// Takes calls from the stream for ever, lets `router` carry them out, and confirms each one that was carried out or refused.
pub async fn take(nats: Nats, router: Router) {
    let mut is_said = false;
    let mut source = None;
    loop {
        match take_some(&nats, &router, &mut source).await {
            Ok(()) => {
                if std::mem::take(&mut is_said) {
                    say("golo collector: results come from the NATS server again");
                }
            }
            Err(failure) => {
                // The server may have lost the stream.
                source = None;
                // A lost connection was reported.
                if nats.is_up() && !std::mem::replace(&mut is_said, true) {
                    say(format_args!("golo collector: no results come from the NATS server, trying again: {failure}"));
                }
                sleep(AGAIN).await;
                nats.is_up_again().await;
            }
        }
    }
}

/// Place from which a collector takes calls.
struct Source {
    consumer: PullConsumer,
    objects: Objects,
}

async fn take_some(nats: &Nats, router: &Router, source: &mut Option<Source>) -> Result<(), Failure> {
    let source = match source {
        Some(source) => source,
        None => source.insert(Source { consumer: consumer(nats).await?, objects: Objects::open(nats).await? }),
    };
    // Waits for the first call, and takes those that wait with it.
    let first = tokio::select! {
        first = first_call(&source.consumer) => first?,
        () = nats.is_lost() => return Err("the connection was lost".into()),
    };
    let Some(first) = first else { return Ok(()) };
    // The calls of a job in their order, those of several jobs at once, so that they share a transaction.
    let mut jobs = HashMap::from([(first.subject.to_string(), vec![first])]);
    let (messages, bytes) = BATCH;
    if let Ok(Ok(mut rest)) =
        timeout(STORE, source.consumer.fetch().max_messages(messages).max_bytes(bytes).messages()).await
    {
        // An error ends them: they are all that wait, or have so many bytes, or the server is away, as the next call tells.
        while let Ok(Some(Ok(message))) = timeout(WAIT, rest.next()).await {
            jobs.entry(message.subject.to_string()).or_default().push(message);
        }
    }
    let taken: Vec<_> = jobs.values().flatten().cloned().collect();
    let turns = Arc::new(Semaphore::new(JOBS));
    let mut working = JoinSet::new();
    for messages in jobs.into_values() {
        let (router, nats, objects, turns) = (router.clone(), nats.clone(), source.objects.clone(), Arc::clone(&turns));
        working.spawn(async move {
            // It is never closed.
            let _turn = turns.acquire().await;
            for message in messages {
                carry_out(&nats, &objects, &router, message).await;
            }
        });
    }
    let mut at_work = interval_at(Instant::now() + AT_WORK, AT_WORK);
    loop {
        tokio::select! {
            job = working.join_next() => if job.is_none() { return Ok(()) },
            _ = at_work.tick() => {
                // For those that were confirmed it has no effect.
                for message in &taken {
                    _ = message.ack_with(AckKind::Progress).await;
                }
            }
        }
    }
}

/// Waits some seconds for a call.
async fn first_call(consumer: &PullConsumer) -> Result<Option<Message>, Failure> {
    let silent = |_| Failure::from("the NATS server does not answer");
    let failed = |error: &dyn std::fmt::Display| Failure::from(error.to_string());
    let asking = consumer.batch().max_messages(1).expires(WAIT).messages();
    let mut calls = timeout(STORE, asking).await.map_err(silent)?.map_err(|error| failed(&error))?;
    timeout(2 * WAIT, calls.next()).await.map_err(silent)?.transpose().map_err(|error| failed(&error))
}

/// Carries out a call, answers it, and confirms it. One that may succeed later comes again.
async fn carry_out(nats: &Nats, objects: &Objects, router: &Router, message: Message) {
    let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name)).map(ToString::to_string);
    let response = match asked(objects, &message).await {
        Ok(Some(request)) => router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}),
        // Its body was deleted when the same call was carried out. If it was not, the agent sends it again.
        Ok(None) => {
            _ = message.ack().await;
            return;
        }
        Err(refusal) => refusal.into_response(),
    };
    let delivered = message.info().map_or(GAPS, |info| info.delivered);
    if is_later(response.status()) || (response.status() == StatusCode::CONFLICT && delivered < GAPS) {
        _ = message.ack_with(AckKind::Nak(Some(LATER))).await;
        return;
    }
    if let Some(reply) = header(REPLY) {
        send(&nats.client, reply.into(), response).await;
    }
    if message.ack().await.is_ok()
        && let Some(hash) = header(OBJECT)
    {
        // One that stays expires.
        _ = objects.delete(&hash).await;
    }
}

/// Returns the request of a message. Returns `None` if its body does not exist any more.
async fn asked(objects: &Objects, message: &Message) -> Result<Option<Request<Body>>, Refusal> {
    let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name));
    let call = header(CALL).ok_or_else(|| Refusal::bad("the message is not a call, as golo's are"))?;
    let mut whole = message.message.clone();
    if let Some(hash) = header(OBJECT) {
        let read = objects.read(hash.as_str(), COLLECTOR_CALL).await;
        let away = |failure: Failure| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, failure.to_string());
        match read.map_err(away)? {
            Some(body) => whole.payload = body,
            None => return Ok(None),
        }
    }
    let body = Pieces::new(COLLECTOR_CALL).add(&whole).map_err(|error| Refusal::bad(error.to_string()))?;
    request(call.as_str(), body.unwrap_or_default()).map(Some)
}

/// Returns true if a call with this response may succeed later.
fn is_later(status: StatusCode) -> bool {
    status.is_server_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}
