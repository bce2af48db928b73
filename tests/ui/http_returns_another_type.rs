#[golo::loadtest(http = configure)]
async fn journey() {}

fn configure(_: golo::Http) {}
