//! A load test with a function named `main` and all kinds of parameters.

use golo::{Context, Response, ResponseTag, Shared};

struct Visitor {
    visits: u64,
}

impl golo::User for Visitor {
    async fn start(_: &Context) -> Result<Self, golo::BoxError> {
        Ok(Self { visits: 40 })
    }
}

async fn prepare() -> Result<u64, std::num::ParseIntError> {
    "2".parse()
}

async fn clean_up(step: Shared<u64>) -> Result<(), String> {
    if *step == 2 { Ok(()) } else { Err("another value than `setup` returned".to_owned()) }
}

fn make_client(builder: golo::reqwest::ClientBuilder) -> golo::reqwest::Result<golo::reqwest::Client> {
    builder.timeout(std::time::Duration::from_secs(1)).build()
}

/// Adds to the visits.
#[golo::loadtest(name = "not main", setup = prepare, teardown = clean_up, client = make_client)]
#[cfg(not(any()))]
async fn main(
    Response { job_name, .. }: Response,
    visitor: &mut Visitor,
    step: Shared<u64>,
    _: Context,
) -> Result<Vec<ResponseTag>, std::io::Error> {
    visitor.visits += *step;
    Ok(golo::tagify([("visits", visitor.visits.to_string()), ("job", job_name)]))
}

#[golo::loadtest]
#[cfg(any())]
async fn main() {}
