//! The smallest load test: one request to the root of the target.
//!
//! ```text
//! cargo run --release -p hello -- run --users 100 --duration 10s
//! ```
//!
//! It loads a sample service that it starts itself, or `TARGET_URL`.

use golo::{BoxError, RequestError, Shared, reqwest::Url};

/// Read once: a text would be read anew for each request.
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
    async fn it_passes_against_the_sample_service() {
        hello(Shared::new(target().await.unwrap())).await.unwrap();
    }
}
