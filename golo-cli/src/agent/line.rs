//! The command line of `golo agent`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use golo::cli::parse_duration;

use super::{jobs::AgentOptions, limits::JobLimits};
use crate::{
    agent::pusher::{Collector, CollectorOptions},
    http::server::{Secret, ServerArgs, ServerOptions},
    process::limits::bytes,
    support::{
        environment::{data_folder, is_machine, machine},
        failure::Failure,
    },
};

/// The usual port.
const PORT: u16 = 8081;

/// `golo agent`.
#[derive(Debug, Args)]
pub struct AgentLine {
    /// Where to listen, and to whom.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Where it keeps load tests and what they measured [default: $XDG_DATA_HOME/golo/agent, or ~/.local/share/golo/agent]
    #[arg(long, value_name = "DIR", help_heading = "Agent")]
    pub data: Option<PathBuf>,
    /// What its parts of runs are called [default: the name of this machine]
    #[arg(long, value_name = "NAME", help_heading = "Agent")]
    pub name: Option<String>,
    /// How long records are kept once the collector has them, or has refused them; without a collector, once their job is
    /// over
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "24h", help_heading = "Agent")]
    pub keep: Duration,
    /// The largest load test: 1GiB or 1G (powers of 1024), 1GB (powers of 1000), or a number of bytes
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1GiB", help_heading = "Limits of jobs")]
    pub max_upload: u64,
    /// Most users of a job; with a rate, most triggers in flight. One that asks for more is refused
    #[arg(long, value_name = "N", help_heading = "Limits of jobs")]
    pub max_users: Option<u64>,
    /// The longest that a job may take, warm-up and all. One that asks for more is refused
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Limits of jobs")]
    pub max_duration: Option<Duration>,
    /// A target that load tests may send requests to, and no other (may be repeated). Those built with golo keep to it; a
    /// load test is a program, and nothing here can hold one to it that does not: a firewall can
    #[arg(long, value_name = "HOST[:PORT]", value_parser = target, help_heading = "Limits of jobs")]
    pub allow_target: Vec<String>,
    /// Where what is measured goes: http://HOST:8082
    #[arg(long, value_name = "URL", help_heading = "Collector")]
    pub collector: Option<String>,
    /// The collector's token
    /// [env: GOLO_COLLECTOR_TOKEN]
    #[arg(long, value_name = "TOKEN", requires = "collector", help_heading = "Collector")]
    pub collector_token: Option<Secret>,
    /// Who vouches for the collector's certificate, beside those whom this machine trusts
    #[arg(long, value_name = "FILE.pem", requires = "collector", help_heading = "Collector")]
    pub collector_ca: Option<PathBuf>,
}

/// What all of that comes to.
pub(super) struct Settings {
    pub(super) server: ServerOptions,
    pub(super) agent: AgentOptions,
    pub(super) collector: Option<Collector>,
}

impl AgentLine {
    /// These, then the environment, then the defaults.
    pub(super) fn into_settings(self, variable: impl Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
        let server = self.server.into_options("agent", PORT, &variable)?;
        let data = match self.data {
            Some(data) => data,
            None => match data_folder() {
                Some(folder) => folder.join("golo/agent"),
                None => return Err("there is no home folder: give `--data DIR`".into()),
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
            Some(url) => {
                let token = self.collector_token.or_else(|| variable("GOLO_COLLECTOR_TOKEN").map(Secret::from));
                Some(Collector::new(CollectorOptions { url, token, ca: self.collector_ca })?)
            }
        };
        let agent = AgentOptions {
            name,
            data,
            max_upload: self.max_upload,
            limits: JobLimits { users: self.max_users, duration: self.max_duration, targets: self.allow_target },
            keep: self.keep,
            has_collector: collector.is_some(),
            statuses: server.statuses.clone(),
        };
        Ok(Settings { server, agent, collector })
    }
}

/// Reads a target.
fn target(text: &str) -> Result<String, String> {
    match golo::cli::is_target(text) {
        true => Ok(text.to_owned()),
        false => Err("expected HOST or HOST:PORT, as 127.0.0.1:8765, [::1] or shop.example".to_owned()),
    }
}
