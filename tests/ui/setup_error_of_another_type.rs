async fn prepare() -> Result<(), u32> {
    Err(1)
}

#[golo::loadtest(setup = prepare)]
async fn journey() {}
