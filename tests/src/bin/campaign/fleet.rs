//! A collector and agents, each behind gates, with their folders.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Context as _;
use golo_tests::Signal;
use serde_json::Value;
use tokio::process::Child;

use crate::calls::Calls;
use crate::comes;
use crate::gate::Gate;
use crate::processes::{Stage, send};

/// Longest time that a start may take.
const START: Duration = Duration::from_secs(30);
/// Longest time that an agent or a collector may take to end.
const END: Duration = Duration::from_secs(20);

/// An agent or a collector.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Its part of runs, which names its log too.
    name: String,
    arguments: Vec<String>,
    temporary: PathBuf,
    /// File of its stderr.
    pub(crate) log: PathBuf,
    /// Its `HOST:PORT`.
    pub(crate) address: SocketAddr,
    child: Option<Child>,
}

/// An agent.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Part of runs in the campaign's environment and paths.
    pub(crate) name: String,
    pub(crate) daemon: Daemon,
    /// Gate of `golo submit` to the agent.
    pub(crate) front: Gate,
    /// Gate of the agent to the collector.
    pub(crate) back: Gate,
}

/// The processes that stay from round to round.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) collector: Daemon,
    pub(crate) agents: Vec<Agent>,
    /// Folder for logs and databases.
    pub(crate) folder: PathBuf,
    /// Folder for temporary files of all processes.
    pub(crate) temporary: PathBuf,
    pub(crate) calls: Calls,
}

impl Daemon {
    /// Starts a daemon on a free port of `host`.
    async fn start(
        stage: &Stage,
        host: IpAddr,
        fleet: &Path,
        name: &str,
        arguments: Vec<String>,
    ) -> anyhow::Result<Self> {
        let (log, temporary) = (fleet.join(format!("{name}.log")), fleet.join("tmp"));
        let address = SocketAddr::new(host, 0);
        let mut daemon = Self { name: name.to_owned(), arguments, temporary, log, address, child: None };
        daemon.spawn(stage)?;
        let greeting = || async { daemon.greeting().is_some() };
        if !comes(START, greeting).await {
            anyhow::bail!("{name} does not listen: {}", fs::read_to_string(&daemon.log).unwrap_or_default());
        }
        daemon.address = daemon.greeting().context("its address is unknown")?;
        Ok(daemon)
    }

    fn spawn(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let mut command = stage.golo(&self.name, &self.temporary, &self.log)?;
        command.args(&self.arguments).arg("--addr").arg(self.address.to_string());
        self.child = Some(command.spawn().with_context(|| format!("{} cannot be started", self.name))?);
        Ok(())
    }

    /// Returns the address on which it listens, by its log.
    fn greeting(&self) -> Option<SocketAddr> {
        let log = fs::read_to_string(&self.log).ok()?;
        let (_, rest) = log.split_once("listens on http://")?;
        rest.split_once('\n')?.0.split([' ', ',']).next()?.parse().ok()
    }

    /// Returns its process.
    pub(crate) fn id(&self) -> Option<i32> {
        self.child.as_ref().and_then(Child::id).and_then(|id| id.try_into().ok())
    }

    /// Waits until the process has ended. Returns `None` if it does not, else true if a signal ended it.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Option<bool> {
        let child = self.child.as_mut()?;
        let status = tokio::time::timeout(limit, child.wait()).await.ok()?.ok()?;
        self.child = None;
        Some(status.signal().is_some())
    }

    /// Starts the process again, with the same address and folder.
    pub(crate) async fn start_again(&mut self, stage: &Stage, calls: &Calls) -> anyhow::Result<()> {
        self.spawn(stage)?;
        let url = format!("http://{}/healthz", self.address);
        let is_there = comes(START, || async { calls.get(&url).await.is_ok() }).await;
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        anyhow::ensure!(is_there, "{} does not listen again: {}", self.name, log());
        Ok(())
    }

    async fn end(&mut self) {
        if let Some(id) = self.id() {
            send(id, Signal::TERM);
            if self.ended(END).await.is_none() {
                send(id, Signal::KILL);
                self.ended(END).await;
            }
        }
    }
}

