//! `golo run`: runs a load test on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use golo::cli::{Exit, OwnFlags, RunArgs, RunCall, RunExtras, pair, run_driver, say};
use golo::run_loop::Order;
use tokio::sync::mpsc;

use crate::cli::command::{UsageError, refused};
use crate::cli::yaml;
use crate::drive::served::{DriveBy, Served, is_free};
use crate::outputs::{self, exports::Hurry, frame::RunLabels, store::StoreOutput, web::WebOutput};
use crate::process::limits::LimitArgs;
use crate::process::load_test::LoadTest;
use crate::results::keep::{KeepArgs, Keeper};
use crate::results::store::database_path;
use crate::support::environment::variable;
use crate::web::{WebArgs, WebServer, board::Names};

/// A run as the command line describes it.
pub struct Asked {
    /// The load test, if one is given.
    load_test: Option<PathBuf>,
    /// The plan and the other options of the run.
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

    /// Returns true if a load test is given, by the command line or the job file.
    #[must_use]
    pub fn has_load_test(&self) -> bool {
        self.load_test.is_some() || self.call.load_test().is_some()
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
    /// Web page of the run.
    #[command(flatten)]
    pub web: WebArgs,
}

impl OwnFlags for RunOwn {
    fn over(self, below: Self) -> Self {
        Self { limits: self.limits.over(below.limits), keep: self.keep.over(below.keep), web: self.web.over(below.web) }
    }
}

/// Returns the labels of the metrics of a run.
pub(super) fn labels(run: &str, load_test: &str, call: &RunCall) -> RunLabels {
    let job = call.options(load_test).job_name;
    RunLabels { run: run.to_owned(), job, load_test: load_test.to_owned(), agent: None }
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
    let Asked { mut call, own: RunOwn { limits, keep, web }, .. } = asked;
    if !keep.no_keep || outputs::needs_failures(&call) {
        call.keep_failures();
    }
    if !is_free() {
        say(format_args!(
            "golo: {} is in use: stop the process that listens there, which could be mistaken for the load test",
            golo::RPC_ADDR
        ));
        return Exit::BadConfiguration.into();
    }
    let (name, run) = (load_test.name.clone(), golo::new_sequence_id());
    let mut web = match open_page(web, (&run, &name), &call, &keep) {
        Ok(web) => web,
        Err(code) => return code,
    };
    let exports = match outputs::open(call.receivers(), labels(&run, &name, &call), variable, Hurry::by_signal()) {
        Ok(exports) => exports,
        Err(error) => return refused("run", UsageError::wrong(error)),
    };
    let mut keeping = None;
    let extras = || {
        let start = || Keeper::start_alone(&keep, run.clone(), &name, &call);
        let started = (!keep.no_keep).then(start);
        keeping = started.as_ref().map(|(_, keeping)| keeping.clone());
        let store = started.map(|(keeper, keeping)| StoreOutput::new(keeper, keeping));
        let (shown, orders) = shown(web.as_mut(), &name, &call);
        RunExtras { outputs: outputs::of_run(store, exports, shown), orders }
    };
    let code = run_driver(&name, &call, extras, |runtime| {
        Served::new(load_test, env, &call, runtime.clone()).limited(limits).driven_by(drive)
    });
    drop(web);
    if let Some(keeping) = keeping {
        keeping.finish();
    }
    code
}

/// Starts the web page of a run, given by its ID and its load test, if the page is wanted.
///
/// # Errors
///
/// If it cannot start, prints the reason and returns the exit code.
pub(super) fn open_page(
    args: WebArgs,
    (run, load_test): (&str, &str),
    call: &RunCall,
    keep: &KeepArgs,
) -> Result<Option<WebServer>, ExitCode> {
    let job = call.options(load_test).job_name;
    let names = Names { run: run.to_owned(), job, load_test: load_test.to_owned() };
    // A store that cannot be found is reported when the run is to be stored.
    let store = (!keep.no_keep).then(|| database_path(keep.db.clone()).ok()).flatten();
    WebServer::start(args, names, store.as_deref()).map_err(|failure| {
        say(format_args!("golo: {failure}"));
        Exit::BadConfiguration.into()
    })
}

/// Returns the output that shows a run on its page, and the orders of the page's viewers.
pub(super) fn shown(
    web: Option<&mut WebServer>,
    load_test: &str,
    call: &RunCall,
) -> (Option<WebOutput>, Option<mpsc::Receiver<Order>>) {
    let Some(web) = web else { return (None, None) };
    let board = Arc::clone(web.board());
    let output = WebOutput::new(board, call.plan().clone(), call.options(load_test), call.thresholds().to_vec());
    (Some(output), web.take_orders())
}
