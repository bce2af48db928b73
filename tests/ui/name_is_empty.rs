#[golo::loadtest(name = "")]
async fn journey() {}
