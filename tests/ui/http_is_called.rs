#[golo::loadtest(http = configure())]
async fn journey() {}

fn configure(http: golo::Http) -> golo::Http {
    http
}
