async fn clean_up() -> u32 {
    1
}

#[golo::loadtest(teardown = clean_up)]
async fn journey() {}
