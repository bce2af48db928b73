#[golo::loadtest(setup_scope = "run")]
async fn journey() {}
