//! A load that rises to 20 users in 5 s, stays there for 10 s, and falls to 0 in 5 s.
//!
//! ```text
//! cargo run --release -p staged-ramp -- run --stage 5s:20,10s:20,5s:0
//! ```
//!
//! A stage is a time and the number of users at its end. Together the stages set the duration. A rate is ramped in the
//! same way: `--stage 5s:200/s,10s:200/s`.
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::{sync::LazyLock, time::Duration};

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

#[golo::loadtest(name = "staged-ramp")]
async fn browse() -> Result<(), golo::RequestError> {
    let visit = golo::new_sequence_id();
    let items = golo::client().get(format!("{}/items", TARGET.trim_end_matches('/')));
    golo::request(&visit, items).expect_status(200).send().await?;

    // With about 100 ms between two pages, 20 users request slightly less than 200 pages per second.
    golo::think(Duration::from_millis(50)..Duration::from_millis(150)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn load_test_passes_against_the_sample_service() {
        super::browse().await.unwrap();
    }
}
