struct Database;

async fn prepare() -> Database {
    Database
}

#[golo::loadtest(setup = prepare)]
async fn journey() {}
