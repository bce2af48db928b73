//! The processes of a run, from the server's start to the collector's end.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, interval, sleep, timeout};

use crate::arguments::FleetArguments;
use crate::checks::differences;
use crate::host::{Done, REGISTERED};
use crate::measured::{seconds, sum};
use crate::server::Server;
use crate::usage::Samples;

/// Interval between samples of the processes.
const SAMPLES: Duration = Duration::from_millis(250);
/// Longest time of each step, in addition to the length of the run.
const STEP: Duration = Duration::from_secs(600);
/// Pause between looks at the collector's database.
const LOOK: Duration = Duration::from_millis(500);

/// Folder and programs of a run.
pub(crate) struct Fleet {
    folder: TempDir,
    golo: PathBuf,
    samples: Samples,
}

/// A run that has ended.
pub(crate) struct Ran {
    /// Time until all agents were registered.
    pub(crate) registered: Duration,
    /// Time from the call of `golo submit` to the first start.
    pub(crate) prepared: Duration,
    /// Time from the end of the plan to the end of `golo submit`.
    pub(crate) finished: Duration,
    /// Time from the end of `golo submit` until the collector had everything.
    pub(crate) collected: Option<Duration>,
    /// Beginning and end of the load.
    pub(crate) load: (Instant, Instant),
    /// What the agents have done.
    pub(crate) done: Done,
    /// Requests in the summary.
    pub(crate) requests: u64,
    /// Lines of `golo submit` on the start.
    pub(crate) skew: Option<String>,
    /// Differences between the summaries and the sum.
    pub(crate) differences: Vec<String>,
    pub(crate) samples: Samples,
}

/// The process of the agents.
struct Host {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Fleet {
    /// Creates the folder of a run.
    pub(crate) fn set_up(arguments: &FleetArguments) -> anyhow::Result<Self> {
        let golo = match &arguments.golo {
            Some(golo) => golo.canonicalize().with_context(|| format!("`{}` cannot be found", golo.display()))?,
            None => {
                let path = std::env::current_exe()?.with_file_name("golo-command");
                let reason = || format!("`{}` is missing: `cargo build -p golo-tests --bins` makes it", path.display());
                anyhow::ensure!(path.is_file(), reason());
                path
            }
        };
        let folder = match &arguments.folder {
            Some(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be created", folder.display()))?;
                TempDir::with_prefix_in("golo-thousand-", folder)
            }
            None => TempDir::with_prefix("golo-thousand-"),
        };
        Ok(Self { folder: folder.context("there is no folder for the files")?, golo, samples: Samples::default() })
    }

    /// Keeps the folder, and returns its path.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the fleet with the server at this path.
    pub(crate) async fn run(&mut self, program: &Path, arguments: &FleetArguments) -> anyhow::Result<Ran> {
        let server = Server::start(program, self.folder.path()).await?;
        self.samples.watch("nats-server", server.process());
        let collector = match arguments.no_collector {
            true => None,
            false => Some(self.collector(&server).await?),
        };
        let begun = Instant::now();
        let host = Host::start(self.folder.path(), &server, arguments).await?;
        self.samples.watch("the agents", host.process.id());
        let registered = begun.elapsed();
        let (submitted, ended) = self.submit(&server, arguments).await?;
        let summary: Value = serde_json::from_slice(&fs::read(self.path("summary.json"))?)?;
        let mut collected = None;
        if let Some(collector) = collector {
            collected = Some(self.collected(&server, &summary).await?);
            end(collector).await?;
        }
        let done = host.end().await?;
        server.end().await?;
        let sum = sum(&seconds(arguments.load), &done.reported);
        let mut found = differences(&summary, &sum);
        if collected.is_some() {
            let of_collector: Value = serde_json::from_slice(&fs::read(self.path("collected.json"))?)?;
            found.extend(differences(&of_collector, &sum).into_iter().map(|line| format!("collector: {line}")));
        }
        if done.completed != arguments.agents {
            found.push(format!("{} of {} jobs ran to their end", done.completed, arguments.agents));
        }
        let first = done.starts.iter().min().copied().context("no agent has started")?;
        let ago = golo::wire::moment(first).elapsed()?;
        let started = Instant::now().checked_sub(ago).context("the clock was set")?;
        let load = (started, started + arguments.time);
        Ok(Ran {
            registered,
            prepared: started.saturating_duration_since(submitted),
            finished: ended.saturating_duration_since(load.1),
            collected,
            load,
            done,
            requests: summary["requests"]["total"]["duration"]["count"].as_u64().unwrap_or_default(),
            skew: self.skew()?,
            differences: found,
            samples: std::mem::take(&mut self.samples),
        })
    }

