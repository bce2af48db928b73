#[golo::loadtest(nmae = "checkout")]
async fn journey() {}
