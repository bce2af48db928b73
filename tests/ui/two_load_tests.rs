#[golo::loadtest]
async fn journey() {}

#[golo::loadtest]
async fn search() {}
