#[golo::loadtest]
async fn journey() -> Result<(), u32> {
    Err(500)
}
