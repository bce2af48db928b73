//! The program of the later go-lo: a function that takes a context and a response and reports its result as tags.
//!
//! ```text
//! cargo run -p go-lo-v2 -- once
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::{fmt::Display, sync::LazyLock};

use golo::{RequestError, ResponseTag};

static URL: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

#[golo::loadtest(name = "go-lo-v2")]
async fn trigger() -> Result<Vec<ResponseTag>, RequestError> {
    let resp = golo::do_request(&golo::new_sequence_id(), golo::client().get(URL.as_str())).await?;
    let size = resp.content_length().unwrap_or_default();
    Ok(golo::tagify([("status", &resp.status() as &dyn Display), ("size", &size), ("url", &*URL)]))
}
