#[golo::loadtest]
async fn journey(count: u32) {
    let _ = count;
}
