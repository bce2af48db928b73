//! The command line of `golo`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    agent::AgentLine,
    cli::{compare::CompareLine, run::RunLine, runs::RunsLine, show::ShowLine, submit::SubmitLine},
    collector::CollectorLine,
};

/// Load testing as ordinary async Rust: runs load tests, whatever they are written in
#[derive(Debug, Parser)]
#[command(name = "golo", version, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Arguments {
    /// What it is to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `golo` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a load test crate that compiles and runs
    New {
        /// Its folder, after which it is called
        #[arg(value_name = "NAME")]
        path: PathBuf,
    },
    /// Run a load test on this machine, and print a summary
    Run(Box<RunLine>),
    /// Have agents run a load test together, and print one summary
    Submit(Box<SubmitLine>),
    /// Run load tests for others: take jobs over HTTP, one at a time, and keep what they measure
    Agent(Box<AgentLine>),
    /// Keep what agents measure in an SQLite database, and give it back, over HTTP
    Collector(Box<CollectorLine>),
    /// List the runs that are kept, the newest first
    Runs(RunsLine),
    /// Print the summary of a run that is kept, and write its reports
    Show(ShowLine),
    /// Compare two kept runs: exit with 0 if the second is no worse, 99 if it is, 98 if that cannot be told
    Compare(CompareLine),
}
