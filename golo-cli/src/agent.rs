#![doc = include_str!("../docs/agent.md")]

mod capacity;
mod data;
mod dialing;
mod ending;
mod folder;
pub mod job;
pub mod jobs;
pub mod kept;
pub mod lease;
pub mod limits;
mod line;
mod metrics;
pub mod pusher;
pub mod queue;
pub mod request;
pub mod results;
mod routes;
pub mod runner;
mod sending;
mod sweep;
pub mod uploads;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use golo::cli::{Exit, Signals, chain, say};
use golo::report::OutputArg;
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};

pub use line::{AgentLine, CollectorAt};

use crate::agent::pusher::Collector;
use crate::drive::run_end::RunEnd;
use crate::http::server::Server;
use crate::nats::{args::NatsOptions, connection::Nats, results::Results};
use crate::outputs::{self, exports::Hurry, frame::RunLabels};
use crate::support::environment::variable;
use crate::support::{failure::Failure, runtime};
use job::Job;
use jobs::Agent;
use kept::State;
use line::Settings;
use runner::STOPPED;

/// Interval between sweeps of records, jobs and load tests that are no longer needed.
const SWEEP: Duration = Duration::from_secs(60);
/// Maximum time that a stop waits until the collector has the remaining records.
const REST: Duration = Duration::from_secs(5);
/// Time that clients which follow a job's records have to fetch its end.
const WATCHERS: Duration = Duration::from_secs(1);

/// `golo agent`: runs until SIGINT, SIGTERM or SIGHUP.
#[must_use]
pub fn run(line: AgentLine) -> ExitCode {
    let refused = |failure: Failure| {
        say(format_args!("golo: {failure}"));
        ExitCode::from(Exit::BadConfiguration)
    };
    let settings = match line.into_settings(variable).and_then(|settings| check(&settings.agent).map(|()| settings)) {
        Ok(settings) => settings,
        Err(failure) => return refused(failure),
    };
    match runtime::start() {
        Ok(runtime) => runtime.block_on(serve(settings)).map_or_else(refused, |()| ExitCode::SUCCESS),
        Err(code) => code,
    }
}

/// Opens and closes the receivers of metrics, to report wrong ones before any job.
fn check(options: &jobs::AgentOptions) -> Result<(), Failure> {
    let name = &options.name;
    let labels =
        RunLabels { run: String::new(), job: String::new(), load_test: String::new(), agent: Some(name.clone()) };
    let receivers = options.receivers.iter().filter_map(OutputArg::receiver);
    if let Some(exports) = outputs::open(receivers, labels, variable, Hurry::by_signal())? {
        exports.close();
    }
    Ok(())
}

/// Ways to an agent and from it.
#[derive(Default)]
pub struct Ways {
    /// Server for calls over HTTP.
    pub server: Option<Server>,
    /// NATS server to dial out to.
    pub nats: Option<NatsOptions>,
    /// Place to which records are sent.
    pub collector: Option<CollectorAt>,
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let Settings { server, nats, agent, collector } = settings;
    let signals = Signals::listen().map_err(|error| chain(&error))?;
    let server = match server {
        Some(options) => Some(Server::bind(options).await?),
        None => None,
    };
    let (agent, cut_short) = Agent::open(agent).map_err(|error| chain(&error))?;
    tokio::spawn(obey(Arc::clone(&agent), signals));
    attend(agent, cut_short, Ways { server, nats, collector }).await
}

/// Runs an opened agent until it is [to stop](Agent::stopping) and its job is over. `cut_short` are the jobs whose end must
/// still be written.
///
/// # Errors
///
/// Returns an error if the NATS server refuses the agent.
pub async fn attend(agent: Arc<Agent>, cut_short: Vec<Arc<Job>>, ways: Ways) -> Result<(), Failure> {
    let Ways { server, nats, collector } = ways;
    for job in cut_short {
        let agent = Arc::clone(&agent);
        tokio::spawn(async move { agent.resume(&job).await });
    }
    // Jobs that were queued before the agent's restart. Their clients have the whole lease to find the agent again.
    for job in agent.jobs().iter().filter(|job| job.state() == State::Queued) {
        agent.watch_lease(job);
    }
    tokio::spawn(sweep(Arc::clone(&agent)));
    let pushing = Pushing::default();
    let wants_nats = match collector {
        Some(CollectorAt::Http(collector)) => {
            pushing.start(&agent, *collector);
            false
        }
        at => at.is_some(),
    };
    let working = tokio::spawn(runner::work(Arc::clone(&agent)));
    let (over, is_over) = watch::channel(false);
    let finishing = async {
        finished(Arc::clone(&agent), working, pushing.clone()).await;
        over.send_replace(true);
    };
    let mut stop = is_over.clone();
    let listening = async {
        let Some(server) = server else { return };
        server.announce();
        let stop = async { _ = stop.wait_for(|is| *is).await };
        server.run(routes::router(Arc::clone(&agent)), stop).await;
    };
    let dialing = dial_out(&agent, nats, wants_nats.then(|| pushing.clone()), is_over);
    tokio::join!(finishing, listening, dialing).2
}

