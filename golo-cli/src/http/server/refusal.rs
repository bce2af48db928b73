//! Refusals of requests, which callers receive as `{"error":"…"}`.

use axum::Json;
use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Most bytes of a response in plain text that become the reason.
const REASON: usize = 4 << 10;

/// A status with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 400 or more.
    pub status: StatusCode,
    /// The problem, and what is expected.
    pub reason: String,
}

impl Refusal {
    /// Returns a refusal with any status.
    pub fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }

    /// Returns 400: the request is wrong.
    pub fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// Returns 404: there is no such thing.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// Returns 409: this is not possible at the moment.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(serde_json::json!({ "error": self.reason }))).into_response()
    }
}

/// Turns a response that is an error into JSON, unless it is a page: axum's own errors are plain text or empty. `most` is
/// the usual limit of a body in bytes. A route with its own limit writes its own error.
pub(super) async fn in_json(response: Response, most: usize) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_written = kind == "application/json" || kind.starts_with("text/html");
    if is_written || !(status.is_client_error() || status.is_server_error()) {
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
