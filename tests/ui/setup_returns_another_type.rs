struct Catalogue;
struct Database;

async fn prepare() -> Result<Database, String> {
    Ok(Database)
}

#[golo::loadtest(setup = prepare)]
async fn journey(catalogue: golo::Shared<Catalogue>) {
    let _ = catalogue;
}
