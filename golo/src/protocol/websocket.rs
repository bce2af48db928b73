//! WebSockets, measured as steps: the connection, the messages, and the end.
//!
//! [`connect`] takes a request as [`request`](crate::request()) does, with its headers, to a URL such as
//! `ws://127.0.0.1:8765/chat` or `wss://…`. Each call on the [`WebSocket`] is one step of the journey:
//!
//! ```no_run
//! # async fn load_test() -> Result<(), golo::BoxError> {
//! let journey = golo::new_sequence_id();
//! let chat = golo::client().get("ws://127.0.0.1:8765/rooms/7").bearer_auth("of this user");
//! let mut chat = golo::websocket::connect(&journey, chat).route("/rooms/{id}").await?;
//! let answer = chat.request("hello").await?;
//! golo::check("the room answers", answer.to_text().is_ok_and(|text| text == "hello"));
//! chat.close().await?;
//! # Ok(()) }
//! ```
//!
//! | step | measures |
//! |---|---|
//! | `WS /rooms/{id} connect` | lookup, TCP, TLS, and the handshake of the WebSocket |
//! | `WS /rooms/{id} send` | handing a message to the connection |
//! | `WS /rooms/{id} receive` | the wait for the next message |
//! | `WS /rooms/{id} request` | a message and the wait for the next one |
//! | `WS /rooms/{id} close` | the wait until the server has closed the WebSocket too |
//!
//! Steps are reported as those of [`measure`](crate::measure()). Their [`Output`](crate::Output)s have the bytes of the
//! messages in `sent` and `size`, without the frames' heads. Pings are answered while the load test waits for a message.
//!
//! The connection is made by golo's transport, so its options and the settings of [`set_http`](crate::set_http) apply:
//! roots and certificates, `--insecure`, `--resolve`, `--dns`, proxies, `--unix-socket`, default headers and cookies. It
//! is always HTTP/1.1 and never shared. A client that the load test configured is not used.

mod connect;
mod socket;

pub use connect::{Connect, connect};
pub use socket::WebSocket;
/// A message: `Message::Text` or `Message::Binary`. Strings and bytes convert into one.
pub use tokio_tungstenite::tungstenite::Message;

use std::time::Duration;

use reqwest::{Method, Url};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use crate::RequestError;
use crate::error::RequestErrorKind;
use crate::error::transport::TransportError;
use crate::metrics::scope;
use crate::metrics::trace::TraceContext;
use crate::request::measure::METHOD;
use crate::request::recording::Recording;
use crate::support::secrets::without_secrets;

/// Bytes of the messages of a step.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    sent: u64,
    received: usize,
}

/// Names a WebSocket in errors, as method and URL name a request.
#[derive(Debug, Clone)]
struct Named {
    method: Method,
    /// URL without user and password.
    url: Url,
}

impl Named {
    fn error(&self, error: TransportError) -> RequestError {
        RequestError::of_transport(&self.method, &self.url, error)
    }
}

/// Measures `future` as the step `name` of the journey `id`, in the span of `trace`. It also returns the bytes of its
/// messages.
async fn step<T>(
    id: &str,
    name: &str,
    named: &Named,
    limit: Option<Duration>,
    trace: Option<Box<TraceContext>>,
    future: impl Future<Output = Result<(T, Bytes), TransportError>>,
) -> Result<T, RequestError> {
    let scope = scope::current();
    let sink = scope::sink_of(scope.as_deref());
    if let Some(scope) = &scope {
        scope.note_sequence(id);
    }
    if let Some(room) = scope::room(&*sink, scope.as_deref()) {
        room.await;
    }
    let tags = scope::tags(scope.as_deref());
    let recording = Recording::start(id, METHOD.into(), name.into(), &*sink, scope.as_deref());
    let mut recording = recording.route(Some(name)).tags(tags).traced(trace);
    let ended = match limit {
        None => future.await,
        Some(limit) => timeout(limit, future).await.unwrap_or_else(|_| Err(TransportError::timeout())),
    };
    let result = match ended {
        Ok((value, Bytes { sent, received })) => {
            recording.passed_on(sent);
            recording.received(received);
            recording.finish(None);
            Ok(value)
        }
        Err(error) => {
            let error = named.error(error);
            recording.finish(Some(&error.for_output()));
            scope.as_ref().inspect(|scope| scope.note_failure(&without_secrets(&error.to_string())));
            Err(error)
        }
    };
    if let Some(room) = scope::room(&*sink, scope.as_deref()) {
        room.await;
    }
    result
}

/// Returns the error of a WebSocket.
#[cold]
fn broken(error: tungstenite::Error) -> TransportError {
    use tungstenite::error::ProtocolError::{ReceivedAfterClosing, ResetWithoutClosingHandshake, SendAfterClosing};

    match error {
        tungstenite::Error::Io(error) => TransportError::exchange(error, false),
        tungstenite::Error::Http(response) => {
            let reason = format!("the server answered with status {} instead of a WebSocket", response.status());
            TransportError::new(RequestErrorKind::Other, reason)
        }
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(SendAfterClosing | ReceivedAfterClosing) => closed("the WebSocket is closed"),
        tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => {
            closed("the server closed the connection without closing the WebSocket")
        }
        error => TransportError::new(RequestErrorKind::Other, error),
    }
}

/// Returns the error of a WebSocket that is closed.
#[cold]
fn closed(reason: impl Into<crate::BoxError>) -> TransportError {
    TransportError::new(RequestErrorKind::Reset, reason)
}
