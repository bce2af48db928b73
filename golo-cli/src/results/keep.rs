//! Writing the results of `golo run` and `golo submit` into the store during the run. An error in that does not affect
//! the run: it is tried again while the run lasts, and the end of the run says what is missing.

mod keeper;
mod storing;
mod writing;

use std::path::PathBuf;

use clap::{ArgAction, Args};
use golo::cli::OwnFlags;

pub use keeper::{Keeper, Keeping, short};

/// Storing of the results.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Results")]
pub struct KeepArgs {
    /// Store the results in this file, for `golo runs`, `show` and `compare`
    /// [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Do not store results; only print the summary and write the outputs of `--out`
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_keep: bool,
}

impl OwnFlags for KeepArgs {
    fn over(self, below: Self) -> Self {
        // A flag with a file overrides a `no-keep` of the job file or environment.
        let no_keep = self.no_keep || (self.db.is_none() && below.no_keep);
        Self { db: self.db.or(below.db), no_keep }
    }
}
