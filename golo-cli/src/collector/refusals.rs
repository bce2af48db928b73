//! HTTP responses for store errors.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use golo::cli::chain;

use super::{Refusal, StoreError};

/// A store error as an HTTP response.
pub(super) struct Failed(StoreError);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let reason = chain(&self.0);
        let status = match self.0 {
            // The sender continues at `next`.
            StoreError::Gap { next } => {
                let answer = serde_json::json!({ "error": reason, "next": next });
                return (StatusCode::CONFLICT, Json(answer)).into_response();
            }
            StoreError::OtherJob { known } => {
                let answer = serde_json::json!({ "error": reason, "job": known });
                return (StatusCode::CONFLICT, Json(answer)).into_response();
            }
            StoreError::Refused(_) => StatusCode::BAD_REQUEST,
            StoreError::Unknown(_) => StatusCode::NOT_FOUND,
            StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            StoreError::Unusable(_) | StoreError::Damaged(_) | StoreError::NotOpened(..) | StoreError::Database(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Refusal::new(status, reason).into_response()
    }
}
