//! The runtime of the commands that serve.

use std::process::ExitCode;
use std::thread::available_parallelism;

use golo::cli::{Exit, say, start_runtime};
use tokio::runtime::Runtime;

/// Starts a runtime with a thread for each core.
///
/// # Errors
///
/// If the system refuses a thread or a descriptor, prints the reason and returns the exit code.
pub fn start() -> Result<Runtime, ExitCode> {
    start_runtime(available_parallelism().map_or(1, usize::from)).map_err(|error| {
        say(format_args!("golo: the runtime could not be started: {error}"));
        Exit::NotStarted.into()
    })
}
