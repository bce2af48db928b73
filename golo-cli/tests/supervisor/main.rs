//! The supervisor, tested with real processes and real signals. Shell scripts are the load tests. At the end of each
//! test none of their processes is left.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod deaths;
mod ends;
mod limits;
mod starts;
mod support;
