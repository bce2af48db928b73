//! Items that the expansion of `#[golo::loadtest]` uses. Nothing else may use them: they change without notice.

use std::process::ExitCode;

use crate::Loadtest;
pub use crate::loadtest::adapter::{
    Adapter, FromTrigger, IntoError, IntoOutcome, IntoResponse, IntoShared, Portable, Setup, Teardown, Trigger,
};

/// Checks that a value of `setup` is what a scenario takes as `Shared<T>`.
pub fn shares<T>(_: &impl Setup<Returned: Future<Output: IntoShared<T>>>) {}

/// Runs the load test. The generated `main` calls this function.
pub fn main(loadtest: Loadtest) -> ExitCode {
    loadtest.start()
}
