#[golo::loadtest]
const async fn journey() {}
