//! Helpers of the tests across crates: programs that are started and watched, and a plain gRPC client.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod grpc;
mod program;
mod speechless;
mod tell;
mod waiting;

pub use grpc::{connect, context, job, trigger};
pub use program::{Finished, Lines, Program, Signal, command, once, output};
pub use speechless::Speechless;
pub use tell::tell;
pub use waiting::{PATIENCE, until, within};
