//! The command line of `golo submit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum as _};
use golo::cli::{RunArgs, pair};

use crate::{
    cli::{command::UsageError, run::RunOwn},
    fleet::{OnAgentLoss, agent::Agent},
    http::{
        client::{Address, HttpClient, Names},
        server::Secret,
    },
};

/// The usual port of an agent.
const PORT: u16 = 8081;

/// What is said of token and certificates.
const NAMES: Names = Names { token: "`GOLO_TOKEN` or `--token`", ca: "--ca" };

/// What stands below all flags.
const AFTER: &str = "\
Examples:
  golo submit target/release/shop -u 300 -d 5m --agent load1:8081 --agent load2:8081
  GOLO_HOSTS=load1:8081,load2:8081 golo submit . -r 2000/s -d 1m -o html=shop.html

The plan is that of all agents together: of 300 users each of three agents has 100. All begin at the same moment, and
what is printed, written and judged is what all of them measured. It exits as `golo run` does: 0 passed, 96 invalid, 99 a
threshold failed, 104 wrong flags, 105 stopped by a signal, 107 not started or died, as where an agent cannot be reached.
Ctrl-C stops every agent, and it still reports.

--workers, --max-memory and --max-descriptors are for each agent. Raw lines (jsonl=) stay on the agents. What each agent
measured is kept here, as by `golo run`; an agent that has a collector gives it the same by itself, under the same run.

Every flag but -e is a variable too: --warm-up is GOLO_WARM_UP. A flag comes before its variable.";

/// `golo submit`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct SubmitLine {
    /// A program that serves golo.Job, in any language, for the agents' machines; the folder of a crate, which is built in
    /// release; or a job file (job.toml, job.yaml) that names one of them as `binary`
    #[arg(value_name = "BINARY|CRATE_DIR|JOB_FILE")]
    pub load_test: Option<PathBuf>,
    /// An agent: HOST:PORT, or a URL where it speaks TLS, as https://load1:8081 (may be repeated)
    /// [env: GOLO_HOSTS, with commas or blanks between them]
    #[arg(long, value_name = "URL", help_heading = "Agents")]
    pub agent: Vec<String>,
    /// The agents' token. Other users of this machine can read command lines, so the variable is the better place
    /// [env: GOLO_TOKEN]
    #[arg(long, value_name = "TOKEN", help_heading = "Agents")]
    pub token: Option<Secret>,
    /// Who vouches for the agents' certificates, beside those whom this machine trusts
    /// [env: GOLO_CA]
    #[arg(long, value_name = "FILE.pem", help_heading = "Agents")]
    pub ca: Option<PathBuf>,
    /// What becomes of the run when an agent is lost, which it is after 10 s of silence: `fail` stops everything and exits
    /// with 107; with `continue` the others go on with their shares, the report says which load is missing from when on,
    /// and it exits with 96 [env: GOLO_ON_AGENT_LOSS] [default: fail]
    #[arg(long, value_name = "fail|continue", value_enum, hide_possible_values = true, help_heading = "Agents")]
    pub on_agent_loss: Option<OnAgentLoss>,
    /// What to deliver, and how.
    #[command(flatten)]
    pub run: RunArgs<RunOwn>,
    /// A parameter, which the load test finds in its environment on each agent (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = pair, help_heading = "Run")]
    pub env: Vec<(String, String)>,
}

/// Agents with their names, in the given order.
pub(super) type Agents = Vec<(String, Agent)>;

