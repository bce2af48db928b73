//! Requests against real servers, through the doors that load tests use.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod answers;
mod credentials;
mod expectations;
mod failures;
mod output;
mod redirects;
mod scope;

#[path = "../support/requests.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;

use std::sync::LazyLock;

use sample_service::SampleService;

/// The sample service, for tests that look at no counts.
fn service() -> &'static SampleService {
    static SERVICE: LazyLock<SampleService> = LazyLock::new(|| sample_service::start().expect("it starts"));
    &SERVICE
}
