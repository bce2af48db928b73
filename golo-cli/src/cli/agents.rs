//! `golo agents`: lists the agents that are registered at a NATS server, and follows their changes.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{ArgAction, Args};
use golo::cli::{Exit, Signals, chain, print, say};
use golo::report::{Page, clean};
use time::OffsetDateTime;

use crate::cli::command::{UsageError, refused};
use crate::fleet::selection::Selection;
use crate::nats::args::{NatsArgs, NatsOptions};
use crate::nats::connection::Nats;
use crate::nats::registry::{Capacity, Change, Registration, Registry};
use crate::support::environment::variable;
use crate::support::failure::Failure;
use crate::support::runtime;

/// Flags of `golo agents`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  golo agents --nats nats://load.example:4222
  GOLO_NATS=tls://load.example golo agents --select zone=eu,cores>=4
  golo agents --json | jq -r '.[] | select(.jobs == 0) | .name'
  golo agents --watch

The exit code is 0, also if no agent is registered; 104 for wrong flags, and 107 if the server cannot be used. An agent \
that was killed stays in the list for 10 s.")]
pub struct AgentsLine {
    /// NATS server at which the agents are registered.
    #[command(flatten)]
    nats: NatsArgs,
    /// List only agents that meet these conditions, as in `golo submit` (may be repeated)
    #[arg(long, value_name = "CONDITIONS")]
    select: Vec<Selection>,
    /// Print the agents as JSON; with --watch, each change as a line
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
    /// Go on, and print each change until Ctrl-C
    #[arg(long, action = ArgAction::SetTrue)]
    watch: bool,
}

/// Lists agents.
#[must_use]
pub fn agents(line: AgentsLine) -> ExitCode {
    let AgentsLine { nats, select, json, watch } = line;
    let nats = match nats.into_options(variable) {
        Ok(Some(nats)) => nats,
        Ok(None) => {
            return refused("agents", UsageError::missing("no NATS server: give it with `--nats` or `GOLO_NATS`"));
        }
        Err(failure) => return refused("agents", UsageError::wrong(failure)),
    };
    let selection = select.into_iter().collect();
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let listed = runtime.block_on(async {
        let registry = connect(&nats).await?;
        match watch {
            true => follow(&registry, &selection, json).await,
            false => list(&registry, &selection, json).await,
        }
    });
    match listed {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Unusable(failure)) => {
            say(format_args!("golo: {failure}"));
            Exit::NotStarted.into()
        }
        Err(Stop::Unwritten(error)) => {
            say(format_args!("golo: stdout cannot be written: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Reason to end early.
enum Stop {
    /// The server cannot be used.
    Unusable(Failure),
    /// Stdout cannot be written.
    Unwritten(std::io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Unusable(failure)
    }
}

async fn connect(options: &NatsOptions) -> Result<Registry, Failure> {
    let nats = Nats::connect(options, "golo agents").await.map_err(|error| error.to_string())?;
    Registry::open(&nats).await
}

async fn list(registry: &Registry, selection: &Selection, json: bool) -> Result<(), Stop> {
    let mut agents = registry.list().await?;
    agents.retain(|agent| selection.matches(agent));
    let text = match json {
        true => serde_json::to_string(&agents).map_err(|error| Failure::from(error.to_string()))? + "\n",
        false => table(Page::stdout(), &agents),
    };
    print(&text).map_err(Stop::Unwritten)
}

/// Prints the agents, and then each change.
async fn follow(registry: &Registry, selection: &Selection, json: bool) -> Result<(), Stop> {
    let mut signals = Signals::listen().map_err(|error| Failure::from(chain(&error)))?;
    let mut changes = registry.watch().await?;
    let mut known = BTreeMap::new();
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            _ = signals.next() => return Ok(()),
        };
        let Some(change) = change else {
            return Err(Failure::from("the NATS server sends no changes any more").into());
        };
        let (now, before) = match change {
            Change::Came(agent) if selection.matches(&agent) => {
                let before = known.insert(agent.name.clone(), *agent.clone());
                (Some(*agent), before)
            }
            // One that does not match any more has left.
            Change::Came(agent) => (None, known.remove(&agent.name)),
            Change::Left(name) => (None, known.remove(&name)),
        };
        if now != before
            && let Some(agent) = now.as_ref().or(before.as_ref())
        {
            print(&changed(agent, now.is_some(), json)).map_err(Stop::Unwritten)?;
        }
    }
}

/// Returns the line of a change.
fn changed(agent: &Registration, is_there: bool, json: bool) -> String {
    if json {
        return serde_json::json!({ "agent": agent, "registered": is_there }).to_string() + "\n";
    }
    let now = OffsetDateTime::now_utc();
    let (hour, minute, second) = (now.hour(), now.minute(), now.second());
    let state = if is_there { state(agent) } else { "left".to_owned() };
    let Registration { name, platform, .. } = agent;
    let about = [platform.clone(), labels(agent)].join(" ");
    clean(&format!("{hour:02}:{minute:02}:{second:02}  {name}  {state}  {}", about.trim_end())) + "\n"
}

/// Returns a table of the agents.
fn table(page: Page, agents: &[Registration]) -> String {
    if agents.is_empty() {
        return "no agent is registered: start some with `golo agent --nats`\n".to_owned();
    }
    let heads = ["agent", "state", "cores", "memory", "ports", "platform", "version", "labels"];
    let heads = heads.map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(heads).chain(agents.iter().map(cells)).collect();
    page.table(&rows, &[0, 1, 5, 6, 7]).join("\n") + "\n"
}

fn cells(agent: &Registration) -> Vec<String> {
    let Capacity { cores, memory, ports, .. } = agent.capacity;
    vec![
        clean(&agent.name),
        clean(&state(agent)),
        cores.to_string(),
        format!("{:.1} GiB", memory as f64 / f64::from(1 << 30)),
        ports.to_string(),
        clean(&agent.platform),
        clean(&agent.version),
        clean(&labels(agent)),
    ]
}

fn state(agent: &Registration) -> String {
    match (&agent.running, agent.jobs) {
        (Some(name), 0 | 1) => format!("runs {name}"),
        (Some(name), jobs) => format!("runs {name}, {} waiting", jobs - 1),
        (None, 0) => "idle".to_owned(),
        (None, jobs) => format!("{jobs} waiting"),
    }
}

fn labels(agent: &Registration) -> String {
    agent.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
