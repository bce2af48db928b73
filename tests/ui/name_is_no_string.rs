#[golo::loadtest(name = 3)]
async fn journey() {}
