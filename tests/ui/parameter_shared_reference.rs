#[golo::loadtest]
async fn journey(context: &golo::Context) {
    let _ = context;
}
