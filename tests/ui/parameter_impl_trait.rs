#[golo::loadtest]
async fn journey(context: impl Into<golo::Context>) {
    let _ = context.into();
}
