//! The later go-lo's program: a function of a context and a response, which says how it went by tags.
//!
//! ```text
//! cargo run -p go-lo-v2 -- once
//! ```
//!
//! It loads a sample service that it starts itself, or `TARGET_URL`.

use std::{fmt::Display, sync::LazyLock};

use golo::{RequestError, ResponseTag};

static URL: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

#[golo::loadtest(name = "go-lo-v2")]
async fn trigger() -> Result<Vec<ResponseTag>, RequestError> {
    let resp = golo::do_request(&golo::new_sequence_id(), golo::client().get(URL.as_str())).await?;
    let size = resp.content_length().unwrap_or_default();
    Ok(golo::tagify([("status", &resp.status() as &dyn Display), ("size", &size), ("url", &*URL)]))
}
