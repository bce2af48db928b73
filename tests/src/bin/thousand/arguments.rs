//! The command line of the program.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use golo::cli::parse_duration;

/// Runs many simulated agents at one NATS server, compares the summary with the sum of what they made, and measures.
#[derive(Debug, Parser)]
#[command(name = "thousand", args_conflicts_with_subcommands = true)]
pub(crate) struct Line {
    /// Another thing to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) fleet: FleetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Host the agents: this program starts itself so
    #[command(hide = true)]
    Host(HostArguments),
}

#[derive(Debug, Args)]
pub(crate) struct FleetArguments {
    /// Number of agents
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u64).range(2..=10_000))]
    pub(crate) agents: u64,
    /// Length of the run
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5s")]
    pub(crate) time: Duration,
    /// What each agent measures a second
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// Run no collector: the agents keep their results
    #[arg(long)]
    pub(crate) no_collector: bool,
    /// The command `golo` to measure [default: `golo-command` beside this program]
    #[arg(long, value_name = "FILE")]
    pub(crate) golo: Option<PathBuf>,
    /// Folder for all files, best on a disk in memory [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Keep the logs and databases
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LoadArguments {
    /// Series of each agent
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u64).range(1..=500))]
    pub(crate) series: u64,
    /// Requests of each series in a second
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) requests: u64,
}

#[derive(Debug, Args)]
pub(crate) struct HostArguments {
    /// Number of agents
    #[arg(long)]
    pub(crate) agents: u64,
    /// Address of the NATS server
    #[arg(long)]
    pub(crate) nats: String,
    /// Folder for the agents' data
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Send results to the collectors at the NATS server
    #[arg(long)]
    pub(crate) collector: bool,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
}
