#[golo::loadtest("checkout")]
async fn journey() {}
