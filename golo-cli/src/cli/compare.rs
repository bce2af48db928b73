//! `golo compare`: compares two stored runs.
#![doc = include_str!("../../docs/comparing-runs.md")]

use std::process::ExitCode;

use clap::{ArgAction, Args};
use golo::cli::{Exit, print, say};
use golo::report::Page;

use crate::results::archive::ArchiveArgs;
use crate::results::compare::{Comparison, Deciding, Outcome, Side, Tolerance};

/// Flags of `golo compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  golo compare 3f2a91c0 latest
  golo compare main-checkout branch-checkout --tolerance 10%
  golo compare 3f2a91c0 latest --json | jq '.rows[] | select(.regression)'

Each change has a 95% interval; those of rows other than the five below are wider, because there are many. Exit codes:
   0  no regression: the harmful end of each deciding interval is within the tolerance
  96  a run is INVALID, died, did not start or has not ended, and `--force` is not given
  98  too noisy to tell: a deciding interval reaches past the tolerance, or the runs are too short
  99  regression: the whole interval of any row is past the tolerance
 104  no such run, file or collector, or wrong flags
   1  a run is damaged, or stdout cannot be written

Five rows decide, unless `--all-metrics` is given: requests and triggers per second, the share of failed requests, p50 \
and p95 of all requests.")]
pub struct CompareLine {
    /// Baseline run: its ID or the beginning of it, the job's name, or `latest`
    #[arg(value_name = "A")]
    a: String,
    /// Run to compare with the baseline
    #[arg(value_name = "B")]
    b: String,
    /// Regression tolerance, for example 5% or 0.05
    #[arg(long, value_name = "SHARE", default_value_t = Tolerance::USUAL)]
    tolerance: Tolerance,
    /// Judge all rows, also those of routes and p90, p99 and p99.9: each must be within the tolerance
    #[arg(long, action = ArgAction::SetTrue)]
    all_metrics: bool,
    /// Also compare runs that are INVALID, died or have not ended
    #[arg(long, action = ArgAction::SetTrue)]
    force: bool,
    /// Print the comparison as JSON
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
    /// Archive with the runs.
    #[command(flatten)]
    archive: ArchiveArgs,
}

/// Compares two stored runs and prints the comparison.
#[must_use]
pub fn compare(line: CompareLine) -> ExitCode {
    let CompareLine { a, b, tolerance, all_metrics, force, json, archive } = line;
    let (a, b) = match Side::read_both(&archive, &a, &b) {
        Ok(sides) => sides,
        Err(error) => {
            say(format_args!("golo: {error}"));
            return error.exit().into();
        }
    };
    // Both sides can be the same run.
    let b = b.as_ref().unwrap_or(&a);
    let mut unfit: Vec<_> = [&a, b].into_iter().filter_map(Side::unfit).collect();
    unfit.dedup();
    if !unfit.is_empty() && !force {
        for reason in unfit {
            say(format_args!("golo: {reason}"));
        }
        say("golo: such a run does not describe the target, so nothing is compared; run it again, or use `--force`");
        return Exit::Invalid.into();
    }
    let deciding = if all_metrics { Deciding::All } else { Deciding::Totals };
    let comparison = Comparison::of(&a, b, tolerance, deciding);
    let text = match json {
        true => serde_json::to_string(&comparison).map(|json| json + "\n").map_err(std::io::Error::from),
        false => Ok(comparison.text(Page::stdout())),
    };
    let printed = text.and_then(|text| print(&text));
    if let Err(error) = &printed {
        say(format_args!("golo: the comparison could not be written to stdout: {error}"));
    }
    match (comparison.outcome(), printed) {
        (Outcome::Regression, _) => Exit::ThresholdFailed.into(),
        (Outcome::TooNoisy | Outcome::TooLittle, _) => Exit::TooNoisy.into(),
        (Outcome::NoRegression, Ok(())) => ExitCode::SUCCESS,
        (Outcome::NoRegression, Err(_)) => ExitCode::FAILURE,
    }
}
