//! A load test in a crate that denies every lint that an expansion could violate.

#![deny(warnings, missing_docs, unused, unreachable_pub, unused_qualifications, unused_results)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery, clippy::cargo, clippy::unwrap_used, clippy::expect_used)]
#![deny(
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    let_underscore_drop,
    single_use_lifetimes,
    trivial_casts
)]
#![deny(non_local_definitions, redundant_lifetimes, unit_bindings, unused_lifetimes)]
#![forbid(unsafe_code)]
#![allow(clippy::cargo_common_metadata, clippy::multiple_crate_versions)]

use golo::{Context, Response, Shared};

struct Visitor {
    name: String,
}

impl golo::User for Visitor {
    async fn start(context: &Context) -> Result<Self, golo::BoxError> {
        Ok(Self { name: context.job_name.clone() })
    }
}

async fn prepare() -> Result<u64, golo::BoxError> {
    Ok(tick().await)
}

async fn clean_up(ticks: Shared<u64>) {
    assert_eq!(*ticks, tick().await, "what `setup` returned");
}

async fn tick() -> u64 {
    std::future::ready(1).await
}

#[golo::loadtest(setup = prepare, teardown = clean_up)]
async fn journey(
    visitor: &mut Visitor,
    context: Context,
    response: Response,
    ticks: Shared<u64>,
) -> Result<Response, golo::BoxError> {
    visitor.name.push_str(&context.job_name);
    let output = format!("{} {}", visitor.name, *ticks + tick().await);
    Ok(Response { output, ..response })
}
