//! A load that rises to 20 users in 5 s, stays there for 10 s, and falls to none in 5 s.
//!
//! ```text
//! cargo run --release -p staged-ramp -- run --stage 5s:20,10s:20,5s:0
//! ```
//!
//! A stage is a time and the number of users at its end; together they set the duration. A rate is ramped alike:
//! `--stage 5s:200/s,10s:200/s`. It loads a sample service that it starts itself, or `TARGET_URL`.

use std::{sync::LazyLock, time::Duration};

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

#[golo::loadtest(name = "staged-ramp")]
async fn browse() -> Result<(), golo::RequestError> {
    let visit = golo::new_sequence_id();
    let items = golo::client().get(format!("{}/items", TARGET.trim_end_matches('/')));
    golo::request(&visit, items).expect_status(200).send().await?;

    // With 100 ms between two pages, 20 users ask for somewhat less than 200 a second.
    golo::think(Duration::from_millis(50)..Duration::from_millis(150)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn it_passes_against_the_sample_service() {
        super::browse().await.unwrap();
    }
}
