//! Requests against real servers, through golo's public functions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod answers;
mod credentials;
mod expectations;
mod failures;
mod output;
mod phases;
mod redirects;
mod scope;
mod side_by_side;

#[path = "../support/requests.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;

use std::sync::LazyLock;

use sample_service::SampleService;

/// Returns the shared sample service, for tests that do not check its counts.
fn service() -> &'static SampleService {
    static SERVICE: LazyLock<SampleService> = LazyLock::new(|| sample_service::start().expect("it starts"));
    &SERVICE
}
