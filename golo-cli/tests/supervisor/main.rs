//! The supervisor, with real processes and real signals: shell scripts are the load tests, and at the end of each test
//! nothing of them is left.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod deaths;
mod ends;
mod limits;
mod starts;
mod support;
