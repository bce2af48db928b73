//! The engine, driven with load tests that tell everything that happens to them: what the plan says is what happens, and
//! what happens is what is counted.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod adjust;
mod connections;
mod ends;
mod failures;
mod pace;
mod probe;
mod rate;
mod series;
mod shares;
mod users;
mod warm_up;
