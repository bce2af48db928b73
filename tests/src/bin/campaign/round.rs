//! Plays one round: starts the load, does the fault, and waits until everything has come to rest.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use golo_tests::Signal;
use serde_json::Value;
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::comes;
use crate::fault::{Blow, Fault, Victim};
use crate::fleet::{Agent, Daemon, Fleet};
use crate::gate::{Gate, Passage};
use crate::observed::{ClientEnd, Observed, Part, SLACK, Struck};
use crate::plan::{Client, Moment, Plan};
use crate::processes::{Role, Stage, send};
use crate::target::Target;

/// Time after which an agent stops a job whose client is gone.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// Time that triggers in flight may finish.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Longest time that a client may take, in addition to its load.
const CLIENT: Duration = Duration::from_secs(45);
/// Longest time until the first request.
const FIRST: Duration = Duration::from_secs(30);
/// Longest time until a victim is there.
const VICTIM: Duration = Duration::from_secs(2);
/// Longest time that a signalled agent or collector may take to end.
const DAEMON: Duration = Duration::from_secs(20);
/// Longest time until a stopped job has ended.
const STOP: Duration = Duration::from_secs(15);
/// Longest time until a collector has all records: the pauses of an agent that cannot reach it are up to 30 s long.
const PUSH: Duration = Duration::from_secs(75);
/// Longest time until processes without a task have ended.
const PROCESSES: Duration = Duration::from_secs(10);

/// Plays a round.
pub(crate) async fn play(stage: &Stage, fleet: &mut Fleet, target: &Target, plan: &Plan) -> anyhow::Result<Observed> {
    let folder = fleet.folder.join(plan.job());
    fs::create_dir_all(&folder)?;
    let mut child = start(stage, fleet, target, plan, &folder)?;
    let id = child.id().and_then(|id| id.try_into().ok()).unwrap_or_default();
    let limit = plan.duration + CLIENT;
    let ending = async {
        let ended = timeout(limit, child.wait()).await;
        let at = Instant::now();
        let hung = ended.is_err();
        let status = match ended {
            Ok(status) => status?,
            Err(_) => {
                send(id, Signal::KILL);
                child.wait().await?
            }
        };
        anyhow::Ok((status.code(), at, hung))
    };
    let (ended, struck) = tokio::join!(ending, strike(stage, fleet, target, plan, id));
    let ((code, at, hung), struck) = (ended?, struck?);
    let summary = fs::read(folder.join("summary.json")).ok();
    let summary = summary.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let struck = struck.map(|struck| Struck { killed: struck.killed || is_killed(plan, code), ..struck });
    let client = ClientEnd { code, at, hung, summary };

    // Later than the last load may arrive, so that load that goes on is noticed.
    let limit = (client.at + LEASE + GRACE + 2 * SLACK).saturating_duration_since(Instant::now());
    let job = plan.job();
    let unended = rest(fleet, &job, limit, is_over).await;
    let mut wedged = Vec::new();
    if !unended.is_empty() {
        for _ in 0..2 {
            for agent in &fleet.agents {
                for job in jobs(fleet, agent, &job).await.iter().filter(|job| !is_over(job)) {
                    agent.stop(&fleet.calls, job["id"].as_str().unwrap_or_default()).await;
                }
            }
        }
        wedged = rest(fleet, &job, STOP, is_over).await;
    }
    let processes = leftovers(stage, fleet).await;
    let unpushed = rest(fleet, &job, PUSH, is_pushed).await;
    let collected = fleet.collected(&job).await?;
    let run = collected.as_ref().and_then(|run| run["run"].as_str()).map(str::to_owned);
    let collected_parts = match run {
        Some(run) => fleet.parts(&run).await?,
        None => Vec::new(),
    };
    let mut parts = Vec::new();
    match plan.client {
        Client::Run => {
            let (name, address) = ("run".to_owned(), String::new());
            parts.push(Part { seen: target.seen(&job, &name), name, address, job: None });
        }
        Client::Submit => {
            for agent in &fleet.agents {
                let (name, address) = (agent.name.clone(), agent.front.address.to_string());
                let seen = target.seen(&job, &name);
                parts.push(Part { name, address, seen, job: jobs(fleet, agent, &job).await.pop() });
            }
        }
    }
    let (files, panics) = (files(&fleet.temporary), panics(fleet, &folder));
    for left in fs::read_dir(&fleet.temporary)?.filter_map(Result::ok) {
        // It is reported once.
        _ = fs::remove_dir_all(left.path()).or_else(|_| fs::remove_file(left.path()));
    }
    let logs = (folder, fleet.folder.clone());
    Ok(Observed {
        struck,
        client,
        parts,
        collected,
        collected_parts,
        unended,
        wedged,
        unpushed,
        processes,
        files,
        panics,
        logs,
    })
}

