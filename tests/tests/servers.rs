//! Load on real servers. What a run reports must match the log of the server, and requests fail only if the server fails.
//!
//! A test whose server is not installed reports that it was skipped, and passes.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "servers/addresses.rs"]
mod addresses;
#[path = "servers/early_answers.rs"]
mod early_answers;
#[path = "servers/full_speed.rs"]
mod full_speed;
#[path = "servers/limits.rs"]
mod limits;
#[path = "servers/load.rs"]
mod load;
#[path = "servers/log.rs"]
mod log;
#[path = "servers/pauses.rs"]
mod pauses;
#[path = "servers/port.rs"]
mod port;
#[path = "servers/reload.rs"]
mod reload;
#[path = "servers/server.rs"]
mod server;
#[path = "servers/sockets.rs"]
mod sockets;
#[path = "servers/software.rs"]
mod software;
