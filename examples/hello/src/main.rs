//! The smallest load test: one request to the root of the target.
//!
//! ```text
//! cargo run -p hello -- once
//! ```
//!
//! It loads a sample service that it starts itself, or `TARGET_URL`.

use std::sync::LazyLock;

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

#[golo::loadtest]
async fn hello() -> Result<(), golo::RequestError> {
    let journey = golo::new_sequence_id();
    golo::do_request(&journey, golo::client().get(TARGET.as_str())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn it_passes_against_the_sample_service() {
        super::hello().await.unwrap();
    }
}
