//! The subcommands of `golo`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::agent::AgentLine;
use crate::cli::agents::AgentsLine;
use crate::cli::attach::AttachLine;
use crate::cli::compare::CompareLine;
use crate::cli::run::RunLine;
use crate::cli::runs::RunsLine;
use crate::cli::show::ShowLine;
use crate::cli::sign::SignLine;
use crate::cli::submit::SubmitLine;
use crate::collector::CollectorLine;

/// Load testing as ordinary async Rust: runs load tests written in any language
#[derive(Debug, Parser)]
#[command(name = "golo", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Arguments {
    /// Subcommand to run.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands of `golo`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a new load test crate
    New {
        /// Folder of the new crate; its last part is the crate's name
        #[arg(value_name = "NAME")]
        path: PathBuf,
    },
    /// Run a load test on this machine and print a summary
    Run(Box<RunLine>),
    /// Run a load test on several agents together and print one summary
    Submit(Box<SubmitLine>),
    /// Follow a run that `golo submit --detach` has left to its agents, and print its summary
    Attach(Box<AttachLine>),
    /// Run load tests for others: accept jobs over HTTP, run them one at a time and keep the results
    Agent(Box<AgentLine>),
    /// List the agents that are registered at a NATS server
    Agents(AgentsLine),
    /// Store results from agents in an SQLite database and serve them over HTTP
    Collector(Box<CollectorLine>),
    /// Sign a load test, so that agents with `--trust` run it
    Sign(SignLine),
    /// List stored runs, newest first
    Runs(RunsLine),
    /// Print the summary of a stored run and write its reports
    Show(ShowLine),
    /// Compare two stored runs; exit with 0 if the second is no worse, 99 if it is worse, 98 if the data are too noisy
    Compare(CompareLine),
}
