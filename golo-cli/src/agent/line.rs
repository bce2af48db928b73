//! The command line of `golo agent`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use golo::cli::{SettingError, parse_duration};
use golo::report::OutputArg;

use super::{dialing::label, jobs::AgentOptions, limits::JobLimits, runner};
use crate::agent::pusher::{Collector, CollectorOptions};
use crate::http::server::{Secret, ServerArgs, ServerOptions};
use crate::nats::args::{NatsArgs, NatsOptions};
use crate::process::limits::bytes;
use crate::process::signature::Trust;
use crate::support::environment::{data_folder, is_machine, machine};
use crate::support::failure::Failure;

/// Default port.
const PORT: u16 = 8081;

/// Value of `--collector` for the collectors at the NATS server.
const AT_NATS: &str = "nats";

/// Arguments of `golo agent`.
#[derive(Debug, Args)]
pub struct AgentLine {
    /// Address, token and TLS of the server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Folder for load tests and results [default: golo/agent in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "DIR", help_heading = "Agent")]
    pub data: Option<PathBuf>,
    /// Name of this agent's parts of runs [default: the name of this machine]
    #[arg(long, value_name = "NAME", help_heading = "Agent")]
    pub name: Option<String>,
    /// Label by which `golo submit --select` chooses agents, for example zone=eu (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = label, help_heading = "Agent")]
    pub label: Vec<(String, String)>,
    /// Keep records for this time after the collector has received or refused them; without a collector, after the
    /// job has ended
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "24h", help_heading = "Agent")]
    pub keep: Duration,
    /// Maximum size of a load test or a file of test data: 1GiB or 1G (powers of 1024), 1GB (powers of 1000), or a number
    /// of bytes
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1GiB", help_heading = "Limits of jobs")]
    pub max_upload: u64,
    /// Maximum number of users of a job; with a rate, of triggers in flight. Jobs with more are refused
    #[arg(long, value_name = "N", help_heading = "Limits of jobs")]
    pub max_users: Option<u64>,
    /// Maximum duration of a job, including its warm-up. Longer jobs are refused
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Limits of jobs")]
    pub max_duration: Option<Duration>,
    /// Allow only this target (may be repeated). Load tests built with golo obey this; other programs
    /// need a firewall
    #[arg(long, value_name = "HOST[:PORT]", value_parser = target, help_heading = "Limits of jobs")]
    pub allow_target: Vec<String>,
    /// Run only load tests that this key signed (may be repeated): a public key, or a file with one, as `golo sign
    /// --new-key` and minisign write them. Files of test data are not signed
    #[arg(long, value_name = "KEY|FILE.pub", help_heading = "Limits of jobs")]
    pub trust: Vec<String>,
    /// Send the metrics of each job while it runs (may be repeated): prometheus=ADDR, prometheus-rw=URL, otlp=URL,
    /// influxdb=URL. Their label `agent` is the name of this agent's part of the run
    #[arg(short, long, value_name = "TYPE=ARG", value_parser = receiver, help_heading = "Metrics")]
    pub out: Vec<OutputArg>,
    /// NATS server to dial out to. The agent then listens on no port, unless `--addr` is given.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Send results to this collector: http://HOST:8082, or `nats` for the collectors at the NATS server
    #[arg(long, value_name = "URL", help_heading = "Collector")]
    pub collector: Option<String>,
    /// Bearer token of the collector
    /// [env: GOLO_COLLECTOR_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "collector", help_heading = "Collector")]
    pub collector_token: Option<Secret>,
    /// Root certificate of the collector, in addition to those that this machine trusts
    #[arg(long, value_name = "FILE.pem", requires = "collector", help_heading = "Collector")]
    pub collector_ca: Option<PathBuf>,
}

/// Settings of an agent process, from its command line and environment.
pub(super) struct Settings {
    /// Server for calls over HTTP, if there is one.
    pub(super) server: Option<ServerOptions>,
    /// NATS server to dial out to, if there is one.
    pub(super) nats: Option<NatsOptions>,
    pub(super) agent: AgentOptions,
    pub(super) collector: Option<CollectorAt>,
}

/// Place of the collector.
pub enum CollectorAt {
    /// At its address.
    Http(Box<Collector>),
    /// At the NATS server.
    Nats,
}

impl AgentLine {
    /// Resolves the settings: flags first, then environment variables, then defaults.
    pub(super) fn into_settings(self, variable: impl Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
        let nats = self.nats.into_options(&variable)?;
        let has_server = nats.is_none() || self.server.addr.is_some();
        let server = self.server.into_options("agent", PORT, &variable)?;
        let data = match self.data {
            Some(data) => data,
            None => match data_folder() {
                Some(folder) => folder.join("golo/agent"),
                None => return Err("there is no home folder: set `--data DIR`".into()),
            },
        };
        let name = match self.name {
            Some(name) if is_machine(&name) => name,
            Some(name) => {
                return Err(
                    format!("`--name` is `{name}`: expected at most 64 letters, digits, `-`, `_` and `.`").into()
                );
            }
            None => machine(),
        };
        let collector = match self.collector {
            None => None,
            Some(url) if url == AT_NATS && nats.is_none() => {
                return Err("`--collector nats` is about the collectors at a NATS server: give it with `--nats`".into());
            }
            Some(url) if url == AT_NATS => Some(CollectorAt::Nats),
            Some(url) => {
                let token = self.collector_token.or_else(|| variable("GOLO_COLLECTOR_TOKEN").map(Secret::from));
                let collector = Collector::new(CollectorOptions { url, token, ca: self.collector_ca })?;
                Some(CollectorAt::Http(Box::new(collector)))
            }
        };
        let agent = AgentOptions {
            name,
            labels: self.label.into_iter().collect(),
            data,
            max_upload: self.max_upload,
            limits: JobLimits { users: self.max_users, duration: self.max_duration, targets: self.allow_target },
            trust: Trust::of(&self.trust).map_err(|error| format!("`--trust`: {error}"))?,
            keep: self.keep,
            has_collector: collector.is_some(),
            statuses: server.statuses.clone(),
            receivers: self.out,
            drive: runner::drive,
        };
        Ok(Settings { server: has_server.then_some(server), nats, agent, collector })
    }
}

/// Parses an output that an agent has: a receiver of metrics.
fn receiver(text: &str) -> Result<OutputArg, SettingError> {
    let output = text.parse::<OutputArg>()?;
    match output.receiver() {
        Some(_) => Ok(output),
        None => Err(format!(
            "an agent stores results, and `golo show` writes them as {}=; expected prometheus=ADDR, prometheus-rw=URL, \
             otlp=URL or influxdb=URL",
            output.name()
        )
        .into()),
    }
}

/// Validates a target: HOST or HOST:PORT.
fn target(text: &str) -> Result<String, String> {
    match golo::cli::is_target(text) {
        true => Ok(text.to_owned()),
        false => Err("expected HOST or HOST:PORT, for example 127.0.0.1:8765, [::1] or shop.example".to_owned()),
    }
}
