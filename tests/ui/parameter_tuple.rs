#[golo::loadtest]
async fn journey((context, response): (golo::Context, golo::Response)) {
    let _ = (context, response);
}
