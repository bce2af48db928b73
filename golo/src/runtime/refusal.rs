//! What is said of a wrong command line, by a load test and by `golo`.

use std::process::ExitCode;

use clap::{
    Command,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Exit, other_tools::tip};
use crate::support::message::say;

/// How clap begins an error.
const CLAPS: &str = "error:";
/// How golo begins every error.
const OURS: &str = "golo:";
/// Where clap says that there is more to read.
const HELP: &str = "try '--help'";

/// Says what is wrong with the command line of this process, with what to write instead if that is known; or prints the help
/// that it asks for. Returns the exit code. `program` is what a person types to call this program.
pub fn refuse(mut error: clap::Error, command: &Command, program: &str) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A closed stream is no reason for another exit code.
        let _ = error.print();
        return if error.use_stderr() { Exit::BadConfiguration.into() } else { ExitCode::SUCCESS };
    }
    let first = std::env::args_os().nth(1);
    let subcommand = first.as_deref().and_then(|name| command.find_subcommand(name)).map(Command::get_name);
    if let Some(tip) = tip(&error, program, subcommand) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    let called = match subcommand {
        Some(subcommand) => format!("{program} {subcommand}"),
        None => program.to_owned(),
    };
    let text = error.render().to_string().replacen(CLAPS, OURS, 1);
    say(text.replace(HELP, &format!("try `{called} --help`")).trim_end());
    Exit::BadConfiguration.into()
}

/// Returns what is wrong with the values of a subcommand, with the usage of that subcommand.
pub fn wrong(command: &mut Command, subcommand: &str, kind: ErrorKind, message: String) -> clap::Error {
    // Without this a subcommand does not know what it is part of.
    command.build();
    match command.find_subcommand_mut(subcommand) {
        Some(subcommand) => subcommand.error(kind, message),
        None => command.error(kind, message),
    }
}
