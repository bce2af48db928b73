//! A fleet on NATS, with a real server: agents that dial out, `golo submit --nats`, and results through the stream.
//!
//! Without `nats-server` a test reports that it was skipped, and passes. `GOLO_DRILLS` sets how often each program is killed
//! (once by default), and `GOLO_SEED` the moments.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "fleet_nats/drills.rs"]
mod drills;
#[path = "fleet_nats/fleet.rs"]
mod fleet;
#[path = "fleet_nats/partitions.rs"]
mod partitions;
#[path = "fleet_nats/permissions.rs"]
mod permissions;
#[path = "fleet_nats/results.rs"]
mod results;
#[path = "fleet_nats/security.rs"]
mod security;
#[path = "fleet_nats/server.rs"]
mod server;
#[path = "fleet_nats/shares.rs"]
mod shares;
