struct Catalogue;

#[golo::loadtest]
async fn journey(catalogue: golo::Shared<Catalogue>) {
    let _ = catalogue;
}
