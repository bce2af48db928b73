#![doc = include_str!("../docs/agent.md")]

pub mod binaries;
mod ending;
mod folder;
pub mod job;
pub mod jobs;
pub mod kept;
pub mod limits;
mod line;
mod metrics;
pub mod pusher;
pub mod queue;
pub mod request;
pub mod results;
mod routes;
mod runner;
mod sweep;

use std::{process::ExitCode, sync::Arc, time::Duration};

use golo::cli::{Exit, Signals, chain, say};
use tokio::{
    runtime::Builder,
    time::{interval, sleep, timeout},
};

pub use line::AgentLine;

use crate::{
    agent::pusher::Collector,
    drive::run_end::RunEnd,
    http::server::Server,
    support::{environment::variable, failure::Failure},
};
use jobs::Agent;
use line::Settings;
use runner::STOPPED;

/// How often it is looked for what nobody waits for any more.
const SWEEP: Duration = Duration::from_secs(60);
/// How long a collector has to take the rest in the end.
const REST: Duration = Duration::from_secs(5);
/// How long those who watch a job have to take its end.
const WATCHERS: Duration = Duration::from_secs(1);

/// `golo agent`: runs until SIGINT or SIGTERM.
#[must_use]
pub fn run(line: AgentLine) -> ExitCode {
    let running = line.into_settings(variable).and_then(|settings| {
        let runtime = Builder::new_multi_thread().enable_all().build();
        runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(serve(settings))
    });
    match running {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("golo: {failure}"));
            Exit::BadConfiguration.into()
        }
    }
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let Settings { server, agent, collector } = settings;
    let signals = Signals::listen().map_err(|error| chain(&error))?;
    let server = Server::bind(server).await?;
    let (agent, cut_short) = Agent::open(agent).map_err(|error| chain(&error))?;
    for job in cut_short {
        let agent = Arc::clone(&agent);
        tokio::spawn(async move { agent.resume(&job).await });
    }
    tokio::spawn(obey(Arc::clone(&agent), signals));
    tokio::spawn(sweep(Arc::clone(&agent)));
    let collector = collector.map(Arc::new);
    if let Some(collector) = &collector {
        tokio::spawn(pusher::run(Arc::clone(&agent), Arc::clone(collector)));
    }
    let working = tokio::spawn(runner::work(Arc::clone(&agent)));
    server.announce();
    server.run(routes::router(Arc::clone(&agent)), finished(agent, working, collector)).await;
    Ok(())
}

/// Waits until nothing runs any more, and whoever waits for what was measured has had a moment to take it.
async fn finished(agent: Arc<Agent>, working: tokio::task::JoinHandle<()>, collector: Option<Arc<Collector>>) {
    let mut stopping = agent.stopping.subscribe();
    _ = stopping.wait_for(|is| *is).await;
    let has_watchers = agent.running().is_some();
    if working.await.is_err() {
        say("golo: the thread that runs jobs has ended");
    }
    let pushed = async {
        while let Some(collector) = &collector
            && collector.is_there()
            && agent.jobs().iter().any(|job| pusher::is_pending(job) && job.kept().refused.is_none())
        {
            sleep(Duration::from_millis(20)).await;
        }
    };
    _ = timeout(REST, pushed).await;
    if has_watchers {
        sleep(WATCHERS).await;
    }
}

async fn sweep(agent: Arc<Agent>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        let agent = Arc::clone(&agent);
        _ = tokio::task::spawn_blocking(move || agent.sweep()).await;
    }
}

/// The first signal has the running job stop, every further one cuts it.
async fn obey(agent: Arc<Agent>, mut signals: Signals) {
    loop {
        signals.next().await;
        let is_first = !agent.stopping.send_replace(true);
        let running = agent.running();
        if is_first {
            say(match running {
                Some(_) => "golo agent: stops, and waits for the job that runs; another signal cuts it",
                None => "golo agent: stops",
            });
        }
        match running {
            Some(job) if is_first => job.stop_once(STOPPED),
            Some(job) => job.stop(STOPPED, &RunEnd::default()),
            None => {}
        }
    }
}
