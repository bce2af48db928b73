//! Keeping what a run measures: `golo run` and `golo submit` write it into a file as it comes, and nothing that goes wrong
//! with that touches the run.

mod keeper;
mod output;

use std::path::PathBuf;

use clap::{ArgAction, Args};
use golo::cli::OwnFlags;

pub use keeper::{Keeper, Keeping, short};
pub use output::{StoreOfAgents, StoreOutput};

/// Whether what is measured is kept, and where.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Results")]
pub struct KeepArgs {
    /// Keep the results in this file, for `golo runs`, `show` and `compare`
    /// [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Keep nothing but what is printed and what `--out` asks for
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_keep: bool,
}

impl OwnFlags for KeepArgs {
    fn over(self, below: Self) -> Self {
        // Who says where, wants it kept.
        let no_keep = self.no_keep || (self.db.is_none() && below.no_keep);
        Self { db: self.db.or(below.db), no_keep }
    }
}
