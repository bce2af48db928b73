//! `golo show`: reports a stored run as at its end.

use std::process::ExitCode;

use clap::Args;
use golo::cli::{ReportArgs, say, show as report_outcome};
use golo::report::Timeline;

use crate::results::archive::{Archive, ArchiveArgs};

/// Flags of `golo show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  golo show latest
  golo show 3f2a91c0 --html report.html
  golo show checkout -o junit=checkout.xml -o csv=checkout
  golo show latest -o failures=failures.jsonl
  golo show latest --json | jq .requests.total.duration.p99

The exit code is 0 for every verdict of the run: only `golo run` and `golo submit` exit with the code of the verdict. It is \
1 if the run is damaged, and 104 if there is no such run.")]
pub struct ShowLine {
    /// Run: its ID or the beginning of it, the job's name for its newest run, or `latest`. A run that did not start is
    /// found by its ID
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// Report files and formats.
    #[command(flatten)]
    report: ReportArgs,
    /// Archive with the runs.
    #[command(flatten)]
    archive: ArchiveArgs,
}

/// Prints the report of a stored run.
#[must_use]
pub fn show(line: ShowLine) -> ExitCode {
    let ShowLine { run, report, archive } = line;
    match Archive::open(archive).and_then(|archive| archive.replay(&run, Some(Timeline::default()), |_| {})) {
        Ok(replayed) => report_outcome(replayed.outcome, report),
        Err(error) => {
            say(format_args!("golo: {error}"));
            error.exit().into()
        }
    }
}
