//! The agents that a command line names, by their addresses or at a NATS server, and the reaction to the loss of one of them.

use std::path::PathBuf;

use clap::{Args, ValueEnum as _};
use golo::cli::{Exit, say};
use tokio::runtime::Runtime;

use crate::cli::command::UsageError;
use crate::fleet::agent::Agent;
use crate::fleet::carrier::Carrier;
use crate::fleet::selection::{Selection, choose};
use crate::fleet::{Member, OnAgentLoss};
use crate::http::client::{Address, HttpClient, Names};
use crate::http::server::Secret;
use crate::nats::args::{NatsArgs, NatsOptions};
use crate::nats::calls::{Caller, subject};
use crate::nats::connection::Nats;
use crate::nats::objects::Objects;
use crate::nats::registry::{Registration, Registry};
use crate::support::failure::Failure;
use crate::support::runtime;

/// Default port of an agent.
const PORT: u16 = 8081;

/// Names of the token and of the CA flag in error messages.
const NAMES: Names = Names { token: "`GOLO_TOKEN` or `--token`", ca: "--ca" };

/// Agents by address or by selection.
#[derive(Debug, Args)]
pub struct MemberArgs {
    /// Agent as HOST:PORT, or as a URL if it uses TLS, for example https://load1:8081 (may be repeated)
    /// [env: GOLO_HOSTS, separated by commas or spaces]
    #[arg(long, value_name = "URL", help_heading = "Agents", conflicts_with = "nats")]
    pub agent: Vec<String>,
    /// Bearer token of the agents. Prefer the variable: other users of this machine can read command lines
    /// [env: GOLO_TOKEN]
    #[arg(long, value_name = "TOKEN", help_heading = "Agents")]
    pub token: Option<Secret>,
    /// File with CA certificates to trust for the agents, in addition to those of this machine
    /// [env: GOLO_CA]
    #[arg(long, value_name = "FILE.pem", help_heading = "Agents")]
    pub ca: Option<PathBuf>,
    /// Number of agents to use of those that are registered at the NATS server, idle ones first [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Agents")]
    pub agents: Option<u32>,
    /// Use only agents at the NATS server that meet these conditions (may be repeated): labels, as zone=eu or disk!=ssd, and
    /// name, platform, version, cores, memory, descriptors and ports, as cores>=4,memory>=8GiB
    #[arg(long, value_name = "CONDITIONS", help_heading = "Agents")]
    pub select: Vec<Selection>,
    /// NATS server at which the agents are registered.
    #[command(flatten)]
    pub nats: NatsArgs,
}

/// Reaction to the loss of an agent.
#[derive(Debug, Args)]
pub struct LossArgs {
    /// Reaction to the loss of an agent (10 s of silence): `fail` stops the run and exits with 107; `continue` goes on
    /// without its share, reports the missing load and exits with 96 [env: GOLO_ON_AGENT_LOSS] [default: fail]
    #[arg(long, value_name = "fail|continue", value_enum, hide_possible_values = true, help_heading = "Agents")]
    pub on_agent_loss: Option<OnAgentLoss>,
}

/// Agents, and the runtime of their connection if it is one to a NATS server.
pub(crate) struct Members {
    /// The agents, in order.
    pub(crate) agents: Vec<Member>,
    /// The connection lives as long as this.
    pub(crate) link: Option<Runtime>,
}

/// Agents that a command line names, before they are looked for.
pub(crate) enum Named {
    /// Agents at addresses.
    At(Vec<(String, Agent)>),
    /// Agents that are registered at a NATS server.
    Registered {
        /// The server.
        nats: NatsOptions,
        /// Conditions that they must meet.
        selection: Selection,
        /// Number of agents, if not all.
        number: Option<usize>,
    },
}

impl MemberArgs {
    /// Returns the agents that are named: those of the flags, else those of the environment.
    ///
    /// # Errors
    ///
    /// Returns an error if no agent is given, or one of them twice, or if an address, the token, the file of certificates or
    /// a setting of NATS is wrong.
    pub(crate) fn named(self, variable: impl Fn(&str) -> Option<String>) -> Result<Named, UsageError> {
        let Self { agent, token, ca, agents: number, select, nats } = self;
        let nats = match agent.is_empty() {
            true => nats.into_options(&variable).map_err(UsageError::wrong)?,
            false => None,
        };
        if let Some(nats) = nats {
            let selection = select.into_iter().collect();
            return Ok(Named::Registered { nats, selection, number: number.map(|number| number as usize) });
        }
        if number.is_some() || !select.is_empty() {
            let flag = if number.is_some() { "--agents" } else { "--select" };
            return Err(UsageError::wrong(format_args!(
                "`{flag}` chooses agents at a NATS server: give it with `--nats`"
            )));
        }
        let addresses = match (&agent[..], variable("GOLO_HOSTS")) {
            ([], None) => {
                return Err(UsageError::wrong(
                    "no agents: give each with `--agent HOST:PORT`, or all in `GOLO_HOSTS`, or the NATS server at which they \
                     are registered with `--nats`; `golo run` runs a load test without agents",
                ));
            }
            ([], Some(hosts)) => addresses("GOLO_HOSTS", hosts.split([',', ' ', '\t', '\n', '\r']))?,
            (given, _) => addresses("--agent", given.iter().map(String::as_str))?,
        };
        let token = token.or_else(|| variable("GOLO_TOKEN").map(Secret::from));
        let ca = ca.or_else(|| variable("GOLO_CA").map(PathBuf::from));
        let client = HttpClient::new(token, ca.as_deref(), NAMES).map_err(UsageError::wrong)?;
        let agent = |address: Address| (address.name(), Agent::new(Carrier::Http(client.clone(), address)));
        Ok(Named::At(addresses.into_iter().map(agent).collect()))
    }
}

