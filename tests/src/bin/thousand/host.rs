//! The process of the simulated agents: agents as `golo agent` runs them, each with its own connection and its own data
//! folder, but with [simulated engines](super::engine).
//!
//! It prints a line when all are registered. Once its stdin is closed, it stops the agents and prints what they have done.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use golo_cli::agent::jobs::{Agent, AgentOptions};
use golo_cli::agent::{CollectorAt, Ways, attend};
use golo_cli::nats::args::{NatsArgs, NatsOptions};
use golo_cli::nats::connection::Nats;
use golo_cli::nats::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::arguments::HostArguments;
use crate::engine::{ENGINES, Engines, drive};

/// Line that says that all agents are registered.
pub(crate) const REGISTERED: &str = "registered";
/// Longest time for all agents to register.
const REGISTRATION: Duration = Duration::from_secs(180);
/// Pause between looks at the registered agents.
const LOOK: Duration = Duration::from_millis(200);

/// What the agents have done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Number of times that each second was reported.
    pub(crate) reported: Vec<u64>,
    /// Times of the starts, in nanoseconds since 1970, by the one clock that all agents have here.
    pub(crate) starts: Vec<u64>,
    /// Number of jobs that ran to their end.
    pub(crate) completed: u64,
}

/// Hosts the agents until stdin is closed.
pub(crate) fn host(arguments: &HostArguments) -> anyhow::Result<()> {
    _ = ENGINES.set(Engines::new(arguments.load));
    // Each running job blocks a thread that stores its records, as that of a single agent does.
    let threads = usize::try_from(arguments.agents).unwrap_or(usize::MAX).saturating_mul(2).saturating_add(64);
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(threads).build();
    runtime.context("the runtime cannot be started")?.block_on(serve(arguments))
}

async fn serve(arguments: &HostArguments) -> anyhow::Result<()> {
    let nats = NatsArgs { nats: Some(arguments.nats.clone()), ..NatsArgs::default() };
    let nats = nats.into_options(|_| None)?.context("there is no NATS server")?;
    let mut agents = Vec::new();
    let mut serving = JoinSet::new();
    for number in 1..=arguments.agents {
        let (agent, cut_short) = Agent::open(options(arguments, number))?;
        let collector = arguments.collector.then_some(CollectorAt::Nats);
        let ways = Ways { server: None, nats: Some(nats.clone()), collector };
        serving.spawn(attend(Arc::clone(&agent), cut_short, ways));
        agents.push(agent);
    }
    let registering = timeout(REGISTRATION, until_registered(&nats, agents.len()));
    tokio::select! {
        registered = registering => registered.context("not all agents have registered")??,
        Some(ended) = serving.join_next() => {
            ended?.context("an agent has ended")?;
            anyhow::bail!("an agent has ended");
        }
    }
    golo::cli::print(&format!("{REGISTERED}\n"))?;
    // Closed by the process that has started this one, also if that is killed.
    _ = spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    let engines = ENGINES.get().context("there are no simulated engines")?;
    let done = Done { reported: engines.reported(), starts: engines.starts(), completed: engines.completed() };
    golo::cli::print(&format!("{}\n", serde_json::to_string(&done)?))?;
    agents.iter().for_each(|agent| _ = agent.stopping.send_replace(true));
    while let Some(ended) = serving.join_next().await {
        ended?.context("an agent has ended")?;
    }
    Ok(())
}

/// Returns the options of the agent with this number, as those of a command line without flags.
fn options(arguments: &HostArguments, number: u64) -> AgentOptions {
    let name = format!("sim-{number:04}");
    AgentOptions {
        labels: Default::default(),
        data: arguments.data.join(&name),
        name,
        max_upload: 1 << 30,
        limits: Default::default(),
        trust: Default::default(),
        keep: Duration::from_secs(24 * 3600),
        has_collector: arguments.collector,
        statuses: Default::default(),
        receivers: Vec::new(),
        drive,
    }
}

/// Waits until this many agents are registered.
async fn until_registered(nats: &NatsOptions, number: usize) -> anyhow::Result<()> {
    let nats = Nats::connect(nats, "thousand").await?;
    let registry = Registry::open(&nats).await?;
    while registry.list().await?.len() < number {
        sleep(LOOK).await;
    }
    Ok(())
}
