//! Server-sent events of a run: first its whole state, then what changes, last the state at its end.
//!
//! A viewer has no queue. Its next event is made when the last one has been sent, so that a slow viewer gets fewer and
//! larger events, and delays nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use super::board::{Board, News, Viewer};
use super::maker;
use super::shelf::Shelf;

/// Time between two looks at a run that is being stored.
const LOOK: Duration = Duration::from_secs(1);
/// Longest time without an event. A comment is sent then, so that a connection whose viewer is gone is found.
const SILENCE: Duration = Duration::from_secs(15);

/// Returns the events of a board as a response.
pub(super) fn events(shelf: Shelf, board: &Arc<Board>) -> Response {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
    let viewer = board.viewer();
    tokio::spawn(send(shelf, viewer, sender));
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(receiver)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

async fn send(shelf: Shelf, mut viewer: Viewer, sender: mpsc::Sender<Result<Bytes, std::convert::Infallible>>) {
    let mut silent_until = Instant::now() + SILENCE;
    loop {
        let Ok(permit) = sender.reserve().await else { return };
        let is_followed = shelf.refresh(viewer.board()).await;
        let board = Arc::clone(viewer.board());
        maker::make_view(board).await;
        match viewer.news() {
            Some(News { name, json }) => {
                permit.send(Ok(frame(name, &json)));
                silent_until = Instant::now() + SILENCE;
                if name == "end" {
                    return;
                }
            }
            None if Instant::now() >= silent_until => {
                permit.send(Ok(Bytes::from_static(b":\n\n")));
                silent_until = Instant::now() + SILENCE;
            }
            None => drop(permit),
        }
        let until = if is_followed { Instant::now() + LOOK } else { silent_until };
        tokio::select! {
            () = viewer.changed() => {}
            () = sleep_until(until) => {}
            () = sender.closed() => return,
        }
    }
}

/// Returns an event as it is sent. JSON has no line ends.
fn frame(name: &str, json: &Bytes) -> Bytes {
    let mut text = Vec::with_capacity(json.len() + name.len() + 20);
    for part in [b"event: ", name.as_bytes(), b"\ndata: ", json, b"\n\n"] {
        text.extend_from_slice(part);
    }
    text.into()
}
