fn prepare() -> u32 {
    1
}

#[golo::loadtest(setup = prepare)]
async fn journey(count: golo::Shared<u32>) {
    let _ = count;
}
