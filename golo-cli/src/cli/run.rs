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
    outputs,
    process::{limits::LimitArgs, load_test::LoadTest},
    results::keep::KeepArgs,
    support::{environment::variable, failure::Failure},
};

/// Error message if no load test is given.
pub const NO_LOAD_TEST: &str =
    "no load test: give a program, the folder of a crate, or a job file with the key `binary`";

/// Returns the path of the load test on the command line, if there is one, and the options of its run. A job file in
/// place of the load test is read as `--file`.
///
/// # Errors
///
/// Returns an error if two job files are given or a value is invalid.
pub fn subject(given: Option<PathBuf>, run: RunArgs<RunOwn>) -> Result<(Option<PathBuf>, RunCall, RunOwn), Failure> {
    let (given, run) = match given {
        Some(path) if is_job_file(&path) => (None, run.with_file(&path)?),
        given => (given, run),
    };
    let (call, own) = run.into_call_with(variable, yaml::parse)?;
    Ok((given, call, own))
}

/// True if the path has the extension of a job file and is not a folder, which would be a crate.
fn is_job_file(path: &Path) -> bool {
    let is_called_so = path
        .extension()
        .is_some_and(|extension| ["toml", "yaml", "yml"].iter().any(|known| extension.eq_ignore_ascii_case(known)));
    is_called_so && !path.is_dir()
}

/// Flags of `golo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every flag except -e can be set by a variable: --warm-up by GOLO_WARM_UP. Flags override variables."
)]
pub struct RunLine {
    /// Program that serves golo.Job, in any language; crate folder, built in release mode; or job file (job.toml,
    /// job.yaml) with the key `binary`
    #[arg(value_name = "BINARY|CRATE_DIR|JOB_FILE")]
    pub load_test: Option<PathBuf>,
    /// Plan, outputs and other options of the run.
    #[command(flatten)]
    pub run: RunArgs<RunOwn>,
    /// Set a parameter (environment variable) of the load test (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Run")]
    pub env: Vec<(String, String)>,
    /// Engine that runs the plan: the load test's own (plan), or this command's, with one call per trigger, which load
    /// tests built without golo need (trigger) [default: plan if the load test can]
    #[arg(long, value_name = "WAY", help_heading = "Run")]
    pub drive: Option<DriveBy>,
}

/// Flags of `golo run` and `golo submit` that a load test's own command line does not have.
#[derive(Debug, Clone, Default, Args)]
pub struct RunOwn {
    /// Limits of the load test's process.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Store for the results.
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
    let refused = |kind, failure: Failure| refused("run", kind, &failure);
    let (load_test, call, RunOwn { limits, keep }) = match subject(load_test, run) {
        Ok(asked) => asked,
        Err(failure) => return refused(ErrorKind::ValueValidation, failure),
    };
    let Some(path) = load_test.as_deref().or_else(|| call.load_test()) else {
        return refused(ErrorKind::MissingRequiredArgument, NO_LOAD_TEST.into());
    };
    let load_test = match LoadTest::find(path) {
        Ok(load_test) => load_test,
        Err(failure) => {
            say(format_args!("golo: {failure}"));
            return Exit::BadConfiguration.into();
        }
    };
    if !is_free() {
        say(format_args!(
            "golo: {} is in use: stop the process that listens there, which could be mistaken for the load test",
            golo::RPC_ADDR
        ));
        return Exit::BadConfiguration.into();
    }
    let name = load_test.name.clone();
    let outputs = || outputs::of_run(&keep, &name, &call);
    run_driver(&name, &call, outputs, |runtime| {
        Served::new(load_test, env, &call, runtime.clone()).limited(limits).driven_by(drive)
    })
}
