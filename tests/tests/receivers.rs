//! Metrics of runs at real receivers: Prometheus and VictoriaMetrics as processes, and receivers that misbehave. What a
//! receiver has at the end must equal the summary.
//!
//! A test whose receiver is not installed reports that it was skipped, and passes.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "receivers/alerts.rs"]
mod alerts;
#[path = "receivers/database.rs"]
mod database;
#[path = "receivers/fakes.rs"]
mod fakes;
#[path = "receivers/fleet.rs"]
mod fleet;
#[path = "servers/port.rs"]
mod port;
#[path = "receivers/prometheus.rs"]
mod prometheus;
#[path = "receivers/refusals.rs"]
mod refusals;
#[path = "receivers/runs.rs"]
mod runs;
