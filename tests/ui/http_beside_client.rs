#[golo::loadtest(http = configure, client = make)]
async fn journey() {}

fn configure(http: golo::Http) -> golo::Http {
    http
}

fn make(builder: golo::reqwest::ClientBuilder) -> golo::reqwest::Result<golo::reqwest::Client> {
    builder.build()
}
