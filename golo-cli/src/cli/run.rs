//! `golo run`: runs a load test on this machine.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use golo::cli::{Exit, OwnFlags, RunArgs, RunCall, pair, run_subject, say};

use crate::{
    cli::{
        command::{UsageError, refused},
        yaml,
    },
    drive::{
        served::{Served, is_free},
        way::DriveBy,
    },
    process::{limits::LimitArgs, load_test::LoadTest},
    results::keep::{KeepArgs, Keeper, Kept},
    support::environment::variable,
};

/// A run as the command line describes it.
pub struct Asked {
    /// The load test, if one is given.
    load_test: Option<PathBuf>,
    /// What to deliver, and how.
    pub call: RunCall,
    /// The other flags.
    pub own: RunOwn,
}

impl Asked {
    /// Combines the arguments of a command line with the environment and a job file. A job file in place of the load test
    /// is read as `--file`.
    ///
    /// # Errors
    ///
    /// Returns an error if two job files are given, or a value is wrong.
    pub fn read(given: Option<PathBuf>, run: RunArgs<RunOwn>) -> Result<Self, UsageError> {
        let (load_test, run) = match given {
            Some(path) if is_job_file(&path) => (None, run.with_file(&path).map_err(UsageError::wrong)?),
            given => (given, run),
        };
        let (call, own) = run.into_call_with(variable, yaml::parse).map_err(UsageError::wrong)?;
        Ok(Self { load_test, call, own })
    }

    /// Finds the load test: that of the command line, else that of the job file.
    ///
    /// # Errors
    ///
    /// If there is none, prints the reason as the subcommand does, and returns the exit code.
    pub fn load_test(&self, subcommand: &str) -> Result<LoadTest, ExitCode> {
        let Some(path) = self.load_test.as_deref().or_else(|| self.call.load_test()) else {
            let missing = "no load test: give a program, the folder of a crate, or a job file with the key `binary`";
            return Err(refused(subcommand, UsageError::missing(missing)));
        };
        LoadTest::find(path).map_err(|error| {
            say(format_args!("golo: {error}"));
            Exit::BadConfiguration.into()
        })
    }
}

/// True if a path has the extension of a job file, and is not a folder, which would be a crate.
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
    let asked = match Asked::read(load_test, run) {
        Ok(asked) => asked,
        Err(error) => return refused("run", error),
    };
    let load_test = match asked.load_test("run") {
        Ok(load_test) => load_test,
        Err(code) => return code,
    };
    let Asked { call, own: RunOwn { limits, keep }, .. } = asked;
    if !is_free() {
        say(format_args!(
            "golo: {} is taken: whatever listens there is not to be taken for the load test, so stop it first",
            golo::RPC_ADDR
        ));
        return Exit::BadConfiguration.into();
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
