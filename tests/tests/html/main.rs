//! Tests of `html=`: the page of a run, as written and as displayed by a browser.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod browsed;
mod browser;
mod cost;
mod made;
mod read;
mod written;