impl Agent {
    async fn start(
        stage: &Stage,
        host: IpAddr,
        folder: &Path,
        number: u64,
        collector: SocketAddr,
    ) -> anyhow::Result<Self> {
        let name = format!("a{number}");
        let back = Gate::start(host, collector).await?;
        let data = folder.join(&name).display().to_string();
        let to = format!("http://{}", back.address);
        let arguments = ["agent", "--name", &name, "--data", &data, "--collector", &to].map(str::to_owned);
        let daemon = Daemon::start(stage, host, folder, &name, arguments.to_vec()).await?;
        let front = Gate::start(host, daemon.address).await?;
        Ok(Self { name, daemon, front, back })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.daemon.address)
    }

    /// Returns the jobs of the agent.
    pub(crate) async fn jobs(&self, calls: &Calls) -> anyhow::Result<Vec<Value>> {
        match calls.get(&self.url("/jobs")).await? {
            Value::Array(jobs) => Ok(jobs),
            other => anyhow::bail!("its jobs are {other}"),
        }
    }

    /// Asks the agent to stop a job.
    pub(crate) async fn stop(&self, calls: &Calls, job: &str) {
        _ = calls.delete(&self.url(&format!("/jobs/{job}"))).await;
    }
}

impl Fleet {
    /// Starts a collector and agents, with folders of their own.
    pub(crate) async fn start(stage: &Stage, agents: u64) -> anyhow::Result<Self> {
        static FLEETS: AtomicU64 = AtomicU64::new(0);
        let folder = stage.folder().join(format!("fleet-{}", FLEETS.fetch_add(1, Relaxed)));
        let temporary = folder.join("tmp");
        fs::create_dir_all(&temporary)?;
        let host = own_address();
        let database = folder.join("collector.db").display().to_string();
        let arguments = ["collector", "--db", &database].map(str::to_owned).to_vec();
        let collector = Daemon::start(stage, host, &folder, "collector", arguments).await?;
        let mut fleet = Self { collector, agents: Vec::new(), folder, temporary, calls: Calls::new()? };
        for number in 0..agents {
            let agent = Agent::start(stage, host, &fleet.folder, number, fleet.collector.address).await?;
            fleet.agents.push(agent);
        }
        Ok(fleet)
    }

    /// Database of the collector.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("collector.db")
    }

    /// Returns the agents and the collector.
    pub(crate) fn daemons(&self) -> impl Iterator<Item = &Daemon> {
        self.agents.iter().map(|agent| &agent.daemon).chain([&self.collector])
    }

    /// Returns a run that the collector knows by the name of its job, with its summary.
    pub(crate) async fn collected(&self, job: &str) -> anyhow::Result<Option<Value>> {
        let url = format!("http://{}/api/runs?limit=5&summaries=true", self.collector.address);
        let mut answer = self.calls.get(&url).await?;
        let runs = answer["runs"].as_array_mut().context("the collector answers without runs")?;
        Ok(runs.iter_mut().find(|run| run["name"] == job).map(Value::take))
    }

    /// Returns the parts of a run that the collector knows.
    pub(crate) async fn parts(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.calls.get(&format!("http://{}/api/runs/{run}", self.collector.address)).await?;
        Ok(answer["parts"].as_array().cloned().unwrap_or_default())
    }

    /// Ends all processes.
    pub(crate) async fn end(mut self) {
        for agent in &mut self.agents {
            agent.daemon.end().await;
        }
        self.collector.end().await;
    }
}

/// Returns an address of loopback that depends on this process, so that a port stays free while its owner is restarted.
fn own_address() -> IpAddr {
    let [.., third, fourth] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 96, third, fourth.clamp(1, 254)).into()
}
