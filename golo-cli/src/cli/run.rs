//! `golo run`: runs a load test on this machine.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, error::ErrorKind};
use golo::cli::{Exit, OwnFlags, RunArgs, RunCall, pair, run_driver, say};

use crate::{
    cli::{command::refused, yaml},
    drive::served::{DriveBy, Served, is_free},
    process::{limits::LimitArgs, load_test::LoadTest},
    results::keep::{KeepArgs, Keeper, StoreOutput},
    support::environment::variable,
};

/// What is said if no load test is given.
pub const NO_LOAD_TEST: &str =
    "no load test: give a program, the folder of a crate, or a job file with the key `binary`";

/// The load test on the command line, if there is one, and what its run is to be. A job file in its place is taken for
/// `--file`.
///
/// # Errors
///
/// If two job files are given, or a value is wrong.
pub fn subject(given: Option<PathBuf>, run: RunArgs<RunOwn>) -> Result<(Option<PathBuf>, RunCall, RunOwn), String> {
    let (given, run) = match given {
        Some(path) if is_job_file(&path) => (None, run.with_file(&path)?),
        given => (given, run),
    };
    let (call, own) = run.into_call_with(variable, yaml::parse)?;
    Ok((given, call, own))
}

/// Whether a path is called as job files are, and is no folder, which would be a crate.
fn is_job_file(path: &Path) -> bool {
    let is_called_so = path
        .extension()
        .is_some_and(|extension| ["toml", "yaml", "yml"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
    is_called_so && !path.is_dir()
}

/// `golo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every flag but -e is a variable too: --warm-up is GOLO_WARM_UP. A flag comes before its variable."
)]
pub struct RunLine {
    /// A program that serves golo.Job, in any language; the folder of a crate, which is built in release; or a job file
    /// (job.toml, job.yaml) that names one of them as `binary`
    #[arg(value_name = "BINARY|CRATE_DIR|JOB_FILE")]
    pub load_test: Option<PathBuf>,
    /// What to deliver, and how.
    #[command(flatten)]
    pub run: RunArgs<RunOwn>,
    /// A parameter, which the load test finds in its environment (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Run")]
    pub env: Vec<(String, String)>,
    /// Who runs the plan: the load test's own engine (plan), or this one, with a call for each trigger, as it does for
    /// load tests that were not built with golo (trigger) [default: plan where the load test can]
    #[arg(long, value_name = "WAY", help_heading = "Run")]
    pub drive: Option<DriveBy>,
}

/// The flags of `golo run` beside those that every load test has.
#[derive(Debug, Clone, Default, Args)]
pub struct RunOwn {
    /// What it may use.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Where its results go.
    #[command(flatten)]
    pub keep: KeepArgs,
}

impl OwnFlags for RunOwn {
    fn over(self, below: Self) -> Self {
        Self { limits: self.limits.over(below.limits), keep: self.keep.over(below.keep) }
    }
}

/// Runs a load test on this machine.
#[must_use]
pub fn run(line: RunLine) -> ExitCode {
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
            return Exit::BadConfiguration.into();
        }
    };
    if !is_free() {
        say(format_args!(
            "golo: {} is taken: whatever listens there is not to be taken for the load test, so stop it first",
            golo::RPC_ADDR
        ));
        return Exit::BadConfiguration.into();
    }
    let name = load_test.name.clone();
    // Started with the run, so that a plan that is refused leaves nothing behind.
    let store = (!keep.no_keep).then(|| Box::new(StoreOutput::new(Keeper::start_alone(&keep, &name, &call))) as _);
    run_driver(&name, &call, store.into_iter().collect(), |runtime| {
        Served::new(load_test, env, &call, runtime.clone()).limited(limits).driven_by(drive)
    })
}
