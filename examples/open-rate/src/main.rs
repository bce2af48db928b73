//! 200 starts per second, however long the target takes.
//!
//! ```text
//! cargo run --release -p open-rate -- run --rate 200/s --duration 10s
//! ```
//!
//! One start is due every 5 ms. `--arrivals poisson` spaces the starts at random, like visitors who arrive
//! independently. If the target takes longer, more triggers are in flight, up to `--max-users`. Starts due beyond that
//! limit are dropped and counted. `-e WAIT_MS=500 --max-users 50` shows this: 200 starts per second of 0.5 s each would
//! need 100 in flight.
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::sync::LazyLock;

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let target = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn);
    let wait = golo::param("WAIT_MS").unwrap_or_else(|| "20".to_owned());
    format!("{}/slow?ms={wait}", target.trim_end_matches('/'))
});

#[golo::loadtest(name = "open-rate")]
async fn visit() -> Result<(), golo::RequestError> {
    let visit = golo::new_sequence_id();
    golo::request(&visit, golo::client().get(PAGE.as_str())).expect_status(200).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn load_test_passes_against_the_sample_service() {
        super::visit().await.unwrap();
    }
}
