//! Calls of an HTTP interface over NATS: a request and its response are messages, or several if they are long. The same
//! router answers them as over HTTP.
//!
//! ```text
//! request   subject golo.agent.NAME, with a reply subject   golo-call: "GET /jobs"   golo-piece: "1/1"   the body
//! response  the reply subject                               golo-status: "200"       golo-piece: "1/3"   its first part
//!                                                                                    golo-piece: "2/3"   the next one
//! ```

mod answering;
mod pieces;

pub use answering::{answer, answer_in_turn};
pub(super) use answering::{request, send};
pub(super) use pieces::{PIECE, Pieces, room, squeezed};

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::{Message, StatusCode as NatsStatus};
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

use super::connection::{Link, Nats};
use super::registry::key;
use crate::http::client::{CallError, SILENT, refusal};
use crate::support::failure::Failure;
use pieces::split;

/// Header of a request: its method and its path.
pub(super) const CALL: &str = "golo-call";
/// Header of a response: its status.
const STATUS: &str = "golo-status";
/// Header of a response: the type of its body.
const KIND: &str = "golo-kind";

/// Returns the subject of the calls of an agent.
#[must_use]
pub fn subject(agent: &str) -> String {
    format!("golo.agent.{}", key(agent))
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its path, with the query.
    pub path: String,
    /// Its body, which may be empty.
    pub body: Bytes,
    /// Longest time until the whole response has come.
    pub timeout: Duration,
    /// Most bytes of the body of the response.
    pub most: usize,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Type of its body, if that is known.
    pub kind: Option<String>,
    /// Its body.
    pub body: Bytes,
}

/// Makes calls over one connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Caller {
    nats: Arc<Nats>,
    /// Subject of all responses, without their last token.
    inbox: Arc<str>,
    waiting: Arc<Waiting>,
}

/// Calls that wait for their response, by the last token of the subject.
#[derive(Debug, Default)]
struct Waiting {
    calls: Mutex<HashMap<u64, mpsc::UnboundedSender<Message>>>,
    next: AtomicU64,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, mpsc::UnboundedSender<Message>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call.
    fn add(&self) -> (Entry<'_>, mpsc::UnboundedReceiver<Message>) {
        let (sender, messages) = mpsc::unbounded_channel();
        let number = self.next.fetch_add(1, Relaxed);
        self.lock().insert(number, sender);
        (Entry { waiting: self, number }, messages)
    }

    /// Passes a message on to its call, which may have stopped waiting.
    fn pass_on(&self, message: Message) {
        let number = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
        if let Some(sender) = number.and_then(|number: u64| self.lock().get(&number).cloned()) {
            _ = sender.send(message);
        }
    }
}

/// A call that waits. Dropping it ends the wait.
struct Entry<'w> {
    waiting: &'w Waiting,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.number);
    }
}

impl Caller {
    /// Prepares calls over this connection.
    ///
    /// # Errors
    ///
    /// Returns an error if responses do not arrive.
    pub async fn new(nats: Nats) -> Result<Self, Failure> {
        let inbox = nats.client.new_inbox();
        let failed = |error: &dyn std::fmt::Display| Failure::from(format!("the NATS server {}: {error}", nats.name()));
        let mut responses = nats.client.subscribe(format!("{inbox}.*")).await.map_err(|error| failed(&error))?;
        nats.settle().await.map_err(|error| failed(&error))?;
        let waiting = Arc::<Waiting>::default();
        let passing = Arc::clone(&waiting);
        // It ends with the last connection to the server.
        tokio::spawn(async move {
            while let Some(message) = responses.next().await {
                passing.pass_on(message);
            }
        });
        Ok(Self { nats: Arc::new(nats), inbox: inbox.into(), waiting })
    }

