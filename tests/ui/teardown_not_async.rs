fn clean_up() {}

#[golo::loadtest(teardown = clean_up)]
async fn journey() {}
