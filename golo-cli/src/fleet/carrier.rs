//! The way on which calls of an agent's interface travel: HTTP, or NATS.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};

use crate::http::client::{ANSWER, Address, CallError, HttpClient};
use crate::nats::calls::{Answer, Call, Caller};
use crate::nats::objects::Objects;

/// Timeout of calls that an agent answers at once.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// The way to an agent.
#[derive(Debug, Clone)]
pub enum Carrier {
    /// HTTP, to the agent's address.
    Http(HttpClient, Address),
    /// A NATS server to which the agent is connected. Calls have this subject.
    Nats {
        /// Makes the calls.
        caller: Caller,
        /// Files that agents fetch.
        objects: Objects,
        /// Subject of the agent's calls.
        subject: String,
    },
}

/// A request to an agent.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    method: Method,
    path: Vec<String>,
    query: Option<String>,
    body: Bytes,
    timeout: Duration,
    most: usize,
}

impl Asked {
    /// Creates a request for a path of these segments, without a body, which an agent answers at once.
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(ToString::to_string).collect();
        Self { method, path, query: None, body: Bytes::new(), timeout: CALL, most: ANSWER }
    }

    /// Sets the query, which is encoded already.
    pub(super) fn query(self, query: String) -> Self {
        Self { query: Some(query), ..self }
    }

    /// Sets the body.
    pub(super) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sets the longest time until the whole response has come.
    pub(super) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the largest size of the response in bytes.
    pub(super) fn most(self, most: usize) -> Self {
        Self { most, ..self }
    }
}

impl Carrier {
    /// Sends a request, and returns the response if its status is a success. Calls `come` when its beginning has come.
    pub(super) async fn send(&self, asked: Asked, come: impl FnOnce()) -> Result<Answer, CallError> {
        let Asked { method, path, query, body, timeout, most } = asked;
        match self {
            Self::Http(client, address) => {
                let request = client.request(method, address, path.iter().map(String::as_str), query.as_deref());
                let response = client.send(request.timeout(timeout).body(body)).await?;
                come();
                let status = response.status();
                let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
                let body = match status {
                    StatusCode::NO_CONTENT => Bytes::new(),
                    _ => client.body(response, most).await?,
                };
                Ok(Answer { status, kind, body })
            }
            Self::Nats { caller, subject, .. } => {
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                let path = format!("/{}{query}", path.join("/"));
                let answered = caller.call(subject, Call { method, path, body, timeout, most }).await;
                come();
                answered
            }
        }
    }
}
