//! The agents that a command line names, and the reaction to the loss of one of them.

use std::path::PathBuf;

use clap::{Args, ValueEnum as _};

use crate::cli::command::UsageError;
use crate::fleet::OnAgentLoss;
use crate::fleet::agent::Agent;
use crate::http::client::{Address, HttpClient, Names};
use crate::http::server::Secret;

/// Default port of an agent.
const PORT: u16 = 8081;

/// Names of the token and of the CA flag in error messages.
const NAMES: Names = Names { token: "`GOLO_TOKEN` or `--token`", ca: "--ca" };

/// Agents by address.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// Agent as HOST:PORT, or as a URL if it uses TLS, for example https://load1:8081 (may be repeated)
    /// [env: GOLO_HOSTS, separated by commas or spaces]
    #[arg(long, value_name = "URL", help_heading = "Agents")]
    pub agent: Vec<String>,
    /// Bearer token of the agents. Prefer the variable: other users of this machine can read command lines
    /// [env: GOLO_TOKEN]
    #[arg(long, value_name = "TOKEN", help_heading = "Agents")]
    pub token: Option<Secret>,
    /// File with CA certificates to trust for the agents, in addition to those of this machine
    /// [env: GOLO_CA]
    #[arg(long, value_name = "FILE.pem", help_heading = "Agents")]
    pub ca: Option<PathBuf>,
}

/// Reaction to the loss of an agent.
#[derive(Debug, Args)]
pub struct LossArgs {
    /// Reaction to the loss of an agent (10 s of silence): `fail` stops the run and exits with 107; `continue` goes on
    /// without its share, reports the missing load and exits with 96 [env: GOLO_ON_AGENT_LOSS] [default: fail]
    #[arg(long, value_name = "fail|continue", value_enum, hide_possible_values = true, help_heading = "Agents")]
    pub on_agent_loss: Option<OnAgentLoss>,
}

/// Agents with their names, in the given order.
pub(crate) type Agents = Vec<(String, Agent)>;

impl MemberArgs {
    /// Returns the agents: those of the flags, else those of the environment.
    ///
    /// # Errors
    ///
    /// Returns an error if no agent is given, or one of them twice, or if an address, the token or the file of
    /// certificates is wrong.
    pub(crate) fn agents(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Agents, UsageError> {
        let addresses = match (&self.agent[..], variable("GOLO_HOSTS")) {
            ([], None) => {
                return Err(UsageError::wrong(
                    "no agents: give each with `--agent HOST:PORT`, or all in `GOLO_HOSTS`; `golo run` runs a load test \
                     without agents",
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

    /// Returns the flags that name the same agents, with a blank before each, for a command that a user can type. Leaves out
    /// the token, which is a secret.
    pub(crate) fn retyped(&self) -> String {
        let mut text = String::new();
        for agent in &self.agent {
            text += &format!(" --agent {agent}");
        }
        if let Some(ca) = &self.ca {
            text += &format!(" --ca {}", ca.display());
        }
        if self.token.is_some() {
            text += " --token …";
        }
        text
    }
}

impl LossArgs {
    /// Returns what happens to the run if an agent is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the variable has a wrong value.
    pub(crate) fn on_agent_loss(&self, variable: impl Fn(&str) -> Option<String>) -> Result<OnAgentLoss, UsageError> {
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
            let twice = format_args!("`{from}`: the agent {name} is given twice");
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
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        members: MemberArgs,
        #[command(flatten)]
        loss: LossArgs,
    }

    fn agents(flags: &[&str], environment: &[(&str, &str)]) -> Result<(Vec<String>, OnAgentLoss), String> {
        let line = Line::try_parse_from(["submit"].iter().chain(flags)).map_err(|error| error.to_string())?;
        let variable =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        let agents = line.members.agents(variable).map_err(|error| error.to_string())?;
        let on_loss = line.loss.on_agent_loss(variable).map_err(|error| error.to_string())?;
        Ok((agents.into_iter().map(|(name, _)| name).collect(), on_loss))
    }

    #[test]
    fn agents_come_from_flags_or_else_environment_in_given_order() {
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
    fn errors_name_the_cause_without_the_token() {
        let hosts = |hosts| [("GOLO_HOSTS", hosts), ("GOLO_TOKEN", "hush hush")];
        for (flags, environment, expected_error) in [
            (&[][..], &[][..], "no agents: give each with `--agent HOST:PORT`"),
            (&[], &hosts(" , "), "`GOLO_HOSTS` names no agent"),
            (&["--agent", "ftp://a"], &[], "`--agent`: `ftp://a`: expected HOST:PORT"),
            (&["--agent", "a:1", "--agent", "http://a:1/"], &[], "`--agent`: the agent a:1 is given twice"),
            (&["--agent", "a"], &hosts("b"), "the token has blanks"),
            (&["--agent", "a", "--ca", "/none"], &[], "`--ca /none`: "),
            (&["--agent", "a"], &[("GOLO_ON_AGENT_LOSS", "wait")], "`GOLO_ON_AGENT_LOSS` is `wait`: expected `fail`"),
        ] {
            let error = agents(flags, environment).unwrap_err().to_string();
            assert!(error.starts_with(expected_error) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn retyped_flags_name_the_agents_without_the_token() {
        let line = ["submit", "--agent", "a", "--agent", "https://b:1", "--token", "hush", "--ca", "ca.pem"];
        let members = Line::try_parse_from(line).unwrap().members;
        assert_eq!(members.retyped(), " --agent a --agent https://b:1 --ca ca.pem --token …");
        assert_eq!(Line::try_parse_from(["submit"]).unwrap().members.retyped(), "");
    }
}
