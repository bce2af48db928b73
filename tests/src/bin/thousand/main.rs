//! A fleet of many simulated agents at one NATS server: the agents are real, with their registrations, calls, stores and
//! results, but their engines are simulated and send no request. `golo submit` and `golo collector` are the real commands.
//!
//! ```text
//! golo submit <--> nats-server <--> N agents in one process, each with its own connection
//!                       ^
//!                 golo collector
//! ```
//!
//! The summary of the run must equal the sum of what the engines have made, and so must that of the collector. Measured
//! are the time of each step, the distance between the starts, CPU time and memory, and the server's traffic.
//!
//! ```text
//! cargo run --release -p golo-tests --bin thousand -- --agents 1000 --time 60s --folder /dev/shm/thousand
//! ```
//!
//! Without `nats-server` on the `PATH` it reports that, and succeeds.

mod arguments;
mod checks;
mod engine;
mod fleet;
mod host;
mod measured;
mod report;
mod server;
mod usage;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use golo::cli::{Signals, print, say};

use arguments::{Command, FleetArguments, Line};
use fleet::{Fleet, Ran};
use server::Server;

fn main() -> ExitCode {
    let Line { command, fleet } = Line::parse();
    golo::cli::install_provider();
    let done = match command {
        Some(Command::Host(arguments)) => host::host(&arguments).map(|()| true),
        None => play(&fleet),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("thousand: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the fleet. Returns true if every summary equals the sum.
fn play(arguments: &FleetArguments) -> anyhow::Result<bool> {
    anyhow::ensure!(cfg!(target_os = "linux"), "the use of CPU and memory is read from /proc: this needs Linux");
    let Some(server) = Server::installed() else {
        say("thousand: skipped, because nats-server is not installed");
        return Ok(true);
    };
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
    let mut fleet = Fleet::set_up(arguments)?;
    let ran = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        tokio::select! {
            ran = fleet.run(&server, arguments) => ran,
            _ = signals.next() => Err(anyhow::anyhow!("stopped by a signal")),
        }
    });
    if arguments.keep || ran.is_err() {
        say(format_args!("thousand: the files are in {}", fleet.keep().display()));
    }
    let ran: Ran = ran?;
    print(&report::text(arguments, &ran))?;
    Ok(ran.differences.is_empty())
}
