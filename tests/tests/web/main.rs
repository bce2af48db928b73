//! Tests of the web page: of real runs, and as displayed by a browser.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod browser;
mod displayed;
/// Pages of made-up runs, shared with the tests of the command.
#[path = "../../../golo-cli/tests/web/support.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod made;
mod run;
mod steered;
