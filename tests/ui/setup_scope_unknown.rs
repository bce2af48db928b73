async fn prepare() {}

#[golo::loadtest(setup = prepare, setup_scope = "fleet")]
async fn journey() {}
