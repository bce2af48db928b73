#[golo::loadtest(setup = prepare())]
async fn journey() {}

async fn prepare() {}
