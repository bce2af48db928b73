//! The command line of `golo`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use golo::cli::{OwnFlags, RunArgs, pair};

use crate::{
    agent::AgentLine, collector::CollectorLine, compare::CompareLine, keep::KeepArgs, limits::LimitArgs,
    runs::RunsLine, show::ShowLine, submit::SubmitLine,
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

/// `golo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every flag but -e is a variable too: --warm-up is GOLO_WARM_UP. A flag comes before its variable."
)]
pub struct RunLine {
    /// A program that serves golo.Job, in any language; the folder of a crate, which is built in release; or a job file
    /// (job.toml, job.yaml) that names one of them as `binary`
    #[arg(value_name = "BINARY|CRATE_DIR|JOB_FILE")]
    pub load_test: Option<PathBuf>,
    /// What to deliver, and how.
    #[command(flatten)]
    pub run: RunArgs<RunOwn>,
    /// A parameter, which the load test finds in its environment (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Run")]
    pub env: Vec<(String, String)>,
    /// Who runs the plan: the load test's own engine (plan), or this one, with a call for each trigger, as it does for
    /// load tests that were not built with golo (trigger) [default: plan where the load test can]
    #[arg(long, value_name = "WAY", help_heading = "Run")]
    pub drive: Option<DriveBy>,
}

/// Who runs the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriveBy {
    /// The load test's own engine.
    Plan,
    /// This one, trigger by trigger.
    Trigger,
}

/// The flags of `golo run` beside those that every load test has.
#[derive(Debug, Clone, Default, Args)]
pub struct RunOwn {
    /// What it may use.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Where its results go.
    #[command(flatten)]
    pub keep: KeepArgs,
}

impl OwnFlags for RunOwn {
    fn over(self, below: Self) -> Self {
        Self { limits: self.limits.over(below.limits), keep: self.keep.over(below.keep) }
    }
}