impl MemberArgs {
    /// Returns the flags that name the same agents, with a blank before each, for a command that a user can type. Leaves out
    /// the token, which is a secret.
    pub(crate) fn retyped(&self) -> String {
        let mut text = String::new();
        for agent in &self.agent {
            text += &format!(" --agent {agent}");
        }
        let files = [
            (" --ca", &self.ca),
            (" --nats-creds", &self.nats.nats_creds),
            (" --nats-nkey", &self.nats.nats_nkey),
            (" --nats-ca", &self.nats.nats_ca),
            (" --nats-cert", &self.nats.nats_cert),
            (" --nats-key", &self.nats.nats_key),
        ];
        if let Some(nats) = &self.nats.nats {
            text += &format!(" --nats {nats}");
        }
        for (flag, file) in files.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?))) {
            text += &format!("{flag} {}", file.display());
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

impl Named {
    /// Returns the agents. Those of a NATS server are chosen now.
    ///
    /// # Errors
    ///
    /// If the server cannot be used, or too few agents are registered, prints the reason and returns the exit code.
    pub(crate) fn find(self) -> Result<Members, std::process::ExitCode> {
        let (nats, selection, number) = match self {
            Self::At(agents) => {
                let agents = agents
                    .into_iter()
                    .map(|(name, agent)| Member { name, agent, platform: None, is_registered: false })
                    .collect();
                return Ok(Members { agents, link: None });
            }
            Self::Registered { nats, selection, number } => (nats, selection, number),
        };
        let link = runtime::start()?;
        match link.block_on(registered(&nats, &selection, number)) {
            Ok(agents) => Ok(Members { agents, link: Some(link) }),
            Err(failure) => {
                say(format_args!("golo: {failure}"));
                Err(Exit::NotStarted.into())
            }
        }
    }
}

/// Connects to a NATS server, and chooses agents there.
async fn registered(nats: &NatsOptions, selection: &Selection, number: Option<usize>) -> Result<Vec<Member>, Failure> {
    let nats = Nats::connect(nats, "golo").await.map_err(|error| error.to_string())?;
    let chosen = choose(Registry::open(&nats).await?.list().await?, selection, number)?;
    let objects = Objects::open(&nats).await?;
    let caller = Caller::new(nats).await?;
    let member = |Registration { name, platform, .. }: Registration| {
        let way = Carrier::Nats { caller: caller.clone(), objects: objects.clone(), subject: subject(&name) };
        Member { name, agent: Agent::new(way), platform: Some(platform), is_registered: true }
    };
    Ok(chosen.into_iter().map(member).collect())
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
    }

    fn names(flags: &[&str], environment: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let line = Line::try_parse_from(["submit"].iter().chain(flags)).map_err(|error| error.to_string())?;
        let variable =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        match line.members.named(variable).map_err(|error| error.to_string())? {
            Named::At(agents) => Ok(agents.into_iter().map(|(name, _)| name).collect()),
            Named::Registered { nats, selection, number } => {
                Ok(vec![format!("{} {selection} {number:?}", nats.name())])
            }
        }
    }

    #[test]
    fn agents_come_from_flags_or_else_environment_in_given_order() {
        let hosts = [("GOLO_HOSTS", " b:1,a:2 http://c:3\n,[::1]:4 ")];
        let expected = |names: &[&str]| Ok(names.iter().map(ToString::to_string).collect());
        assert_eq!(names(&[], &hosts), expected(&["b:1", "a:2", "c:3", "[::1]:4"]));
        let given = ["--agent", "d", "--agent", "https://c:3"];
        assert_eq!(names(&given, &hosts), expected(&["d:8081", "c:3"]));
        assert_eq!(names(&given, &[("GOLO_NATS", "nats://n")]), expected(&["d:8081", "c:3"]));
    }

    #[test]
    fn retyped_flags_name_the_agents_without_the_token() {
        let retyped = |line: &[&str]| Line::try_parse_from(line).unwrap().members.retyped();
        let line = ["submit", "--agent", "a", "--agent", "https://b:1", "--token", "hush", "--ca", "ca.pem"];
        assert_eq!(retyped(&line), " --agent a --agent https://b:1 --ca ca.pem --token …");
        assert_eq!(retyped(&["submit"]), "");
        let line = ["submit", "--nats", "tls://n", "--nats-creds", "a.creds", "--agents", "3"];
        assert_eq!(retyped(&line), " --nats tls://n --nats-creds a.creds");
    }

    #[test]
    fn agents_at_a_nats_server_are_selected() {
        let given = ["--nats", "nats://n", "--agents", "3", "--select", "zone=eu,cores>=4", "--select", "disk=ssd"];
        assert_eq!(names(&given, &[]), Ok(vec!["n:4222 zone=eu,cores>=4,disk=ssd Some(3)".to_owned()]));
        assert_eq!(names(&[], &[("GOLO_NATS", "n"), ("GOLO_HOSTS", "a")]), Ok(vec!["n:4222  None".to_owned()]));
        assert!(names(&["--nats", "n", "--agent", "a"], &[]).unwrap_err().contains("cannot be used with"));
        assert!(names(&["--nats", "n", "--agents", "0"], &[]).unwrap_err().contains("invalid value '0'"));
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
            (&["--agent", "a", "--agents", "2"], &[], "`--agents` chooses agents at a NATS server"),
            (&["--select", "a=b"], &hosts("b"), "`--select` chooses agents at a NATS server"),
        ] {
            let error = names(flags, environment).unwrap_err();
            assert!(error.starts_with(expected_error) && !error.contains("hush"), "{error}");
        }
    }
}
