//! Command line of `golo submit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use golo::cli::{RunArgs, pair, parse_duration};
use golo::report::duration;

use crate::agent::lease::{LONGEST, SHORTEST};
use crate::cli::command::UsageError;
use crate::cli::members::{LossArgs, MemberArgs};
use crate::cli::run::RunOwn;

/// Default lease.
const LEASE: Duration = Duration::from_secs(10);

/// Help text below the flags.
const AFTER: &str = "\
Examples:
  golo submit target/release/shop -u 300 -d 5m --agent load1:8081 --agent load2:8081
  GOLO_HOSTS=load1:8081,load2:8081 golo submit . -r 2000/s -d 1m -o html=shop.html
  golo submit target/release/shop -u 30000 -d 5m --nats nats://load.example:4222 --agents 20 --select zone=eu
  run=$(golo submit . -u 300 -d 8h --agent load1:8081 --detach); golo attach \"$run\" --agent load1:8081

The plan is shared by all agents: of 300 users, each of three agents runs 100. A number of --connections is shared in the
same way. All start at the same moment. The summary, outputs and thresholds cover the measurements of all agents. Exit codes
are those of `golo run`: 0 passed, 96 invalid, 99 a threshold failed, 104 wrong flags, 105 stopped by a signal, 107 not
started or died, for example because an agent cannot be reached. Ctrl-C stops every agent and still prints the report.
If this process is killed, or cut off from an agent, the agent stops its load when the --lease has run out.

With --detach the run needs this process only until all agents have started. Its ID goes to stdout. `golo attach ID` with
the same agents follows the run, prints the summary, judges the thresholds, and exits with the code of the verdict: while the
run goes on, or after it. Give it the outputs, --abort-on-fail and --web; `submit --detach` refuses them. The --lease counts
until all agents have started; then the run has the time that its plan can take, at most 7 days.

--workers, --max-memory and --max-descriptors apply to each agent. Raw lines (jsonl=) stay on the agents. The results of all
agents are stored on this machine, as by `golo run`. Agents with a collector also send it their results, under the same run.

Every flag except -e, --signature and --detach can be set by a variable: --warm-up by GOLO_WARM_UP. Flags override variables.";

/// Flags of `golo submit`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct SubmitLine {
    /// Program that serves golo.Job, in any language, built for the agents' machines; crate folder, built in release
    /// mode; or job file (job.toml, job.yaml) with the key `binary`
    #[arg(value_name = "BINARY|CRATE_DIR|JOB_FILE")]
    pub load_test: Option<PathBuf>,
    /// Load test for agents of one platform, as linux-arm64=PATH (may be repeated). Agents of other platforms run BINARY
    #[arg(long, value_name = "PLATFORM=PATH", value_parser = build, help_heading = "Agents")]
    pub binary: Vec<(String, PathBuf)>,
    /// Agents of the run.
    #[command(flatten)]
    pub members: MemberArgs,
    /// Reaction to the loss of an agent.
    #[command(flatten)]
    pub loss: LossArgs,
    /// Signature of BINARY, for agents with `--trust`: see `golo sign` [default: BINARY.minisig, if it exists, as for each
    /// --binary]
    #[arg(long, value_name = "FILE", help_heading = "Agents")]
    pub signature: Option<PathBuf>,
    /// Time without a sign of life from this process, for example after it was killed, after which each agent stops its
    /// load and keeps the results [env: GOLO_LEASE] [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = lease, help_heading = "Agents")]
    pub lease: Option<Duration>,
    /// Print the ID of the run and exit once all agents have started: they run the plan to its end, and `golo attach`
    /// follows the run and reports
    #[arg(long, help_heading = "Agents")]
    pub detach: bool,
    /// Plan, outputs and other options of the run.
    #[command(flatten)]
    pub run: RunArgs<RunOwn>,
    /// Set a parameter (environment variable) of the load test on each agent (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Run")]
    pub env: Vec<(String, String)>,
}

impl SubmitLine {
    /// Returns the lease of the agents' jobs.
    ///
    /// # Errors
    ///
    /// Returns an error if the variable has a wrong value.
    pub(super) fn lease(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Duration, UsageError> {
        match (self.lease, variable("GOLO_LEASE")) {
            (Some(lease), _) => Ok(lease),
            (None, Some(text)) => {
                lease(&text).map_err(|error| UsageError::wrong(format_args!("`GOLO_LEASE` is `{text}`: {error}")))
            }
            (None, None) => Ok(LEASE),
        }
    }
}

/// Reads a lease.
fn lease(text: &str) -> Result<Duration, String> {
    let (least, most) = (duration(SHORTEST), duration(LONGEST));
    let lease = parse_duration(text).map_err(|error| error.to_string())?;
    let is_possible = (SHORTEST..=LONGEST).contains(&lease);
    if is_possible { Ok(lease) } else { Err(format!("expected a time from {least} to {most}, as 10s")) }
}

/// Reads a load test for a platform.
fn build(text: &str) -> Result<(String, PathBuf), String> {
    let expected = "expected PLATFORM=PATH, as linux-arm64=target/aarch64-unknown-linux-gnu/release/shop";
    let (platform, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or(expected)?;
    let is_platform =
        platform.split_once('-').is_some_and(|(system, processor)| !system.is_empty() && !processor.is_empty());
    if is_platform { Ok((platform.to_owned(), path.into())) } else { Err(expected.to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        submit: SubmitLine,
    }

    #[test]
    fn command_line_definition_is_valid() {
        Line::command().debug_assert();
    }

    #[test]
    fn build_has_a_platform_and_a_path() {
        assert_eq!(build("linux-arm64=a=b"), Ok(("linux-arm64".to_owned(), "a=b".into())));
        for wrong in ["", "linux-arm64", "linux-arm64=", "arm64=a", "-=a"] {
            assert!(build(wrong).unwrap_err().starts_with("expected PLATFORM=PATH"), "{wrong}");
        }
    }
}
