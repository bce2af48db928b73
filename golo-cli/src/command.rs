//! What the command does with its command line.

use std::{ffi::OsString, path::Path, process::ExitCode};

use crate::{
    arguments::{Arguments, Command, RunLine, RunOwn},
    collector::collect,
    compare::compare,
    keep::{Keeper, Kept},
    load_test::{LoadTest, NO_LOAD_TEST, subject},
    new_crate::new_crate,
    runs::runs,
    served::{Served, is_free},
    show::show,
    submit, supervisor,
};
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use golo::cli::{refuse, run_subject, say, wrong};

/// The command line, the environment or the load test's address is wrong.
pub(crate) const BAD_CONFIGURATION: u8 = 104;

/// What a person types.
const GOLO: &str = "golo";

/// The command `golo`: reads the command line of this process and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    // The processes between `golo` and a load test, which must have one thread.
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

/// Says what is wrong with the flags of a subcommand.
pub(crate) fn refused(subcommand: &str, kind: ErrorKind, message: String) -> ExitCode {
    let mut command = Arguments::command();
    let error = wrong(&mut command, subcommand, kind, message);
    refuse(error, &command, GOLO)
}

fn new(path: &Path) -> ExitCode {
    match new_crate(path) {
        Ok(next) => {
            say(next);
            ExitCode::SUCCESS
        }
        Err(message) => {
            say(format_args!("golo: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn run(line: RunLine) -> ExitCode {
    let RunLine { load_test, run, env, drive } = line;
    let refused = |kind, message| refused("run", kind, message);
    let (load_test, call, RunOwn { limits, keep }) = match subject(load_test, run) {
        Ok(asked) => asked,
        Err(message) => return refused(ErrorKind::ValueValidation, message),
    };
    let Some(path) = load_test.as_deref().or_else(|| call.load_test()) else {
        return refused(ErrorKind::MissingRequiredArgument, NO_LOAD_TEST.to_owned());
    };
    let load_test = match LoadTest::find(path) {
        Ok(load_test) => load_test,
        Err(message) => {
            say(format_args!("golo: {message}"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if !is_free() {
        say(format_args!(
            "golo: {} is taken: whatever listens there is not to be taken for the load test, so stop it first",
            golo::RPC_ADDR
        ));
        return ExitCode::from(BAD_CONFIGURATION);
    }
    let name = load_test.name.clone();
    let mut keeping = None;
    let code = run_subject(&name, call, |call, runtime| {
        let keeper = (!keep.no_keep).then(|| {
            let (keeper, kept) = Keeper::start_alone(&keep, &name, call);
            keeping = Some(kept);
            keeper
        });
        let served = Served::new(load_test, env, call, runtime.clone()).limited(limits).driven_by(drive);
        Kept::new(served, keeper)
    });
    if let Some(keeping) = keeping {
        keeping.finish();
    }
    code
}