/// The client of the collector to which records are sent, once there is one.
#[derive(Debug, Clone, Default)]
struct Pushing(Arc<OnceLock<Arc<Collector>>>);

impl Pushing {
    /// Starts to send records.
    fn start(&self, agent: &Arc<Agent>, collector: Collector) {
        let collector = self.0.get_or_init(|| Arc::new(collector));
        tokio::spawn(pusher::run(Arc::clone(agent), Arc::clone(collector)));
    }

    /// Returns true if records can be sent at the moment, and some of the job were not.
    fn is_sending(&self, job: &Job) -> bool {
        let is_sent_to = |collector: &Arc<Collector>| collector.is_there() && !collector.has_stored(job);
        pusher::is_pending(job) && job.kept().refused.is_none() && self.0.get().is_some_and(is_sent_to)
    }
}

/// Connects to the NATS server, if there is one, and answers its calls until the agent is over. Ends the agent if the server
/// cannot be used. Sends records to the collectors there with `pushing`, if that is wanted.
async fn dial_out(
    agent: &Arc<Agent>,
    nats: Option<NatsOptions>,
    pushing: Option<Pushing>,
    mut is_over: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let Some(options) = nats else { return Ok(()) };
    let connected = tokio::select! {
        connected = Nats::connect_patiently(&options, "golo agent") => connected,
        _ = is_over.wait_for(|is| *is) => return Ok(()),
    };
    match connected {
        Ok(nats) => {
            if let Some(pushing) = pushing {
                tokio::spawn(push_over_nats(Arc::clone(agent), nats.clone(), pushing));
            }
            dialing::dial(Arc::clone(agent), nats, is_over).await;
        }
        Err(failure) => {
            agent.stopping.send_replace(true);
            return Err(failure);
        }
    }
    Ok(())
}

/// Sends records to the collectors at the NATS server, once it is ready for that.
async fn push_over_nats(agent: Arc<Agent>, nats: Nats, pushing: Pushing) {
    let mut is_said = false;
    loop {
        match Results::open(nats.clone()).await {
            Ok(results) => return pushing.start(&agent, Collector::at_nats(results)),
            Err(failure) => {
                if !std::mem::replace(&mut is_said, true) {
                    say(format_args!("golo agent: cannot send records to the collectors, retrying: {failure}"));
                }
                sleep(REST).await;
            }
        }
    }
}

/// Waits until the agent is to stop and the running job is over, and then, for a limited time, until the collector and
/// other clients have its records.
async fn finished(agent: Arc<Agent>, working: tokio::task::JoinHandle<()>, pushing: Pushing) {
    let mut stopping = agent.stopping.subscribe();
    _ = stopping.wait_for(|is| *is).await;
    let has_watchers = agent.running().is_some();
    if working.await.is_err() {
        say("golo agent: the task that runs jobs has failed");
    }
    let pushed = async {
        while agent.jobs().iter().any(|job| pushing.is_sending(job)) {
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

/// Handles signals: the first one stops the running job with its grace, every further one cuts it off.
async fn obey(agent: Arc<Agent>, mut signals: Signals) {
    loop {
        signals.next().await;
        let is_first = !agent.stopping.send_replace(true);
        let running = agent.running();
        if is_first {
            say(match running {
                Some(_) => "golo agent: stopping the running job; another signal cuts it off",
                None => "golo agent: stopping",
            });
        }
        match running {
            Some(job) if is_first => job.stop_once(STOPPED),
            Some(job) => job.stop(STOPPED, &RunEnd::default()),
            None => {}
        }
    }
}