/// Starts the client.
fn start(stage: &Stage, fleet: &Fleet, target: &Target, plan: &Plan, folder: &Path) -> anyhow::Result<Child> {
    let part = match plan.client {
        Client::Submit => "submit",
        Client::Run => "run",
    };
    let mut command = stage.golo(part, &fleet.temporary, &folder.join("stderr"))?;
    command.stdout(fs::File::create(folder.join("stdout"))?);
    command.arg(part).arg(&stage.load_test).args(plan.load.split(' '));
    command.args(["-d", &format!("{}s", plan.duration.as_secs()), "--name", &plan.job()]);
    command.args(["--max-lag", plan.max_lag(), "--graceful-stop", &format!("{}s", GRACE.as_secs())]);
    command.args(["-e", &format!("TARGET_URL={}/{}", target.url, plan.job())]);
    command.arg("--out").arg(format!("summary={}", folder.join("summary.json").display()));
    let database = match plan.client {
        Client::Submit => fleet.folder.join("submit.db"),
        Client::Run => fleet.database(),
    };
    command.arg("--db").arg(database);
    if plan.client == Client::Submit {
        for agent in &fleet.agents {
            command.arg("--agent").arg(agent.front.address.to_string());
        }
        if plan.goes_on {
            command.args(["--on-agent-loss", "continue"]);
        }
    }
    Ok(command.spawn()?)
}

/// Does the fault of a plan at its time.
async fn strike(
    stage: &Stage,
    fleet: &mut Fleet,
    target: &Target,
    plan: &Plan,
    client: i32,
) -> anyhow::Result<Option<Struck>> {
    let Some(fault) = plan.fault else { return Ok(None) };
    let is_client_there = || stage.processes().iter().any(|process| process.id == client);
    match plan.moment {
        Moment::Starting(time) => sleep(time).await,
        Moment::Loaded(time) => {
            comes(FIRST, || async { target.is_loaded(&plan.job()) || !is_client_there() }).await;
            sleep(time).await;
        }
    }
    let mut struck = Struck { at: None, killed: false, lives_on: false };
    let Fault { victim, blow } = fault;
    let part = match (plan.client, victim.part()) {
        (Client::Submit, Some(part)) => format!("a{part}"),
        _ => "run".to_owned(),
    };
    let find = async |role| {
        comes(VICTIM, || async { stage.find(&part, role).is_some() }).await;
        stage.find(&part, role).map(|process| process.id)
    };
    let id = match victim {
        Victim::Client => is_client_there().then_some(client),
        Victim::Supervisor(_) => find(Role::Supervisor).await,
        Victim::LoadTest(_) => find(Role::LoadTest).await,
        Victim::Agent(agent) => fleet.agents[agent].daemon.id(),
        Victim::Collector => fleet.collector.id(),
        Victim::ClientLink(agent) => {
            struck.at = Some(Instant::now());
            close(&fleet.agents[agent].front, blow).await;
            None
        }
        Victim::CollectorLink(agent) => {
            struck.at = Some(Instant::now());
            close(&fleet.agents[agent].back, blow).await;
            None
        }
    };
    let Some(id) = id else { return Ok(Some(struck)) };
    struck.at = Some(Instant::now());
    match blow {
        Blow::Freeze => _ = send(id, Signal::STOP),
        Blow::Suspend(time) => {
            send(id, Signal::STOP);
            sleep(time).await;
            send(id, Signal::CONT);
        }
        Blow::Signal(signal) => {
            send(id, signal);
            let daemon = match victim {
                Victim::Agent(agent) => Some(&mut fleet.agents[agent].daemon),
                Victim::Collector => Some(&mut fleet.collector),
                _ => None,
            };
            if let Some(daemon) = daemon {
                let calls = fleet.calls.clone();
                bring_back(stage, daemon, &calls, signal, plan.back, &mut struck).await?;
            }
        }
        Blow::Cut(_) | Blow::Stall(_) => {}
    }
    Ok(Some(struck))
}

