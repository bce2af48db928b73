//! Items that the expansion of `#[golo::loadtest]` uses. Nothing else may use them: they change without notice.

use std::process::ExitCode;

use crate::Loadtest;
pub use crate::loadtest::adapter::{
    Adapter, FromTrigger, IntoError, IntoOutcome, IntoResponse, IntoShared, Setup, Teardown, Trigger,
};

/// Runs the load test. The generated `main` calls this function.
pub fn main(loadtest: Loadtest) -> ExitCode {
    loadtest.start()
}
