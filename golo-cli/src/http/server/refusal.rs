//! Why a request is refused, as its caller reads it: `{"error":"…"}`.

use axum::{
    Json,
    body::to_bytes,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// Most of an answer in plain text that becomes the reason.
const REASON: usize = 4 << 10;

/// A status, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400 or more.
    pub status: StatusCode,
    /// What was wrong, and what would be right.
    pub reason: String,
}

impl Refusal {
    /// With any status.
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// 400: what was sent is wrong.
    pub fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 404: there is no such thing.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// 409: it is not the moment for that.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.reason }))).into_response()
    }
}

/// An answer whose error, if it is one, is JSON: axum's own are plain text or nothing. A body may have `most` bytes, unless
/// a route says otherwise, which then says so itself.
pub(super) async fn in_json(response: Response, most: usize) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let text = to_bytes(body, REASON).await.unwrap_or_default();
    let allowed = head.headers.get(header::ALLOW).and_then(|allowed| allowed.to_str().ok());
    let reason = match (status, allowed) {
        (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)) => format!("this takes {allowed}"),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => format!("the body is larger than {}", size(most)),
        _ if text.is_empty() => status.canonical_reason().unwrap_or("refused").to_lowercase(),
        _ => String::from_utf8_lossy(&text).into_owned(),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::CONTENT_TYPE);
    let mut response = Refusal::new(status, reason).into_response();
    response.headers_mut().extend(head.headers);
    response
}

fn size(bytes: usize) -> String {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}