/// Waits for the end of a daemon that got a signal, and starts it again.
async fn bring_back(
    stage: &Stage,
    daemon: &mut Daemon,
    calls: &crate::calls::Calls,
    signal: Signal,
    back: Duration,
    struck: &mut Struck,
) -> anyhow::Result<()> {
    match daemon.ended(DAEMON).await {
        Some(killed) => struck.killed = killed,
        // It may be ignored.
        None if signal == Signal::HUP => return Ok(()),
        None => {
            struck.lives_on = true;
            daemon.id().map(|id| send(id, Signal::KILL));
            struck.killed = daemon.ended(DAEMON).await.unwrap_or(true);
        }
    }
    sleep(back).await;
    daemon.start_again(stage, calls).await
}

async fn close(gate: &Gate, blow: Blow) {
    let (passage, time) = match blow {
        Blow::Cut(time) => (Passage::Cut, time),
        Blow::Stall(time) => (Passage::Stalled, time),
        Blow::Signal(_) | Blow::Freeze | Blow::Suspend(_) => return,
    };
    gate.set(passage);
    sleep(time).await;
    gate.set(Passage::Open);
}

/// Returns true if the fault is a signal to the client that ended it at once, without an exit code.
fn is_killed(plan: &Plan, code: Option<i32>) -> bool {
    plan.ends_client() && code.is_none()
}

/// Returns the jobs of an agent for this round; one that is not over if the agent does not answer.
async fn jobs(fleet: &Fleet, agent: &Agent, job: &str) -> Vec<Value> {
    match agent.jobs(&fleet.calls).await {
        Ok(jobs) => jobs.into_iter().filter(|known| known["name"] == job).collect(),
        Err(error) => vec![serde_json::json!({ "state": "unknown", "reason": format!("{error:#}") })],
    }
}

fn is_over(job: &Value) -> bool {
    matches!(job["state"].as_str(), Some("completed" | "failed" | "cancelled"))
}

fn is_pushed(job: &Value) -> bool {
    is_over(job) && job["committed"] == job["records"]
}

/// Waits until all jobs of the round are at rest, and describes those that are not.
async fn rest(fleet: &Fleet, job: &str, limit: Duration, is_at_rest: fn(&Value) -> bool) -> Vec<String> {
    let restless = async || {
        let mut restless = Vec::new();
        for agent in &fleet.agents {
            let jobs = jobs(fleet, agent, job).await.into_iter().filter(|job| !is_at_rest(job));
            restless.extend(jobs.map(|job| format!("{} of {}: {job}", job["state"], agent.name)));
        }
        restless
    };
    comes(limit, || async { restless().await.is_empty() }).await;
    restless().await
}

/// Waits until only agents and the collector are left, kills the rest, and describes it.
async fn leftovers(stage: &Stage, fleet: &Fleet) -> Vec<String> {
    let known: Vec<_> = fleet.daemons().filter_map(Daemon::id).collect();
    let left = || stage.processes().into_iter().filter(|process| !known.contains(&process.id));
    comes(PROCESSES, || async { left().next().is_none() }).await;
    let left: Vec<_> = left().collect();
    left.iter().for_each(|process| _ = send(process.id, Signal::KILL));
    left.into_iter().map(|process| format!("{} of {}: {}", process.id, process.part, process.line)).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path().display().to_string()).collect()
}

fn panics(fleet: &Fleet, folder: &Path) -> Vec<String> {
    let logs = fleet.daemons().map(|daemon| daemon.log.clone()).chain([folder.join("stderr")]);
    let texts: Vec<_> = logs.filter_map(|log| fs::read_to_string(log).ok()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.filter(|line| line.contains("panicked at")).map(str::to_owned).collect()
}
