//! `golo compare`: two runs that are kept, side by side.
#![doc = include_str!("../docs/comparing-runs.md")]

pub mod bootstrap;
mod comparison;
mod rows;
mod seconds;
mod text;

use std::process::ExitCode;

use clap::{ArgAction, Args};
use golo::{
    cli::{print, say},
    report::Page,
};

use crate::{
    archive::{Archive, ArchiveArgs},
    command::BAD_CONFIGURATION,
};
pub use comparison::{Comparison, Side};
pub use rows::{Row, Tolerance};
pub use seconds::Seconds;

/// A regression.
const REGRESSION: u8 = 99;

/// `golo compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  golo compare 3f2a91c0 latest
  golo compare main-checkout branch-checkout --tolerance 10%
  golo compare 3f2a91c0 latest --json | jq '.rows[] | select(.regression)'

The exit code is 99 where B is worse than A: where the whole 95% interval of a change lies past the tolerance. It is 0 \
where it is not, also where the runs are too short to tell, which the first line says.")]
pub struct CompareLine {
    /// The run that the other is held against: its id, or what that begins with; the job's name; or `latest`
    #[arg(value_name = "A")]
    a: String,
    /// The run in question
    #[arg(value_name = "B")]
    b: String,
    /// How much worse is no regression: 5%, or 0.05
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    tolerance: Tolerance,
    /// Print the comparison as JSON
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
    /// Where.
    #[command(flatten)]
    archive: ArchiveArgs,
}

/// Compares two runs.
#[must_use]
pub fn compare(line: CompareLine) -> ExitCode {
    let CompareLine { a, b, tolerance, json, archive } = line;
    let read = Archive::open(archive).and_then(|archive| Ok((Side::read(&archive, &a)?, Side::read(&archive, &b)?)));
    let (a, b) = match read {
        Ok(sides) => sides,
        Err(message) => {
            say(format_args!("golo: {message}"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let comparison = Comparison::of(&a, &b, tolerance);
    let text = match json {
        true => serde_json::to_string(&comparison).map(|json| json + "\n").map_err(std::io::Error::from),
        false => Ok(comparison.text(Page::stdout())),
    };
    let printed = text.and_then(|text| print(&text));
    if let Err(error) = &printed {
        say(format_args!("golo: the comparison could not be written to stdout: {error}"));
    }
    match (comparison.is_regression(), printed) {
        (true, _) => ExitCode::from(REGRESSION),
        (false, Ok(())) => ExitCode::SUCCESS,
        (false, Err(_)) => ExitCode::FAILURE,
    }
}