    /// Returns the connection.
    #[must_use]
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// Makes a call, and returns the response if its status is a success.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response, or another status.
    pub async fn call(&self, subject: &str, call: Call) -> Result<Answer, CallError> {
        let answer = self.ask(subject, call).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(CallError::Refused(answer.status, refusal(answer.status, &answer.body))),
        }
    }

    /// Makes a call, and returns the response, whatever its status is. A call that is in flight when the connection is lost
    /// fails at once, since its response cannot come any more.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no response.
    pub async fn ask(&self, subject: &str, call: Call) -> Result<Answer, CallError> {
        let mut link = self.nats.link();
        let Link { is_up, losses } = *link.borrow_and_update();
        if !is_up {
            return Err(lost(&self.nats));
        }
        let calling = timeout(call.timeout, self.exchange(subject, &call));
        tokio::select! {
            answer = calling => answer.unwrap_or_else(|_| Err(CallError::Away(SILENT.to_owned()))),
            () = is_lost(&mut link, losses) => Err(lost(&self.nats)),
        }
    }

    /// Expects a response to a call that is sent on another way. Returns the subject for it, too.
    pub(super) fn expect(&self) -> (String, Expected<'_>) {
        let (entry, messages) = self.waiting.add();
        let reply = format!("{}.{}", self.inbox, entry.number);
        (reply, Expected { nats: &self.nats, _entry: entry, messages })
    }

    /// Sends a call, and receives its response.
    async fn exchange(&self, subject: &str, call: &Call) -> Result<Answer, CallError> {
        let (reply, expected) = self.expect();
        let mut headers = HeaderMap::new();
        headers.insert(CALL, format!("{} {}", call.method, call.path));
        for (headers, piece) in split(headers, &call.body, self.nats.client.max_payload()) {
            let sent =
                self.nats.client.publish_with_reply_and_headers(subject.to_owned(), reply.clone(), headers, piece);
            sent.await.map_err(|error| CallError::Local(format!("the call cannot be sent: {error}")))?;
        }
        expected.receive(call.most).await
    }
}

/// A response that is expected.
pub(super) struct Expected<'c> {
    nats: &'c Nats,
    _entry: Entry<'c>,
    messages: mpsc::UnboundedReceiver<Message>,
}

impl Expected<'_> {
    /// Receives the response, whose body has at most `most` bytes.
    pub(super) async fn receive(mut self, most: usize) -> Result<Answer, CallError> {
        let mut pieces = Pieces::new(most);
        let mut answer = None;
        loop {
            // The task that passes messages on ends with the connection.
            let message = self.messages.recv().await.ok_or_else(|| lost(self.nats))?;
            if message.status == Some(NatsStatus::NO_RESPONDERS) {
                return Err(CallError::Away("it is not connected to the NATS server".to_owned()));
            }
            let head = message.headers.as_ref().and_then(head);
            answer = answer.or(head);
            let Some((status, kind)) = answer.clone() else { return Err(no_golo()) };
            let wrong = |reason: String| CallError::Refused(status, reason);
            if let Some(body) = pieces.add(&message).map_err(|error| wrong(error.to_string()))? {
                return Ok(Answer { status, kind, body });
            }
        }
    }
}

/// Returns the status and the type of a response.
fn head(headers: &HeaderMap) -> Option<(StatusCode, Option<String>)> {
    let status = headers.get(STATUS)?.as_str().parse::<u16>().ok()?;
    Some((StatusCode::from_u16(status).ok()?, headers.get(KIND).map(ToString::to_string)))
}

fn no_golo() -> CallError {
    CallError::Refused(StatusCode::OK, "it does not answer like a golo agent".to_owned())
}

/// Returns the error of a call without a connection.
fn lost(nats: &Nats) -> CallError {
    CallError::Away(format!("there is no connection to the NATS server {}", nats.name()))
}

/// Waits until the connection is lost once more than `losses` times.
async fn is_lost(link: &mut watch::Receiver<Link>, losses: u64) {
    if link.wait_for(|link| link.losses > losses).await.is_err() {
        // The client is gone, and with it the messages.
        std::future::pending::<()>().await;
    }
}
