//! The smallest load test: one request to the root of the target.
//!
//! ```text
//! cargo run --release -p hello -- run --users 100 --duration 10s
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use golo::{BoxError, RequestError, Shared, reqwest::Url};

/// Parses the URL once. A string would be parsed again for each request.
async fn target() -> Result<Url, BoxError> {
    Ok(golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn).parse()?)
}

#[golo::loadtest(setup = target)]
async fn hello(target: Shared<Url>) -> Result<(), RequestError> {
    let journey = golo::new_sequence_id();
    golo::do_request(&journey, golo::client().get(Url::clone(&target))).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn load_test_passes_against_the_sample_service() {
        hello(Shared::new(target().await.unwrap())).await.unwrap();
    }
}
