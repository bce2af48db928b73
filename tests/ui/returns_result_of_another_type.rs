#[golo::loadtest]
async fn journey() -> Result<u32, String> {
    Ok(200)
}
