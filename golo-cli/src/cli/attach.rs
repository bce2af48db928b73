//! `golo attach`: follows a run that `golo submit --detach` has left to its agents, and reports as `golo submit` does.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use golo::cli::{Exit, OutcomeArgs, OwnFlags, say, start_runtime};

use crate::cli::command::{UsageError, refused};
use crate::cli::followed::FollowedRun;
use crate::cli::members::{LossArgs, MemberArgs, Members};
use crate::fleet::found::FoundRun;
use crate::fleet::{Fleet, FleetSettings, Member, OnAgentLoss};
use crate::results::keep::KeepArgs;
use crate::support::environment::variable;
use crate::web::WebArgs;

/// Lease for messages about jobs that have none.
const LEASE: Duration = Duration::from_secs(10);

/// Help text below the flags.
const AFTER: &str = "\
Examples:
  golo submit . -u 300 -d 8h --agent load1:8081 --agent load2:8081 --detach
  golo attach 3f2a91c0 --agent load1:8081 --agent load2:8081 -o html=shop.html
  golo attach 3f2a91c0 --nats nats://load.example:4222

Reads the measurements of the run from its beginning, while it goes on or after it, as long as the agents keep them. Prints the
summary, judges the thresholds that the run was started with and those of -t, stores the results on this machine, and exits
with the codes of `golo submit`: 0 passed, 96 invalid, 99 a threshold failed, 105 stopped by a signal, 107 died. 104: no such
run, or not all of its agents are given. 107 too if an agent cannot be reached; the run goes on then.

Ctrl-C stops the run on every agent and still prints the report. If this process is killed, the run goes on to its end, as
before. A run may be followed several times, also by several processes at once.

--on-agent-loss continue follows a run without the agents that are away or not given; it is INVALID.

Every flag can be set by a variable: --abort-on-fail by GOLO_ABORT_ON_FAIL. Flags override variables.";

/// Flags of `golo attach`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct AttachLine {
    /// Run: its ID or the beginning of it
    #[arg(value_name = "RUN")]
    run: String,
    /// Agents of the run.
    #[command(flatten)]
    members: MemberArgs,
    /// Reaction to the loss of an agent.
    #[command(flatten)]
    loss: LossArgs,
    /// Verdict and outputs.
    #[command(flatten)]
    outcome: OutcomeArgs,
    /// Store and page of the run.
    #[command(flatten)]
    own: AttachOwn,
}

/// Flags of `golo attach` that `golo submit` has too, for the store and the page of the run.
#[derive(Debug, Clone, Default, Args)]
struct AttachOwn {
    /// Store for the results.
    #[command(flatten)]
    keep: KeepArgs,
    /// Web page of the run.
    #[command(flatten)]
    web: WebArgs,
}

impl OwnFlags for AttachOwn {
    fn over(self, below: Self) -> Self {
        Self { keep: self.keep.over(below.keep), web: self.web.over(below.web) }
    }
}

/// Runs `golo attach`.
#[must_use]
pub fn attach(line: AttachLine) -> ExitCode {
    let AttachLine { run: called, members, loss, outcome, own } = line;
    let given = members.named(variable).and_then(|named| Ok((named, loss.on_agent_loss(variable)?)));
    let (named, on_loss) = match given {
        Ok(given) => given,
        Err(error) => return refused("attach", error),
    };
    let Members { agents, link } = match named.find() {
        Ok(members) => members,
        Err(code) => return code,
    };
    let found = match find(agents, &called, on_loss) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let asked = (found.plan.clone(), found.options.clone(), found.thresholds.clone());
    let (call, AttachOwn { keep, web }) = match outcome.into_call_of(own, variable, asked) {
        Ok(asked) => asked,
        Err(error) => return refused("attach", UsageError::wrong(error)),
    };
    if let Err(error) = FollowedRun::check_outputs("attach", &call) {
        return refused("attach", error);
    }
    let (run, name) = (found.run.clone(), found.load_test.clone());
    let (lease, is_quiet) = (found.lease.unwrap_or(LEASE), call.is_quiet());
    let parts = found.names();
    let following = FollowedRun { subcommand: "attach", run: &run, name: &name, call: &call, parts, keep, web };
    let code = following.follow(|keeper| {
        let settings = FleetSettings { run: run.clone(), name: name.clone(), on_loss, lease, is_quiet, keeper };
        Fleet::attach(settings, found)
    });
    // The connection to the agents.
    drop(link);
    code
}

/// Finds the run. Errors are printed.
fn find(agents: Vec<Member>, called: &str, on_loss: OnAgentLoss) -> Result<FoundRun, ExitCode> {
    // The connections of this runtime end with it. Those of the run belong to its own.
    let runtime = start_runtime(1).map_err(|error| {
        say(format_args!("golo: the runtime could not be started: {error}"));
        ExitCode::from(Exit::NotStarted)
    })?;
    runtime.block_on(FoundRun::find(agents, called, on_loss)).map_err(|error| {
        say(format_args!("golo: {error}"));
        error.exit().into()
    })
}
