//! Error responses: a status and `{"error": "…"}`.

use std::ops::RangeInclusive;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let body = Json(Body { error: self.error });
        if self.status == StatusCode::UNAUTHORIZED {
            return (self.status, [(WWW_AUTHENTICATE, "Bearer")], body).into_response();
        }
        (self.status, body).into_response()
    }
}

/// Returns the parameter `name` as a whole number within `range`, or a refusal that describes the expected value.
pub(crate) fn whole_number(name: &str, text: Option<&String>, range: RangeInclusive<u64>) -> Result<u64, Refusal> {
    text.and_then(|text| text.parse().ok()).filter(|number| range.contains(number)).ok_or_else(|| {
        let (least, most) = range.into_inner();
        Refusal::new(StatusCode::BAD_REQUEST, format!("`{name}` must be a whole number from {least} to {most}"))
    })
}

/// Returns the JSON body, or a refusal that shows the expected `shape`.
pub(crate) fn json_body<T>(body: Result<Json<T>, JsonRejection>, shape: &str) -> Result<T, Refusal> {
    match body {
        Ok(Json(value)) => Ok(value),
        Err(rejection) => Err(Refusal::new(rejection.status(), format!("the body must be JSON like `{shape}`"))),
    }
}
