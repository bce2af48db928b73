#[golo::loadtest]
async fn journey() -> u32 {
    200
}
