//! `golo submit --detach`: starts a run and leaves it to its agents.

use std::process::ExitCode;

use golo::cli::{Exit, RunCall, Signals, print, say, start_runtime};
use golo::report::duration;
use golo::run_loop::Driver as _;

use crate::cli::command::UsageError;
use crate::cli::run::RunOwn;
use crate::fleet::Fleet;
use crate::results::keep::{KeepArgs, short};

/// Checks that no option needs this process until the end of the run.
///
/// # Errors
///
/// Returns an error that names the option. Also returns an error if the options of the web page are wrong.
pub(super) fn check(call: &RunCall, own: &RunOwn) -> Result<(), UsageError> {
    let has_page = own.web.clone().into_options().map_err(UsageError::wrong)?.is_some();
    let option = match call.requested_outputs() {
        [output, ..] => format!("--out {}=…", output.name()),
        [] if call.aborts_on_fail() => "--abort-on-fail".to_owned(),
        [] if has_page => "--web".to_owned(),
        [] => return Ok(()),
    };
    Err(UsageError::wrong(format_args!(
        "`{option}` needs a process that follows the run to its end, and `--detach` leaves it to the agents: give it to \
         `golo attach`"
    )))
}

/// Returns the flags of `golo attach` for the store of the results, each with a blank before it.
pub(super) fn retyped(keep: &KeepArgs) -> String {
    match &keep.db {
        _ if keep.no_keep => " --no-keep".to_owned(),
        Some(db) => format!(" --db {}", db.display()),
        None => String::new(),
    }
}

/// Starts the run on all agents, prints its ID, and returns the exit code. `flags` are those of `golo attach` that name the
/// agents and the store.
pub(super) fn start(mut fleet: Fleet, run: &str, call: &RunCall, flags: &str) -> ExitCode {
    let runtime = match start_runtime(1) {
        Ok(runtime) => runtime,
        Err(error) => {
            say(format_args!("golo: the runtime could not be started: {error}"));
            return Exit::NotStarted.into();
        }
    };
    runtime.block_on(async {
        let name = fleet.name().to_owned();
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => {
                say(format_args!("{name}: {error}"));
                return Exit::NotStarted.into();
            }
        };
        let options = call.options(&name);
        let detached = tokio::select! {
            detached = fleet.detach(call.plan(), &options) => detached.map_err(|error| (error, Exit::NotStarted)),
            () = signals.next() => Err(("a signal stopped it".into(), Exit::Interrupted)),
        };
        let (reason, exit) = match detached {
            Ok(lease) => {
                if !call.is_quiet() {
                    say(format_args!(
                        "{name}: all agents have started, and go on without this process for at most {}; to follow the run: \
                         golo attach {}{flags}",
                        duration(lease),
                        short(run),
                    ));
                }
                return printed(run);
            }
            Err(failed) => failed,
        };
        say(format_args!("{name}: not started: {reason}"));
        fleet.give_up((exit != Exit::Interrupted).then_some(&*reason.to_string()));
        tokio::select! {
            torn_down = fleet.tear_down() => {
                if let Err(error) = torn_down {
                    say(format_args!("{name}: {error}"));
                }
            }
            () = signals.next() => {}
        }
        exit.into()
    })
}

fn printed(run: &str) -> ExitCode {
    match print(&format!("{run}\n")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("golo: stdout cannot be written: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::submit::SubmitLine;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        submit: SubmitLine,
    }

    fn read(flags: &[&str], environment: &[(&str, &str)]) -> (RunCall, RunOwn) {
        let variable =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let line = Line::try_parse_from(["submit"].iter().chain(flags)).unwrap().submit;
        line.run.into_call_with(variable, crate::cli::yaml::parse).unwrap()
    }

    #[test]
    fn option_that_needs_a_process_until_the_end_is_refused() {
        for (flags, environment, option) in [
            (&["-o", "html=page.html", "--abort-on-fail"][..], &[][..], "`--out html=…` needs"),
            (&["--abort-on-fail"], &[], "`--abort-on-fail` needs"),
            (&[], &[("GOLO_ABORT_ON_FAIL", "1")], "`--abort-on-fail` needs"),
            (&["--web"], &[], "`--web` needs"),
            (&["--web-host", "a"], &[], "`--web-host` needs `--web`"),
        ] {
            let (call, own) = read(flags, environment);
            let error = check(&call, &own).unwrap_err().to_string();
            assert!(error.starts_with(option), "{error}");
        }
        let (call, own) = read(&["-t", "iterations count>1", "-q", "--db", "runs.db"], &[("GOLO_WEB", "0")]);
        assert!(check(&call, &own).is_ok());
    }

    #[test]
    fn store_of_the_results_is_named_for_attach() {
        let flags = |flags: &[&str]| retyped(&read(flags, &[]).1.keep);
        assert_eq!([flags(&[]), flags(&["--db", "a.db"]), flags(&["--no-keep"])], ["", " --db a.db", " --no-keep"]);
    }
}
