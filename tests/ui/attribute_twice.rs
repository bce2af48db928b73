#[golo::loadtest]
#[golo::loadtest]
async fn journey() {}