impl SubmitLine {
    /// Returns the agents: those of the flags, else those of the environment.
    ///
    /// # Errors
    ///
    /// Returns an error if no agent is given, or one of them twice, or if an address, the token or the file of
    /// certificates is wrong.
    pub(super) fn agents(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Agents, UsageError> {
        let addresses = match (&self.agent[..], variable("GOLO_HOSTS")) {
            ([], None) => {
                return Err(UsageError::wrong(
                    "give the agents that are to run it, each by `--agent HOST:PORT`, or all in `GOLO_HOSTS`; \
                     `golo run` runs it on this machine without one",
                ));
            }
            ([], Some(hosts)) => addresses("GOLO_HOSTS", hosts.split([',', ' ', '\t', '\n', '\r']))?,
            (given, _) => addresses("--agent", given.iter().map(String::as_str))?,
        };
        let token = self.token.clone().or_else(|| variable("GOLO_TOKEN").map(Secret::from));
        let ca = self.ca.clone().or_else(|| variable("GOLO_CA").map(PathBuf::from));
        let client = HttpClient::new(token, ca.as_deref(), NAMES).map_err(UsageError::wrong)?;
        let agent = |address: Address| (address.name(), Agent::new(client.clone(), address));
        Ok(addresses.into_iter().map(agent).collect())
    }

    /// Returns what happens to the run if an agent is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the variable has a wrong value.
    pub(super) fn on_agent_loss(&self, variable: impl Fn(&str) -> Option<String>) -> Result<OnAgentLoss, UsageError> {
        match (self.on_agent_loss, variable("GOLO_ON_AGENT_LOSS")) {
            (Some(on_loss), _) => Ok(on_loss),
            (None, Some(text)) => OnAgentLoss::from_str(&text, false).map_err(|_| {
                UsageError::wrong(format_args!("`GOLO_ON_AGENT_LOSS` is `{text}`: expected `fail` or `continue`"))
            }),
            (None, None) => Ok(OnAgentLoss::Fail),
        }
    }
}

/// Reads addresses, of which none may be given twice.
fn addresses<'t>(from: &str, texts: impl Iterator<Item = &'t str>) -> Result<Vec<Address>, UsageError> {
    let mut addresses: Vec<Address> = Vec::new();
    for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
        let address =
            Address::parse(text, PORT).map_err(|error| UsageError::wrong(format_args!("`{from}`: {error}")))?;
        if addresses.iter().any(|other| other.name() == address.name()) {
            let name = address.name();
            let twice = format_args!("`{from}`: the agent {name} is there twice: give each of them once");
            return Err(UsageError::wrong(twice));
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        return Err(UsageError::wrong(format_args!("`{from}` names no agent")));
    }
    Ok(addresses)
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

    fn agents(flags: &[&str], environment: &[(&str, &str)]) -> Result<(Vec<String>, OnAgentLoss), String> {
        let line = Line::try_parse_from(["submit"].iter().chain(flags)).map_err(|error| error.to_string())?.submit;
        let variable =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let agents = line.agents(variable).map_err(|error| error.to_string())?;
        let on_loss = line.on_agent_loss(variable).map_err(|error| error.to_string())?;
        Ok((agents.into_iter().map(|(name, _)| name).collect(), on_loss))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn agents_are_those_of_the_flags_or_else_of_the_environment_in_their_order() {
        let hosts = [("GOLO_HOSTS", " b:1,a:2 http://c:3\n,[::1]:4 ")];
        let expected = |names: &[&str], on_loss| Ok((names.iter().map(ToString::to_string).collect(), on_loss));
        assert_eq!(agents(&[], &hosts), expected(&["b:1", "a:2", "c:3", "[::1]:4"], OnAgentLoss::Fail));
        let given = ["--agent", "d", "--agent", "https://c:3"];
        assert_eq!(agents(&given, &hosts), expected(&["d:8081", "c:3"], OnAgentLoss::Fail));
        let on_loss = [("GOLO_ON_AGENT_LOSS", "continue"), ("GOLO_HOSTS", "d")];
        assert_eq!(agents(&[], &on_loss), expected(&["d:8081"], OnAgentLoss::Continue));
        let given = ["--on-agent-loss", "fail"];
        assert_eq!(agents(&given, &on_loss), expected(&["d:8081"], OnAgentLoss::Fail));
    }

    #[test]
    fn what_is_wrong_is_said_and_no_token_is() {
        let hosts = |hosts| [("GOLO_HOSTS", hosts), ("GOLO_TOKEN", "hush hush")];
        for (flags, environment, said) in [
            (&[][..], &[][..], "give the agents that are to run it, each by `--agent HOST:PORT`"),
            (&[], &hosts(" , "), "`GOLO_HOSTS` names no agent"),
            (&["--agent", "ftp://a"], &[], "`--agent`: `ftp://a`: expected HOST:PORT"),
            (&["--agent", "a:1", "--agent", "http://a:1/"], &[], "`--agent`: the agent a:1 is there twice"),
            (&["--agent", "a"], &hosts("b"), "the token has blanks"),
            (&["--agent", "a", "--ca", "/none"], &[], "`--ca /none`: "),
            (&["--agent", "a"], &[("GOLO_ON_AGENT_LOSS", "wait")], "`GOLO_ON_AGENT_LOSS` is `wait`: expected `fail`"),
        ] {
            let error = agents(flags, environment).unwrap_err();
            assert!(error.starts_with(said) && !error.contains("hush"), "{error}");
        }
    }
}
