struct Catalogue;
struct Database;

async fn prepare() -> Catalogue {
    Catalogue
}

async fn clean_up(database: golo::Shared<Database>) {
    let _ = database;
}

#[golo::loadtest(setup = prepare, teardown = clean_up)]
async fn journey(catalogue: golo::Shared<Catalogue>) {
    let _ = catalogue;
}
