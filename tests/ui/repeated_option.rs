#[golo::loadtest(name = "checkout", name = "search")]
async fn journey() {}
