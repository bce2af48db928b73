struct Catalogue;
struct Database;

async fn prepare() -> Catalogue {
    Catalogue
}

#[golo::loadtest(setup = prepare)]
async fn journey(catalogue: golo::Shared<Catalogue>, database: golo::Shared<Database>) {
    let _ = (catalogue, database);
}
