//! An open WebSocket.

use std::fmt;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Bytes, Named, broken, closed, step};
use crate::RequestError;
use crate::error::transport::TransportError;
use crate::transport::io::Io;
use crate::transport::pool::Life;

/// Names of the steps of a WebSocket.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) connect: String,
    send: String,
    receive: String,
    request: String,
    close: String,
}

impl Names {
    pub(super) fn of(route: &str) -> Self {
        let name = |step: &str| format!("WS {route} {step}");
        Self {
            connect: name("connect"),
            send: name("send"),
            receive: name("receive"),
            request: name("request"),
            close: name("close"),
        }
    }
}

/// An open WebSocket, made by [`connect`](super::connect()). The [module](super) has an example.
///
/// Dropping it closes the connection without closing the WebSocket first. Dropping the future of a step records the
/// error `cancelled`. After a `receive` that was dropped, the next one receives the message.
pub struct WebSocket {
    id: String,
    names: Names,
    named: Named,
    limit: Option<Duration>,
    stream: WebSocketStream<Io>,
    life: Life,
    /// True if the server has closed the WebSocket.
    is_closed: bool,
}

impl WebSocket {
    pub(super) fn new(
        id: &str,
        names: Names,
        named: Named,
        limit: Option<Duration>,
        stream: WebSocketStream<Io>,
        life: Life,
    ) -> Self {
        Self { id: id.to_owned(), names, named, limit, stream, life, is_closed: false }
    }

    /// Makes the steps from now on belong to the journey `id`. A [`User`](crate::User) that keeps a WebSocket from
    /// trigger to trigger calls this at the start of each.
    ///
    /// ```no_run
    /// # async fn load_test(news: &mut golo::websocket::WebSocket) -> Result<(), golo::RequestError> {
    /// let journey = golo::new_sequence_id();
    /// news.set_journey(&journey);
    /// let next = news.receive().await?;
    /// # Ok(()) }
    /// ```
    pub fn set_journey(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }

    /// Sends a message, and waits until the connection has taken it.
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed or the connection is lost.
    ///
    /// ```no_run
    /// # async fn load_test(chat: &mut golo::websocket::WebSocket) -> Result<(), golo::RequestError> {
    /// chat.send("hello").await?;
    /// chat.send(vec![0_u8, 1, 2]).await?;
    /// # Ok(()) }
    /// ```
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), RequestError> {
        let Self { id, names, named, limit, stream, .. } = self;
        let message = message.into();
        step(id, &names.send, named, *limit, None, async {
            let sent = message.len() as u64;
            stream.send(message).await.map_err(broken)?;
            Ok(((), Bytes { sent, received: 0 }))
        })
        .await
    }

    /// Waits for the next message, a text or bytes.
    ///
    /// # Errors
    ///
    /// Returns an error if the server closes the WebSocket ([`RequestError::is_reset`]), if the connection is lost, or
    /// if no message arrives in time.
    ///
    /// ```no_run
    /// # async fn load_test(news: &mut golo::websocket::WebSocket) -> Result<(), golo::RequestError> {
    /// let next = news.receive().await?;
    /// golo::check("the message is a text", next.is_text());
    /// # Ok(()) }
    /// ```
    pub async fn receive(&mut self) -> Result<Message, RequestError> {
        let Self { id, names, named, limit, stream, life, is_closed } = self;
        step(id, &names.receive, named, *limit, None, async {
            let message = next(stream, life, is_closed).await?;
            let received = message.len();
            Ok((message, Bytes { sent: 0, received }))
        })
        .await
    }

    /// Sends a message and waits for the next one, as one step.
    ///
    /// # Errors
    ///
    /// The same as [`send`](Self::send) and [`receive`](Self::receive).
    ///
    /// ```no_run
    /// # async fn load_test(chat: &mut golo::websocket::WebSocket) -> Result<(), golo::RequestError> {
    /// let answer = chat.request(r#"{"ask": "time"}"#).await?;
    /// # Ok(()) }
    /// ```
    pub async fn request(&mut self, message: impl Into<Message>) -> Result<Message, RequestError> {
        let Self { id, names, named, limit, stream, life, is_closed } = self;
        let message = message.into();
        step(id, &names.request, named, *limit, None, async {
            let sent = message.len() as u64;
            stream.send(message).await.map_err(broken)?;
            let answer = next(stream, life, is_closed).await?;
            let received = answer.len();
            Ok((answer, Bytes { sent, received }))
        })
        .await
    }

    /// Closes the WebSocket, and waits until the server has closed it too. Messages that arrive before are dropped. If
    /// the server has closed it already, this succeeds at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not close it in time, or if the connection is lost before.
    ///
    /// ```no_run
    /// # async fn load_test(chat: golo::websocket::WebSocket) -> Result<(), golo::RequestError> {
    /// chat.close().await?;
    /// # Ok(()) }
    /// ```
    pub async fn close(mut self) -> Result<(), RequestError> {
        let Self { id, names, named, limit, stream, is_closed, .. } = &mut self;
        step(id, &names.close, named, *limit, None, async {
            if !*is_closed {
                close(stream).await?;
            }
            Ok(((), Bytes::default()))
        })
        .await
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("id", &self.id).field("connect", &self.names.connect).finish_non_exhaustive()
    }
}

/// Closes a WebSocket that the server has not closed, as far as is known.
async fn close(stream: &mut WebSocketStream<Io>) -> Result<(), TransportError> {
    // The server may have closed it, and then the connection, in the meantime. Its close frame says so.
    let mut failed = stream.close(None).await.err();
    let mut is_closed = false;
    while let Some(message) = stream.next().await {
        match message {
            Ok(message) => is_closed |= message.is_close(),
            Err(error) => failed = Some(failed.unwrap_or(error)),
        }
    }
    match failed {
        Some(error) if !is_closed => Err(broken(error)),
        _ => Ok(()),
    }
}

/// Waits for the next text or bytes.
async fn next(stream: &mut WebSocketStream<Io>, life: &Life, is_closed: &mut bool) -> Result<Message, TransportError> {
    loop {
        match stream.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Ok(message),
            Some(Ok(Message::Close(frame))) => {
                life.end_by_server();
                *is_closed = true;
                // Its answer is sent by the next poll, and the server may be gone already.
                let _ = stream.flush().await;
                return Err(match frame {
                    Some(frame) => closed(format!("the server closed the WebSocket: {}", code_and_reason(&frame))),
                    None => closed("the server closed the WebSocket"),
                });
            }
            // The library answers pings.
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                life.end_by_server();
                return Err(broken(error));
            }
            None => return Err(closed("the WebSocket is closed")),
        }
    }
}

fn code_and_reason(frame: &tokio_tungstenite::tungstenite::protocol::CloseFrame) -> String {
    let code = u16::from(frame.code);
    match frame.reason.as_str() {
        "" => code.to_string(),
        reason => format!("{code} {reason}"),
    }
}