    /// Returns a call of the command `golo`. The file `NAME.log` receives its stderr.
    fn golo(&self, name: &str, server: &Server) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.golo);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOLO_")) {
            command.env_remove(name);
        }
        let log = File::create(self.path(&format!("{name}.log")))?;
        command.env("GOLO_NATS", server.url()).env("GOLO_DB", self.path(&format!("{name}.db"))).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    /// Starts a collector, and waits until it listens.
    async fn collector(&mut self, server: &Server) -> anyhow::Result<Child> {
        let mut command = self.golo("collector", server)?;
        let process = command.args(["collector", "--addr", "127.0.0.1:0"]).spawn()?;
        let log = self.path("collector.log");
        let listening = async {
            while !fs::read_to_string(&log).unwrap_or_default().contains("listens on") {
                sleep(LOOK / 10).await;
            }
        };
        timeout(STEP, listening).await.context("the collector does not listen")?;
        self.samples.watch("golo collector", process.id());
        Ok(process)
    }

    /// Runs `golo submit` to its end. Returns the times of its call and of its end.
    async fn submit(&mut self, server: &Server, arguments: &FleetArguments) -> anyhow::Result<(Instant, Instant)> {
        // No agent runs it.
        let load_test = self.path("simulated");
        fs::write(&load_test, "#!/bin/sh\nexit 1\n")?;
        fs::set_permissions(&load_test, fs::Permissions::from_mode(0o755))?;
        let mut command = self.golo("submit", server)?;
        let number = arguments.agents.to_string();
        command.arg("submit").arg(&load_test).args(["--agents", &number, "-u", &number, "--no-progress"]);
        command.args(["-d", &format!("{}s", arguments.time.as_secs())]);
        command.arg("-o").arg(format!("summary={}", self.path("summary.json").display()));
        let submitted = Instant::now();
        let mut process = command.spawn()?;
        self.samples.watch("golo submit", process.id());
        let mut ticks = interval(SAMPLES);
        let status = loop {
            tokio::select! {
                status = process.wait() => break status?,
                _ = ticks.tick() => self.samples.take(server).await,
            }
            anyhow::ensure!(submitted.elapsed() < STEP + arguments.time, "golo submit does not end");
        };
        let ended = Instant::now();
        let log = || fs::read_to_string(self.path("submit.log")).unwrap_or_default();
        anyhow::ensure!(status.code() == Some(0), "golo submit ended with {status}:\n{}", log());
        Ok((submitted, ended))
    }

    /// Waits until the collector has the whole run, and lets it write its summary. Returns how long that took.
    async fn collected(&mut self, server: &Server, summary: &Value) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let wanted = &summary["requests"]["total"]["duration"]["count"];
        let database = self.path("collector.db");
        loop {
            let mut listing = self.golo("runs", server)?;
            listing.args(["runs", "--json", "--db"]).arg(&database).stdout(Stdio::piped());
            let runs: Value = serde_json::from_slice(&listing.output().await?.stdout).unwrap_or_default();
            self.samples.take(server).await;
            if runs[0]["verdict"] == "PASSED" && runs[0]["requests"] == *wanted {
                break;
            }
            let run = &runs[0];
            anyhow::ensure!(
                begun.elapsed() < STEP,
                "the collector has not got the run: {run}, expected {wanted} requests"
            );
            sleep(LOOK).await;
        }
        let took = begun.elapsed();
        let mut show = self.golo("show", server)?;
        show.args(["show", "latest", "--db"]).arg(&database);
        show.arg("-o").arg(format!("summary={}", self.path("collected.json").display()));
        let status = show.status().await?;
        anyhow::ensure!(status.success(), "golo show ended with {status}");
        Ok(took)
    }

    /// Returns the line of `golo submit` on the distance between the starts.
    fn skew(&self) -> anyhow::Result<Option<String>> {
        let log = fs::read_to_string(self.path("submit.log"))?;
        Ok(log.lines().find_map(|line| Some(line.split_once("started together ")?.1.to_owned())))
    }
}

impl Host {
    /// Starts the agents, and waits until all are registered.
    async fn start(folder: &Path, server: &Server, arguments: &FleetArguments) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("host").args(["--agents", &arguments.agents.to_string(), "--nats", &server.url()]);
        command.args(["--series", &arguments.load.series.to_string()]);
        command.args(["--requests", &arguments.load.requests.to_string()]);
        let data = folder.join("agents");
        fs::create_dir(&data)?;
        command.arg("--data").arg(data).kill_on_drop(true);
        if !arguments.no_collector {
            command.arg("--collector");
        }
        let log = File::create(folder.join("agents.log"))?;
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = process.stdout.take().context("the agents have no stdout")?;
        let mut host = Self { process, lines: BufReader::new(stdout).lines() };
        let line = host.line().await?;
        anyhow::ensure!(line == REGISTERED, "the agents say `{line}`");
        Ok(host)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = timeout(STEP, self.lines.next_line()).await.context("the agents do not answer")??;
        line.context("the agents have ended: see agents.log")
    }

    /// Stops the agents, and returns what they have done.
    async fn end(mut self) -> anyhow::Result<Done> {
        drop(self.process.stdin.take());
        let done = serde_json::from_str(&self.line().await?)?;
        let status = timeout(STEP, self.process.wait()).await.context("the agents do not end")??;
        anyhow::ensure!(status.success(), "the agents ended with {status}");
        Ok(done)
    }
}

/// Lets a process end by SIGTERM.
async fn end(mut process: Child) -> anyhow::Result<()> {
    if let Some(id) = process.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
        kill_process(id, Signal::TERM)?;
    }
    timeout(STEP, process.wait()).await.context("the collector does not end")??;
    Ok(())
}
