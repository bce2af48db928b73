//! Error output for an invalid command line, of a load test and of `golo`.

use std::process::ExitCode;

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Exit, other_tools::tip};
use crate::support::message::say;

/// Prefix of a clap error.
const CLAPS: &str = "error:";
/// Prefix of a golo error.
const OURS: &str = "golo:";
/// Text in which clap refers to the help.
const HELP: &str = "try '--help'";

/// Prints the error of this process's command line, with advice if there is some, or the help that it requests. Returns
/// the exit code. `program` is the command that starts this program.
pub fn refuse(mut error: clap::Error, command: &Command, program: &str) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A closed stream must not change the exit code.
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

/// Returns an error about the values of a subcommand, with that subcommand's usage.
pub fn wrong(command: &mut Command, subcommand: &str, kind: ErrorKind, message: String) -> clap::Error {
    // Without this the subcommand's usage lacks the names of its parent commands.
    command.build();
    match command.find_subcommand_mut(subcommand) {
        Some(subcommand) => subcommand.error(kind, message),
        None => command.error(kind, message),
    }
}
