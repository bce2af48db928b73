//! Parses the command line and runs the subcommand.

use std::{ffi::OsString, path::Path, process::ExitCode};

use crate::{
    cli::{
        arguments::{Arguments, Command},
        compare::compare,
        new_crate::new_crate,
        run::run,
        runs::runs,
        show::show,
        submit,
    },
    collector::collect,
    process::supervisor,
    support::failure::Failure,
};
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use golo::cli::{refuse, say, wrong};

/// Name of the command as users type it.
const GOLO: &str = "golo";

/// Runs the `golo` command with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    // The supervisor processes between `golo` and a load test: they must stay single-threaded.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = supervisor::answer(&arguments) {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(error, &Arguments::command(), GOLO),
    };
    match arguments.command {
        Command::New { path } => new(&path),
        Command::Run(line) => run(*line),
        Command::Collector(line) => collect(*line),
        Command::Submit(line) => submit::run(*line),
        Command::Agent(line) => crate::agent::run(*line),
        Command::Runs(line) => runs(line),
        Command::Show(line) => show(line),
        Command::Compare(line) => compare(line),
    }
}

/// Prints a usage error of a subcommand and returns its exit code.
pub(crate) fn refused(subcommand: &str, kind: ErrorKind, failure: &Failure) -> ExitCode {
    let mut command = Arguments::command();
    let error = wrong(&mut command, subcommand, kind, failure.to_string());
    refuse(error, &command, GOLO)
}

fn new(path: &Path) -> ExitCode {
    match new_crate(path) {
        Ok(next) => {
            say(next);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say(format_args!("golo: {failure}"));
            ExitCode::FAILURE
        }
    }
}
