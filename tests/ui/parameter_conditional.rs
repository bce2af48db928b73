#[golo::loadtest]
async fn journey(#[cfg(unix)] context: golo::Context) {
    let _ = context;
}
