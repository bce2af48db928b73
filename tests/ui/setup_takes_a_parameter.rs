async fn prepare(context: golo::Context) {
    let _ = context;
}

#[golo::loadtest(setup = prepare)]
async fn journey() {}
