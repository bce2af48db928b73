#[golo::loadtest(client = |builder| builder.build())]
async fn journey() {}
