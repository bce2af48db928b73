#[golo::loadtest(setup = prepare)]
async fn journey() {}
