//! The engine, driven with load tests that log every event. The tests compare the plan with the events, and the events
//! with the counts.

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
