//! Responses that are sent piece by piece, so that they take little memory however long they are.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::StoreError;

/// Maximum number of pieces that wait for a client.
const PIECES: usize = 4;

/// Sends the pieces of a response, until the client disconnects.
pub(super) struct Pieces(mpsc::Sender<Result<Bytes, StoreError>>);

impl Pieces {
    /// Waits until there is room for a piece, and sends it. Returns false if the client has disconnected.
    pub(super) async fn send(&self, piece: Bytes) -> bool {
        self.0.send(Ok(piece)).await.is_ok()
    }
}

/// Returns a response of this content type whose body is what `send` sends. If it fails, the body is aborted, which shows
/// the client that the rest is missing.
pub(super) fn streamed<F>(content_type: &'static str, send: impl FnOnce(Pieces) -> F) -> Response
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let (pieces, body) = mpsc::channel(PIECES);
    let sending = send(Pieces(pieces.clone()));
    tokio::spawn(async move {
        if let Err(error) = sending.await {
            _ = pieces.send(Err(error)).await;
        }
    });
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(ReceiverStream::new(body))).into_response()
}

/// Returns items as a piece of a JSON array. `is_first` is true until the first item.
pub(super) fn items(items: impl IntoIterator<Item = impl Serialize>, is_first: &mut bool) -> Bytes {
    let mut text = Vec::new();
    for item in items {
        if !std::mem::replace(is_first, false) {
            text.push(b',');
        }
        // Writing numbers and texts into a vector cannot fail.
        _ = serde_json::to_writer(&mut text, &item);
    }
    text.into()
}
