//! A run of agents that a command follows to its end: its page, its outputs, its place in the store, and its report.

use std::process::ExitCode;

use golo::cli::{RunCall, RunExtras, run_driver};

use crate::cli::command::{UsageError, refused};
use crate::cli::run::{labels, open_page, shown};
use crate::fleet::Fleet;
use crate::outputs::{self, exports::Hurry, store::StoreEnd};
use crate::results::keep::{KeepArgs, Keeper};
use crate::support::environment::variable;
use crate::web::WebArgs;
use crate::web::board::AgentRow;

/// A run to follow.
pub(crate) struct FollowedRun<'a> {
    /// Subcommand that follows it.
    pub(crate) subcommand: &'static str,
    /// ID of the run.
    pub(crate) run: &'a str,
    /// Name of the load test.
    pub(crate) name: &'a str,
    /// Plan and options.
    pub(crate) call: &'a RunCall,
    /// Names of its parts.
    pub(crate) parts: Vec<String>,
    /// Store for its results.
    pub(crate) keep: KeepArgs,
    /// Its web page.
    pub(crate) web: WebArgs,
}

impl FollowedRun<'_> {
    /// Checks that the agents can supply the requested outputs.
    ///
    /// # Errors
    ///
    /// Returns an error for outputs of raw lines.
    pub(crate) fn check_outputs(subcommand: &str, call: &RunCall) -> Result<(), UsageError> {
        if !call.wants_lines() {
            return Ok(());
        }
        Err(UsageError::wrong(format_args!(
            "`--out jsonl=…` is not available in `golo {subcommand}`: raw lines stay on the agents, which send only \
             measurements per second; use summary=, html=, junit=, csv= or failures=, or `golo run` for lines"
        )))
    }

    /// Follows the run with the fleet that `fleet` returns, reports, and returns the exit code. The results are stored with
    /// the keeper, if there is one.
    pub(crate) fn follow(self, fleet: impl FnOnce(Option<Keeper>) -> Fleet) -> ExitCode {
        let Self { subcommand, run, name, call, parts, keep, web } = self;
        let mut web = match open_page(web, (run, name), call, &keep) {
            Ok(web) => web,
            Err(code) => return code,
        };
        if let Some(web) = &web {
            web.board().set_agents(parts.iter().map(|name| AgentRow::running(name)).collect());
        }
        let exports = match outputs::open(call.receivers(), labels(run, name, call), variable, Hurry::by_signal()) {
            Ok(exports) => exports,
            Err(error) => return refused(subcommand, UsageError::wrong(error)),
        };
        let start = || Keeper::start(&keep, run, parts, call.is_quiet());
        let (keeper, keeping) = (!keep.no_keep).then(start).unzip();
        let extras = || {
            let (output, orders) = shown(web.as_mut(), name, call);
            RunExtras { outputs: outputs::of_run(keeping.clone().map(StoreEnd), exports, output), orders }
        };
        let code = run_driver(name, call, extras, |_| fleet(keeper));
        drop(web);
        if let Some(keeping) = keeping {
            keeping.finish();
        }
        code
    }
}
