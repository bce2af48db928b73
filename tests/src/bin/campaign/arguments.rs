//! The command line of the campaign.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use golo::cli::parse_duration;

/// Plays rounds of load with random faults, and compares what the target, the agents and the collector counted.
#[derive(Debug, Parser)]
#[command(name = "campaign", args_conflicts_with_subcommands = true)]
pub(crate) struct Line {
    /// Another thing to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) attack: AttackArguments,
    /// The command `golo` to attack [default: `golo-command` beside this program]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) golo: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch the memory of a collector, an agent, `golo submit` and `golo run` under many routes
    Memory(MemoryArguments),
}

#[derive(Debug, Args)]
pub(crate) struct AttackArguments {
    /// Seed of the faults: the same seed chooses the same rounds
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Start no round after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub(crate) time: Duration,
    /// Number of agents
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=20))]
    pub(crate) agents: u64,
    /// Play only this round
    #[arg(long, value_name = "NUMBER")]
    pub(crate) round: Option<u64>,
    /// Keep the logs and databases if a rule is broken
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MemoryArguments {
    /// Length of the load
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60m")]
    pub(crate) time: Duration,
    /// Number of routes of each load test
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) routes: u64,
    /// Rate of each load, in requests per second
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) rate: u64,
}
