//! Metrics of `golo run` in databases, and the dashboards that show them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod dashboards;
mod databases;
mod golo_run;
mod influxdb;
mod load_test;
/// The helpers for waiting, shared with the tests across crates.
#[path = "../../../tests/waiting.rs"]
#[allow(unreachable_pub, reason = "it is public there")]
mod waiting;
