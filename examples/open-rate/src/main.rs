//! 200 starts a second, whatever the target does.
//!
//! ```text
//! cargo run --release -p open-rate -- run --rate 200/s --duration 10s
//! ```
//!
//! One start is due every 5 ms; `--arrivals poisson` spaces them at random, as visitors who know nothing of each other
//! come. A target that takes longer has more triggers in flight, up to `--max-users`: what is due beyond them is dropped,
//! and counted. `-e WAIT_MS=500 --max-users 50` shows it, as 200 a second of half a second each would be 100 in flight.
//!
//! It loads a sample service that it starts itself, or `TARGET_URL`.

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
    async fn it_passes_against_the_sample_service() {
        super::visit().await.unwrap();
    }
}
