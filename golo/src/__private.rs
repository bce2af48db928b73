//! What the expansion of `#[golo::loadtest]` uses, and nothing else may: it changes without notice.

use std::process::ExitCode;

use crate::Loadtest;
pub use crate::loadtest::adapter::{
    Adapter, FromTrigger, IntoError, IntoOutcome, IntoResponse, IntoShared, Setup, Teardown, Trigger,
};

/// The body of the generated `main`.
pub fn main(loadtest: Loadtest) -> ExitCode {
    loadtest.start()
}
