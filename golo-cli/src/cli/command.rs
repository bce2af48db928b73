//! Runs the subcommand of a command line.

use std::{ffi::OsString, path::Path, process::ExitCode};

use crate::cli::agents::agents;
use crate::cli::arguments::{Arguments, Command};
use crate::cli::attach::attach;
use crate::cli::compare::compare;
use crate::cli::new_crate::new_crate;
use crate::cli::run::run;
use crate::cli::runs::runs;
use crate::cli::show::show;
use crate::cli::sign::sign;
use crate::cli::submit;
use crate::collector::collect;
use crate::process::supervisor;
use crate::support::failure::Failure;
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use golo::cli::{Exit, print, refuse, say, wrong};

/// Name of the command.
const GOLO: &str = "golo";

/// The command `golo`: reads the command line of this process and runs the subcommand.
#[must_use]
pub fn main() -> ExitCode {
    // The processes between `golo` and a load test must have only one thread.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = supervisor::answer(&arguments) {
        return code;
    }
    hide_memory();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(error, &Arguments::command(), GOLO),
    };
    match arguments.command {
        Command::New { path } => new(&path),
        Command::Run(line) => run(*line),
        Command::Collector(line) => collect(*line),
        Command::Submit(line) => submit::run(*line),
        Command::Attach(line) => attach(*line),
        Command::Agent(line) => crate::agent::run(*line),
        Command::Agents(line) => agents(line),
        Command::Sign(line) => sign(line),
        Command::Runs(line) => runs(line),
        Command::Show(line) => show(line),
        Command::Compare(line) => compare(line),
    }
}

/// Denies the processes of the same user, such as a load test, the memory and the environment of this process, which
/// contain its tokens. Has no effect on root's processes, and none outside Linux.
fn hide_memory() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // It fails for no process.
        _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// A command line that cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct UsageError {
    kind: ErrorKind,
    message: String,
}

impl UsageError {
    /// Returns the error of an argument with a wrong value.
    pub(crate) fn wrong(message: impl ToString) -> Self {
        Self { kind: ErrorKind::ValueValidation, message: message.to_string() }
    }

    /// Returns the error of an argument that is missing.
    pub(crate) fn missing(message: impl ToString) -> Self {
        Self { kind: ErrorKind::MissingRequiredArgument, message: message.to_string() }
    }
}

/// Prints what is wrong with the command line of a subcommand, and returns the exit code.
pub(crate) fn refused(subcommand: &str, error: UsageError) -> ExitCode {
    let mut command = Arguments::command();
    let error = wrong(&mut command, subcommand, error.kind, error.message);
    refuse(error, &command, GOLO)
}

/// Prints the answer of a subcommand, or the failure that kept it from one, and returns the exit code.
pub(crate) fn answered(answer: Result<String, Failure>) -> ExitCode {
    let text = match answer {
        Ok(text) => text,
        Err(failure) => {
            say(format_args!("golo: {failure}"));
            return Exit::BadConfiguration.into();
        }
    };
    match print(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("golo: stdout cannot be written: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn new(path: &Path) -> ExitCode {
    match new_crate(path) {
        Ok(next) => {
            say(next);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(format_args!("golo: {error}"));
            ExitCode::FAILURE
        }
    }
}
