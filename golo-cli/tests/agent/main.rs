//! The agent as a real process, called over real connections. The load test is this test binary itself: see
//! `load_test`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod bounds;
mod collector;
mod damage;
mod data;
mod databases;
mod deaths;
mod jobs;
mod leases;
mod load_test;
mod pushing;
mod queue;
mod security;
mod support;
mod uploads;
