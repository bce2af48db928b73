//! `golo runs prune`: deletes old runs.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::{ArgAction, Args};
use golo::cli::parse_duration;
use golo::report::{bytes, clean, counted};

use crate::cli::command::answered;
use crate::results::keep::short;
use crate::results::store::{Keep, KeptRun, Pruned, Store, database_path};
use crate::support::failure::Failure;
use crate::support::moments::{date, now};

/// Flags of `golo runs prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  golo runs prune --keep 30d --dry-run
  golo runs prune --keep 30d
  golo runs prune --keep 12h --db results.db

The age of a run counts from its last record. A run that has not ended is kept until nothing was heard of it for an hour. \
Single requests that were pushed to a collector are deleted at the same age. Other processes, such as a collector, may \
use the file meanwhile.")]
pub(super) struct PruneLine {
    /// Keep what is at most this old, as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    keep: Duration,
    /// Only print what would be deleted
    #[arg(long, action = ArgAction::SetTrue)]
    dry_run: bool,
    /// Database file with the runs
    /// [env: GOLO_DB] [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

/// Deletes old runs, and prints which.
#[must_use]
pub(super) fn prune(line: PruneLine) -> ExitCode {
    answered(run(line))
}

fn run(line: PruneLine) -> Result<String, Failure> {
    let PruneLine { keep, dry_run, db } = line;
    let path = database_path(db).map_err(|error| error.to_string())?;
    let keep = Keep { age: keep, now: now() };
    if dry_run {
        let pruned = Store::open_to_read(&path)?.prunable(keep)?;
        return Ok(format!("{}{} would be deleted\n", list(&pruned.runs), what(&pruned)));
    }
    let mut store = Store::open_to_prune(&path)?;
    let before = store.bytes();
    let pruned = store.prune(keep)?;
    let (list, what, after) = (list(&pruned.runs), what(&pruned), store.bytes());
    Ok(format!("{list}deleted {what}; the file has {}, before {}\n", bytes(after), bytes(before)))
}

/// Returns a line for each run.
fn list(runs: &[KeptRun]) -> String {
    runs.iter().fold(String::new(), |mut text, run| {
        let _ = writeln!(text, "{}  {}  {}", short(&run.run), date(run.added_at_ns), clean(&run.name));
        text
    })
}

/// Returns the deleted results in words: `2 runs and 1,000 pushed requests`.
fn what(pruned: &Pruned) -> String {
    let runs = counted(pruned.runs.len() as u64, "run");
    match pruned.outputs {
        0 => runs,
        outputs => format!("{runs} and {}", counted(outputs, "pushed request")),
    }
}
