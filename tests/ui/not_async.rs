#[golo::loadtest]
fn journey() -> Result<(), String> {
    step().await
}

async fn step() -> Result<(), String> {
    Ok(())
}
